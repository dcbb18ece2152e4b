"""NumPy's archives of arrays, .npz."""
from __future__ import annotations

import io
import math
import re
import struct
import zipfile
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

from .archives import open_archive
from .array_pickle import REAL_NUMBERS

VERSION = 1
COMMENT = b"fastconv parameters %d"  # of the whole archive
MOST_LARGER = 20  # than the file may arrays be; noise compresses to 0.9, a bomb to 0.001
SMALL = 1 << 24
MAGIC = b"\x93NUMPY"
LENGTHS = {b"\1\0": "<H", b"\2\0": "<I"}  # of the header, by version; version 3 has names in UTF-8, for records
LONGEST_HEADER = 10_000
HEADER = re.compile(r"""\{['"]descr['"]:['"]([^'"]*)['"],['"]fortran_order['"]:(True|False),"""
                    r"""['"]shape['"]:\(((?:\d{1,19}L?(?:,\d{1,19}L?)*)?),?\),?\}\n*""")  # L: of Python 2


def write_npz(file: IO[bytes], arrays: dict[str, NDArray[Any]]) -> None:
    """Write arrays as ``numpy.savez`` would, which cannot take an array of the name "file"."""
    with zipfile.ZipFile(file, "w") as archive:
        archive.comment = COMMENT % VERSION
        for name, array in arrays.items():
            if "\0" in name:
                raise ValueError(f"entry {name!r:.60}: a zip archive cannot hold a name with a zero in it")
            with archive.open(f"{name}.npy", "w", force_zip64=True) as entry:
                np.lib.format.write_array(entry, array, allow_pickle=False)


def read_npz(file: IO[bytes]) -> dict[str, NDArray[Any]]:
    """Return the arrays of an archive, compressed or not; C-contiguous, native byte order, writable.

    Raises
    ------
    ValueError
        The file is damaged, holds something else than arrays of real numbers, or is much smaller than them.
    """
    file_size = file.seek(0, io.SEEK_END)
    arrays = {}
    with open_archive(file) as archive:
        written = re.fullmatch(COMMENT.replace(b"%d", rb"(\d{1,9})"), archive.comment)
        if written and int(written[1]) > VERSION:
            raise ValueError(f"has version {int(written[1])} of the format, written by a newer fastconv")
        entries = archive.infolist()
        if sum(entry.file_size for entry in entries) > max(MOST_LARGER * file_size, SMALL):
            raise ValueError(f"is to become over {MOST_LARGER} times as large when it is unpacked")
        for entry in entries:
            try:
                if entry.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
                    raise ValueError("is compressed in a way that numpy.savez does not use")
                with archive.open(entry) as record:
                    array = _read_npy(record.read(entry.file_size))  # not one byte more, whatever there is
            except Exception as error:  # zipfile, zlib and NumPy have each their own
                raise ValueError(f"entry {entry.filename!r:.60}: {str(error) or type(error).__name__}") from error
            name = entry.filename.removesuffix(".npy")
            if name in arrays:
                raise ValueError(f"has two entries of one name, {name!r:.60}")
            arrays[name] = array
    return arrays


def _read_npy(data: bytes) -> NDArray[Any]:
    """Read an array; NumPy would read its header as Python, of which a hostile one can overflow the stack."""
    if data[:6] != MAGIC:
        raise ValueError("is no array, which starts with \\x93NUMPY")
    length = LENGTHS.get(data[6:8])
    if length is None:
        raise ValueError("has a version of NumPy's format that arrays of real numbers do not need")
    start = 8 + struct.calcsize(length)
    end = start + struct.unpack_from(length, data, 8)[0]
    if end > min(len(data), LONGEST_HEADER):
        raise ValueError(f"has a header of {end - start} bytes, which is too long")
    found = HEADER.fullmatch(data[start:end].decode("latin1").replace(" ", ""))
    if not found:
        raise ValueError("has no header of an array of real numbers")
    code, order, sizes = found.groups()
    if not REAL_NUMBERS.fullmatch(code.lstrip("<>|=")):
        raise TypeError(f"has dtype {code!r:.20}, expected real numbers")
    dtype, shape = np.dtype(code), tuple(int(n) for n in re.findall(r"\d+", sizes))
    if math.prod(shape) * dtype.itemsize != len(data) - end:
        raise ValueError(f"has {len(data) - end} bytes for shape {shape} and dtype {dtype}")
    view: NDArray[Any] = np.ndarray(shape, dtype, data, end, order="F" if order == "True" else "C")
    return np.array(view, dtype.newbyteorder("="), order="C")
