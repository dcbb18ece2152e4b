"""Damaged IDX files: each error names the file, what is wrong and what to do."""
import gzip
import re

import numpy as np
import pytest
from mnist_files import idx_bytes, write_mnist

from fastconv.datasets import DatasetError, load_mnist
from fastconv.datasets.idx import read_idx

IMAGES = np.arange(3 * 2 * 5).reshape(3, 2, 5)


def test_reads_what_was_written(tmp_path):
    path = tmp_path / "images"
    for data in (idx_bytes(IMAGES), gzip.compress(idx_bytes(IMAGES))):
        path.write_bytes(data)
        read = read_idx(path, ndim=3)
        assert read.dtype == np.uint8 and read.flags.writeable
        np.testing.assert_array_equal(read, IMAGES)


def test_an_empty_set_is_a_valid_file(tmp_path):
    (tmp_path / "images").write_bytes(idx_bytes(np.zeros((0, 28, 28))))
    assert read_idx(tmp_path / "images", ndim=3).shape == (0, 28, 28)


@pytest.mark.parametrize("data, reason", [
    (b"", "starts with nothing"),
    (idx_bytes(IMAGES[0, 0]), "starts with 00 00 08 01"),
    (b"\0\0\x0d\x03" + idx_bytes(IMAGES)[4:], "starts with 00 00 0d 03"),
    (b"<html>not found</html>", "starts with 3c 68 74 6d"),
    (idx_bytes(IMAGES)[:10], "after 10 of 16 bytes"),
    (idx_bytes(IMAGES)[:-1], "promises 46 bytes for shape (3, 2, 5), it has 45"),
    (idx_bytes(IMAGES) + b"\0", "it has more"),
    (gzip.compress(idx_bytes(IMAGES) + b"\0"), "it has more"),
    (b"\0\0\x08\x03" + b"\xff" * 12, "promises 79,228,162,458,924,105,385,300,197,391 bytes for shape"),
    (gzip.compress(idx_bytes(IMAGES))[:-9], "does not unpack"),
    (gzip.compress(idx_bytes(IMAGES))[:-8] + b"\0" * 8, "does not unpack (CRC"),
    (gzip.compress(idx_bytes(IMAGES))[:12] + b"\xff" * 20, "damaged or the wrong file"),
])
@pytest.mark.parametrize("name", ["train-images-idx3-ubyte.gz"])
def test_damaged_file(tmp_path, name, data, reason):
    write_mnist(tmp_path)
    (tmp_path / name).write_bytes(data)
    with pytest.raises(DatasetError, match=re.escape(reason)) as error:
        load_mnist(data_dir=tmp_path)
    assert str(tmp_path / name) in str(error.value) and "fresh copy" in str(error.value)


@pytest.mark.parametrize("name, array, reason", [
    ("t10k-images-idx3-ubyte.gz", np.zeros((20, 28, 27)), "28 x 27 pixels"),
    ("t10k-labels-idx1-ubyte.gz", np.zeros(19), "19 labels for 20 images"),
    ("t10k-labels-idx1-ubyte.gz", [10] * 20, "the label 10"),
])
def test_files_that_do_not_fit_together(tmp_path, name, array, reason):
    write_mnist(tmp_path)
    (tmp_path / name).write_bytes(idx_bytes(array))
    with pytest.raises(DatasetError, match=reason) as error:
        load_mnist(data_dir=tmp_path)
    assert str(tmp_path / name) in str(error.value)


def test_unreadable_file(tmp_path):
    with pytest.raises(DatasetError, match="cannot read .*labels: Is a directory"):
        (tmp_path / "labels").mkdir()
        read_idx(tmp_path / "labels", ndim=1)
