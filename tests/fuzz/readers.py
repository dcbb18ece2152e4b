"""What reads files from strangers, one function of bytes each: it returns, or raises AssertionError for a fault.

A reader may refuse a file with its documented exception and a short, printable message that names the file. Anything
else, an array of something else than real numbers, or more memory than the file's size allows is a fault.
"""
from __future__ import annotations

import atexit
import os
import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
from torch_files import of_records

from fastconv import params
from fastconv.datasets.idx import DatasetError, read_idx
from fastconv.images import read_image

SMALL = 1 << 24  # that much may a small file become
LARGEST_IMAGE = 1 << 28  # in pixels; Pillow refuses larger ones
FOLDER = Path(tempfile.mkdtemp(prefix="fastconv-fuzz-", dir="/dev/shm" if os.access("/dev/shm", os.W_OK) else None))
atexit.register(shutil.rmtree, FOLDER, ignore_errors=True)


def _refused(call: Callable[[Path], object], path: Path, allowed: type[Exception]) -> object:
    """Return what a call returns, or None if it refuses the file as it should."""
    try:
        return call(path)
    except allowed as error:
        text = str(error)
        assert str(path) in text and text.isprintable() and len(text) < 700, f"a message that does not do: {text!r}"
        return None


def _params(suffix: str, most: Callable[[int], int], data: bytes) -> None:
    path = FOLDER / f"p{suffix}"
    path.write_bytes(data)
    arrays = _refused(params.load, path, ValueError)
    if arrays is None:
        return
    assert type(arrays) is dict
    for name, array in arrays.items():
        assert type(name) is str and type(array) is np.ndarray and array.dtype.kind in "biuf"
        assert array.dtype.isnative and array.flags.c_contiguous and array.flags.writeable
    assert sum(array.nbytes for array in arrays.values()) <= most(len(data))


def pkl(data: bytes) -> None:
    """A pickled dict."""
    _params(".pkl", lambda size: 4 * size, data)


def npz(data: bytes) -> None:
    """NumPy's archive."""
    _params(".npz", lambda size: max(20 * size, SMALL), data)


def npy(data: bytes) -> None:
    """An entry of NumPy's archive, under a right checksum."""
    npz(of_records({"W1.npy": data}))


def safetensors(data: bytes) -> None:
    """A safetensors file, and its metadata."""
    _params(".safetensors", lambda size: 2 * size, data)
    _refused(params.metadata, FOLDER / "p.safetensors", ValueError)


def safetensors_header(data: bytes) -> None:
    """The header of a safetensors file, before 24 bytes of numbers."""
    safetensors(len(data).to_bytes(8, "little") + data + bytes(24))


def pth(data: bytes) -> None:
    """PyTorch's file, a zip archive or of the older format."""
    _params(".pth", lambda size: 5 * size, data)


def pth_pickle(data: bytes) -> None:
    """The pickle of PyTorch's archive, under a right checksum, beside a storage of six numbers."""
    pth(of_records({"archive/data.pkl": data, "archive/data/0": bytes(24)}))


def idx(data: bytes) -> None:
    """An IDX file, plain or gzipped, of images or of labels."""
    path = FOLDER / "idx"
    path.write_bytes(data)
    for ndim in (1, 3):
        array = _refused(lambda path, ndim=ndim: read_idx(path, ndim), path, DatasetError)
        if array is not None:
            assert isinstance(array, np.ndarray) and array.dtype == np.uint8 and array.ndim == ndim
            assert array.size <= max(100 * len(data), SMALL)


def image(data: bytes) -> None:
    """An image file."""
    path = FOLDER / "image"
    path.write_bytes(data)
    array = _refused(read_image, path, ValueError)
    if array is not None:
        assert isinstance(array, np.ndarray) and array.dtype == np.uint8 and len(array) == 3
        assert array.size <= 3 * LARGEST_IMAGE


READERS: dict[str, Callable[[bytes], None]] = {
    reader.__name__: reader for reader in (pkl, npz, npy, safetensors, safetensors_header, pth, pth_pickle, idx, image)}
