"""The IDX file format, in which MNIST is published (plain or gzipped)."""
from __future__ import annotations

import io
import math
import zlib
from pathlib import Path
from typing import IO, cast

import numpy as np
from numpy.typing import NDArray

from ..files import open_regular

MOST_LARGER = 100  # than a gzipped file may its content be; digits compress to 0.2, a bomb to 0.001
SMALL = 1 << 24
GZIP = b"\x1f\x8b"


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
        The file cannot be read or unpacked, is not such a file, is longer or shorter than its header says, or would
        become much larger when it is unpacked.
    """
    import gzip
    packed = _content(path)
    data: IO[bytes] = io.BytesIO(packed)
    if packed.startswith(GZIP):
        data = cast(IO[bytes], gzip.GzipFile(fileobj=data))
    try:
        return _read(path, data, ndim, max(MOST_LARGER * len(packed), SMALL))
    except (EOFError, gzip.BadGzipFile, zlib.error) as error:
        raise damaged(path, f"it does not unpack ({error})") from error


def _read(path: Path, data: IO[bytes], ndim: int, most: int) -> NDArray[np.uint8]:
    magic = bytes([0, 0, 8, ndim])
    header = data.read(4 + 4 * ndim)
    if header[:4] != magic:
        found = header[:4].hex(" ") or "nothing"
        raise damaged(path, f"it starts with {found}, an IDX file of this kind with {magic.hex(' ')}")
    if len(header) < 4 + 4 * ndim:
        raise damaged(path, f"it ends within its header, after {len(header)} of {4 + 4 * ndim} bytes")
    shape = tuple(int(size) for size in np.frombuffer(header, ">u4", ndim, offset=4))
    size = math.prod(shape)
    if math.prod(max(1, n) for n in shape) > most:
        raise damaged(path, f"its header promises {len(header) + size:,} bytes for shape {shape}, more than such a "
                            "file can hold")
    content = data.read(size + 1)
    if len(content) != size:
        has = "more" if len(content) > size else f"{len(header) + len(content):,}"
        raise damaged(path, f"its header promises {len(header) + size:,} bytes for shape {shape}, it has {has}")
    return np.frombuffer(content, np.uint8).reshape(shape).copy()


def damaged(path: Path, reason: str) -> DatasetError:
    """Return the error for a file with the wrong content."""
    return DatasetError(f"{path} is damaged or the wrong file: {reason}. Replace it with a fresh copy.")


def _content(path: Path) -> bytes:
    try:
        with open_regular(path) as file:
            return file.read()
    except OSError as error:
        raise DatasetError(f"cannot read {path}: {error.strerror}") from error
