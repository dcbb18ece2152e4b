"""The IDX file format, in which MNIST is published (plain or gzipped)."""
from __future__ import annotations

import gzip
import math
import zlib
from pathlib import Path

import numpy as np
from numpy.typing import NDArray


class DatasetError(OSError):
    """A data set is missing, out of reach or damaged; the message names the file and what to do."""


def read_idx(path: Path, ndim: int) -> NDArray[np.uint8]:
    """Read an IDX file of unsigned bytes.

    The file is a header (two zero bytes, the type 0x08, the number of axes, then the size of each axis as a
    big-endian uint32), followed by the bytes in C order. A gzipped file is recognised by its content.

    Parameters
    ----------
    path : Path
    ndim : int
        The number of axes that the file must have: 3 for images, 1 for labels.

    Returns
    -------
    ndarray
        uint8, writable.

    Raises
    ------
    DatasetError
        The file cannot be read or unpacked, is not such a file, or is longer or shorter than its header says.
    """
    data = _unpacked(path)
    magic = bytes([0, 0, 8, ndim])
    if data[:4] != magic:
        found = data[:4].hex(" ") or "nothing"
        raise damaged(path, f"it starts with {found}, an IDX file of this kind with {magic.hex(' ')}")
    header = 4 + 4 * ndim
    if len(data) < header:
        raise damaged(path, f"it ends within its header, after {len(data)} of {header} bytes")
    shape = tuple(int(size) for size in np.frombuffer(data, ">u4", ndim, offset=4))
    expected = header + math.prod(shape)
    if len(data) != expected:
        raise damaged(path, f"its header promises {expected:,} bytes for shape {shape}, it has {len(data):,}")
    return np.frombuffer(data, np.uint8, offset=header).reshape(shape).copy()


def damaged(path: Path, reason: str) -> DatasetError:
    """Return the error for a file with the wrong content."""
    return DatasetError(f"{path} is damaged or the wrong file: {reason}. Replace it with a fresh copy.")


def _unpacked(path: Path) -> bytes:
    try:
        data = path.read_bytes()
    except OSError as error:
        raise DatasetError(f"cannot read {path}: {error.strerror}") from error
    if not data.startswith(b"\x1f\x8b"):
        return data
    try:
        return gzip.decompress(data)
    except (EOFError, OSError, zlib.error) as error:
        raise damaged(path, f"it does not unpack ({error})") from error
