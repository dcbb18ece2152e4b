"""dataset.mnist.load_mnist finds the book's data in the book's folder, and else where fastconv does."""
from __future__ import annotations

import os
import pickle

import numpy as np
import pytest
from mnist_files import write_mnist

import fastconv
from fastconv.datasets import DatasetError


@pytest.fixture
def load_mnist(load, monkeypatch):
    monkeypatch.delenv("FASTCONV_DATA_DIR", raising=False)
    fastconv.install()
    return load("dataset.mnist").load_mnist


def book_pickle(folder, n=7):
    rng = np.random.default_rng(0)
    arrays = {"train_img": rng.integers(0, 256, (n, 784)).astype(np.uint8),
              "train_label": rng.integers(0, 10, n).astype(np.uint8),
              "test_img": rng.integers(0, 256, (3, 784)).astype(np.uint8),
              "test_label": rng.integers(0, 10, 3).astype(np.uint8)}
    (folder / "dataset" / "mnist.pkl").write_bytes(pickle.dumps(arrays, -1))
    return arrays


@pytest.mark.parametrize("normalize", [True, False])
@pytest.mark.parametrize("flatten", [True, False])
@pytest.mark.parametrize("one_hot", [True, False])
def test_the_books_pickle(load_mnist, folder, normalize, flatten, one_hot):
    arrays = book_pickle(folder)
    found = load_mnist(normalize=normalize, flatten=flatten, one_hot_label=one_hot)
    for (x, t), name in zip(found, ("train", "test"), strict=True):
        images, labels = arrays[f"{name}_img"], arrays[f"{name}_label"]
        expected = images.astype(np.float32) / 255 if normalize else images
        np.testing.assert_array_equal(x, expected if flatten else expected.reshape(-1, 1, 28, 28))
        np.testing.assert_array_equal(t, np.eye(10)[labels] if one_hot else labels)
        assert x.dtype == (np.float32 if normalize else np.uint8)


def test_idx_files_in_the_books_folder(load_mnist, folder):
    (images, labels), _ = write_mnist(folder / "dataset")
    (x, t), _ = load_mnist(normalize=False)
    np.testing.assert_array_equal(x, images.reshape(-1, 784))
    np.testing.assert_array_equal(t, labels)


def test_a_pickle_that_would_run_something_is_not_read(load_mnist, folder, capsys):
    class Evil:
        def __reduce__(self):
            return os.mkdir, (str(folder / "broken_in"),)

    (folder / "dataset" / "mnist.pkl").write_bytes(pickle.dumps({"train_img": Evil()}))
    write_mnist(folder / "dataset")
    load_mnist()
    assert not (folder / "broken_in").exists()
    assert "mnist.pkl is not used" in capsys.readouterr().err


def test_the_folder_in_the_environment(load_mnist, tmp_path, monkeypatch):
    (tmp_path / "data").mkdir()
    (images, _), _ = write_mnist(tmp_path / "data")
    monkeypatch.setenv("FASTCONV_DATA_DIR", str(tmp_path / "data"))
    assert len(load_mnist()[0][0]) == len(images)
    monkeypatch.setenv("FASTCONV_DATA_DIR", str(tmp_path / "nothing"))
    with pytest.raises(DatasetError, match="nothing"):
        load_mnist()


def test_out_of_reach_of_everything_the_excerpt_is_taken_and_said(load_mnist, monkeypatch, tmp_path, capsys):
    monkeypatch.setattr("fastconv.datasets.fetch.cache_folder", lambda: tmp_path / "cache")
    monkeypatch.setattr("fastconv.datasets.fetch.download", _fail)
    (x_train, _), (x_test, _) = load_mnist()
    assert (len(x_train), len(x_test)) == (4000, 1000)
    said = capsys.readouterr().err
    assert "MNIST is out of reach" in said and "5,000 digits" in said and "FASTCONV_DATA_DIR" in said


def test_in_strict_mode_it_is_not(load, monkeypatch, tmp_path):
    monkeypatch.delenv("FASTCONV_DATA_DIR", raising=False)
    monkeypatch.setattr("fastconv.datasets.fetch.cache_folder", lambda: tmp_path / "cache")
    monkeypatch.setattr("fastconv.datasets.fetch.download", _fail)
    fastconv.install(strict_book=True)
    with pytest.raises(DatasetError, match="no network"):
        load("dataset.mnist").load_mnist()


def _fail(folder, timeout):
    raise DatasetError("no network")
