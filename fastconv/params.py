"""Named arrays to and from files: .pkl, as the book writes it, and .npz."""
from __future__ import annotations

import io
import os
import pickle
import secrets
import zipfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from .array_pickle import read_arrays

Arrays = dict[str, NDArray[Any]]


def save(file_name: str | os.PathLike[str], arrays: Mapping[str, ArrayLike]) -> None:
    """Write named arrays to a file, whole or not at all.

    The new file takes the place of an old one only when it is complete and on the disk.

    Parameters
    ----------
    file_name : path
        The suffix is the format. ``.pkl``: a pickled dict of arrays, which the book's code and plain
        ``pickle.load`` read. ``.npz``: NumPy's archive.
    arrays : mapping of str to array
        Arrays of real numbers (bool, integer, floating).

    Raises
    ------
    ValueError
        Unknown suffix.
    TypeError
        A name is no string, or an entry has another dtype.
    OSError
        The file cannot be written. An old one is as it was.
    """
    path = Path(os.path.realpath(file_name))  # so that a link stays, and the file behind it is replaced
    write, _ = _format(path)
    checked = {}
    for name, value in arrays.items():
        if not isinstance(name, str):
            raise TypeError(f"params.save: {path}: the name {name!r} is no string")
        checked[name] = np.asarray(value)
        try:
            _check_real(checked[name])
        except TypeError as error:
            raise TypeError(f"params.save: {path}: entry {name!r} {error}") from None
    with _replacing(path) as file:
        write(file, checked)


def load(file_name: str | os.PathLike[str]) -> Arrays:
    """Read named arrays from a file that `save`, the book's code or ``numpy.savez`` wrote.

    Nothing in the file is ever run: a pickle may hold a dict of arrays of real numbers, and nothing else.

    Parameters
    ----------
    file_name : path
        The suffix, ``.pkl`` or ``.npz``, is the format.

    Returns
    -------
    dict of str to ndarray

    Raises
    ------
    ValueError
        Unknown suffix, or the file is damaged or holds something else; the message names file and entry.
    OSError
        The file cannot be read.
    """
    path = Path(file_name)
    _, read = _format(path)
    with path.open("rb") as file:
        try:
            return read(file)
        except (ValueError, zipfile.BadZipFile) as error:
            raise ValueError(f"params.load: {path}: {error}") from error


def _write_pickle(file: IO[bytes], arrays: Arrays) -> None:
    pickle.dump(arrays, file, protocol=4)  # 5 writes calls that NumPy 1 does not know


def _read_pickle(file: IO[bytes]) -> Arrays:
    return read_arrays(file.read())


def _write_npz(file: IO[bytes], arrays: Arrays) -> None:
    with zipfile.ZipFile(file, "w") as archive:  # numpy.savez cannot take an array of the name "file"
        for name, array in arrays.items():
            with archive.open(f"{name}.npy", "w", force_zip64=True) as entry:
                np.lib.format.write_array(entry, array, allow_pickle=False)


def _read_npz(file: IO[bytes]) -> Arrays:
    arrays = {}
    with zipfile.ZipFile(file) as archive:
        for name in archive.namelist():
            try:
                array = np.lib.format.read_array(io.BytesIO(archive.read(name)), allow_pickle=False)
                _check_real(array)
            except Exception as error:  # zipfile, zlib and NumPy's header parser each have their own
                raise ValueError(f"entry {name!r}: {error or type(error).__name__}") from error
            arrays[name.removesuffix(".npy")] = np.array(array, array.dtype.newbyteorder("="), order="C")
    return arrays


FORMATS: dict[str, tuple[Callable[[IO[bytes], Arrays], None], Callable[[IO[bytes]], Arrays]]] = {
    ".pkl": (_write_pickle, _read_pickle),
    ".npz": (_write_npz, _read_npz),
}


def _format(path: Path) -> tuple[Callable[[IO[bytes], Arrays], None], Callable[[IO[bytes]], Arrays]]:
    try:
        return FORMATS[path.suffix]
    except KeyError:
        raise ValueError(f"{path}: the suffix {path.suffix!r} is no format for parameters, expected "
                         f"{' or '.join(FORMATS)}") from None


def _check_real(array: NDArray[Any]) -> None:
    if array.dtype.kind not in "biuf":
        raise TypeError(f"has dtype {array.dtype}, expected real numbers")


@contextmanager
def _replacing(path: Path) -> Iterator[IO[bytes]]:
    """Open a new file beside `path` that takes its place when the block ends well, else is deleted."""
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(4)}.tmp")
    try:
        with temporary.open("xb") as file:  # the mode follows the umask, unlike tempfile's
            yield file
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
    except BaseException as error:
        temporary.unlink(missing_ok=True)
        if isinstance(error, OSError):
            raise OSError(error.errno, f"parameters not written: {error.strerror}", str(path)) from error
        raise
