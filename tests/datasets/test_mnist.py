"""load_mnist: what it returns, and where it looks."""
import hashlib
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from mnist_files import write_mnist

from fastconv.datasets import DatasetError, fetch, find_mnist, load_mnist, mnist


@pytest.fixture(autouse=True)
def no_sources(monkeypatch, tmp_path):
    """No data folder, an empty cache and no network, unless a test says otherwise."""
    monkeypatch.delenv("FASTCONV_DATA_DIR", raising=False)
    monkeypatch.setattr(fetch, "cache_folder", lambda: tmp_path / "cache")
    monkeypatch.setattr(fetch, "MIRRORS", ("http://127.0.0.1:9/",))  # the discard port: refused at once


def test_excerpt_is_what_attribution_says():
    (x_train, t_train), (x_test, t_test) = load_mnist(normalize=False, source="excerpt")
    assert (x_train.shape, x_test.shape) == ((4000, 784), (1000, 784))
    assert (np.bincount(t_train) + np.bincount(t_test)).tolist() == [500] * 10
    assert len(np.unique(np.concatenate([x_train, x_test]), axis=0)) == 5000
    attribution = (mnist.EXCERPT / "ATTRIBUTION.txt").read_text()
    for x, name in ((x_train, "train-images"), (x_test, "t10k-images")):
        data = bytes([0, 0, 8, 3, *len(x).to_bytes(4, "big"), 0, 0, 0, 28, 0, 0, 0, 28]) + x.tobytes()
        assert f"{hashlib.sha256(data).hexdigest()}  {name}-idx3-ubyte" in attribution
    for t, name in ((t_train, "train-labels"), (t_test, "t10k-labels")):
        data = bytes([0, 0, 8, 1, *len(t).to_bytes(4, "big")]) + t.tobytes()
        assert f"{hashlib.sha256(data).hexdigest()}  {name}-idx1-ubyte" in attribution


def test_forms_of_the_book(tmp_path):
    (pixels, labels), (test_pixels, _) = write_mnist(tmp_path)
    (x, t), (x_test, t_test) = load_mnist(data_dir=tmp_path)
    assert (x.dtype, x.shape, t.dtype, t.shape) == (np.float32, (60, 784), np.uint8, (60,))
    assert (x_test.shape, t_test.shape) == ((20, 784), (20,))
    np.testing.assert_array_equal(x.reshape(-1, 28, 28), pixels.astype(np.float32) / np.float32(255))
    np.testing.assert_array_equal(t, labels)

    (x, t), (x_test, _) = load_mnist(normalize=False, flatten=False, one_hot_label=True, data_dir=tmp_path)
    assert (x.dtype, x.shape, t.dtype, t.shape) == (np.uint8, (60, 1, 28, 28), np.float64, (60, 10))
    np.testing.assert_array_equal(x_test[:, 0], test_pixels)
    np.testing.assert_array_equal(t.argmax(axis=1), labels)
    np.testing.assert_array_equal(t.sum(axis=1), np.ones(60))
    x[...] = 0  # the caller's own, writable


@pytest.mark.parametrize("packed", [True, False])
@pytest.mark.parametrize("dotted", [True, False])
def test_spellings_of_the_file_names(tmp_path, packed, dotted):
    (pixels, _), _ = write_mnist(tmp_path, packed=packed, dotted=dotted)
    (x, _), _ = load_mnist(normalize=False, data_dir=str(tmp_path))
    np.testing.assert_array_equal(x.reshape(pixels.shape), pixels)


def test_unpacked_content_under_a_gz_name(tmp_path):
    (_, labels), _ = write_mnist(tmp_path, packed=False)
    for path in list(tmp_path.iterdir()):
        path.rename(path.with_name(path.name + ".gz"))
    np.testing.assert_array_equal(load_mnist(data_dir=tmp_path)[0][1], labels)


def test_data_dir_goes_before_the_environment(tmp_path, monkeypatch):
    for name, n in (("argument", 30), ("environment", 40)):
        (tmp_path / name).mkdir()
        write_mnist(tmp_path / name, n)
    monkeypatch.setenv("FASTCONV_DATA_DIR", str(tmp_path / "environment"))
    assert len(load_mnist()[0][1]) == 40
    assert find_mnist("auto").folder == find_mnist("mnist").folder == tmp_path / "environment"
    assert len(load_mnist(data_dir=tmp_path / "argument")[0][1]) == 30
    assert len(load_mnist(source="excerpt")[0][1]) == 4000


@pytest.mark.parametrize("by_environment", [True, False])
def test_a_named_folder_without_the_files_is_an_error(tmp_path, monkeypatch, by_environment):
    write_mnist(tmp_path)
    (tmp_path / "t10k-labels-idx1-ubyte.gz").unlink()
    if by_environment:
        monkeypatch.setenv("FASTCONV_DATA_DIR", str(tmp_path))
    with pytest.raises(DatasetError, match="t10k-labels-idx1-ubyte, t10k-labels-idx1-ubyte.gz") as error:
        load_mnist(data_dir=None if by_environment else tmp_path)
    assert str(tmp_path) in str(error.value) and "FASTCONV_DATA_DIR" in str(error.value)


def test_a_named_folder_that_does_not_exist_is_an_error(tmp_path):
    with pytest.raises(DatasetError, match="in .*missing, which is no folder; looked for .*--data"):
        load_mnist(data_dir=tmp_path / "missing")


def test_no_source_names_the_remedies():
    with pytest.raises(DatasetError) as error:
        load_mnist()
    for remedy in ("data_dir=", "FASTCONV_DATA_DIR", "network", "source='excerpt'", "--data excerpt", "127.0.0.1:9"):
        assert remedy in str(error.value)


def test_auto_falls_back_to_the_excerpt_and_says_so():
    source = find_mnist("auto")
    assert (source.folder, source.name) == (mnist.EXCERPT, "excerpt of MNIST")
    assert "no mirror could deliver" in source.note and "\n" not in source.note
    assert find_mnist("excerpt") == (mnist.EXCERPT, "excerpt of MNIST", "")
    with pytest.raises(DatasetError):
        find_mnist("mnist")


def test_find_takes_a_folder(tmp_path):
    assert find_mnist(str(tmp_path)).folder == tmp_path


@pytest.mark.parametrize("arguments", [{"source": "fashion"}, {"source": "excerpt", "data_dir": "here"}])
def test_wrong_arguments(arguments):
    with pytest.raises(ValueError, match="source"):
        load_mnist(**arguments)


def test_import_does_not_load_the_downloader():
    code = "import sys; from fastconv.datasets import load_mnist; load_mnist(source='excerpt')"
    code += "; sys.exit('pooch' in sys.modules)"
    environment = os.environ | {"PYTHONPATH": str(Path(mnist.__file__).parents[2])}
    subprocess.run([sys.executable, "-c", code], check=True, env=environment)
