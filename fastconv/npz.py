"""NumPy's archives of arrays, .npz."""
from __future__ import annotations

import io
import math
import re
import zipfile
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

from .archives import open_archive

VERSION = 1
COMMENT = b"fastconv parameters %d"  # of the whole archive
MOST_LARGER = 20  # than the file may arrays be; noise compresses to 0.9, a bomb to 0.001
SMALL = 1 << 24


def write_npz(file: IO[bytes], arrays: dict[str, NDArray[Any]]) -> None:
    """Write arrays as ``numpy.savez`` would, which cannot take an array of the name "file"."""
    with zipfile.ZipFile(file, "w") as archive:
        archive.comment = COMMENT % VERSION
        for name, array in arrays.items():
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
                array = _read_npy(archive.read(entry))
            except Exception as error:  # zipfile, zlib and NumPy's header parser each have their own
                raise ValueError(f"entry {entry.filename!r:.60}: {error or type(error).__name__}") from error
            arrays[entry.filename.removesuffix(".npy")] = array
    return arrays


def _read_npy(data: bytes) -> NDArray[Any]:
    file = io.BytesIO(data)
    version = np.lib.format.read_magic(file)
    if version not in ((1, 0), (2, 0)):
        raise ValueError(f"has version {version} of NumPy's format, which arrays of real numbers do not need")
    header = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
    shape, is_fortran, dtype = header(file)
    if dtype.kind not in "biuf":
        raise TypeError(f"has dtype {dtype}, expected real numbers")
    size = len(data) - file.tell()
    if any(n < 0 for n in shape) or math.prod(shape) * dtype.itemsize != size:
        raise ValueError(f"has {size} bytes for shape {shape} and dtype {dtype}")
    view: NDArray[Any] = np.ndarray(shape, dtype, data, file.tell(), order="F" if is_fortran else "C")
    return np.array(view, dtype.newbyteorder("="), order="C")
