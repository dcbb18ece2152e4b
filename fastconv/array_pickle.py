"""Pickled dicts of NumPy arrays, read without running anything that the file says.

`pickle_machine` writes down what the file would call; what it finds in the dict is then read as arrays: a dtype,
a shape and bytes, checked.

What is written ends with instructions that put a text with a checksum on the stack and take it away again.
"""
from __future__ import annotations

import math
import pickle
import re
import zlib
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

from .pickle_machine import Call, Dialect, run

DIALECT = Dialect("a dict of arrays", {
    ("numpy", "dtype"): "dtype",
    ("numpy", "ndarray"): "ndarray",
    ("numpy.core.multiarray", "_reconstruct"): "_reconstruct",
    ("numpy._core.multiarray", "_reconstruct"): "_reconstruct",
    ("numpy.core.numeric", "_frombuffer"): "_frombuffer",  # in protocol 5
    ("numpy._core.numeric", "_frombuffer"): "_frombuffer",
    ("_codecs", "encode"): "encode",  # in protocols 0 to 2, which have no bytes
    ("__builtin__", "bytes"): "bytes",  # there for no bytes at all
})
MOST_COPIES = 4  # entries may share an array, but a small file may not fill the memory with copies of it
REAL_NUMBERS = re.compile("b1|[iu][1248]|f(2|4|8|12|16)")
MOST_AXES = 32
LARGEST = 2**62
VERSION = 1
SEAL = b"X\x20\0\0\0fastconv parameters %03d %08x0."  # BINUNICODE, its length; POP, STOP
SEALED = re.compile(rb"X\x20\0\0\0fastconv parameters (\d{3}) ([0-9a-f]{8})0\.\Z")
SEALED_DIALECT = DIALECT._replace(instructions=frozenset(("POP",)))
MEMOIZE = b"\x94"


class _Checked:
    """A file to write to that counts a checksum and keeps the last byte, the pickle's STOP, to itself."""

    def __init__(self, file: IO[bytes]) -> None:
        self.file, self.crc, self.kept = file, 0, b""

    def write(self, data: Any) -> None:
        data = memoryview(data).cast("B")
        if len(data):
            self.put(self.kept)
            self.put(data[:-1])
            self.kept = bytes(data[-1:])

    def put(self, data: bytes | memoryview) -> None:
        self.file.write(data)
        self.crc = zlib.crc32(data, self.crc)


def write_arrays(file: IO[bytes], arrays: dict[str, NDArray[Any]]) -> None:
    """Write a pickle that ``pickle.load`` reads, with a checksum that `read_arrays` looks at."""
    checked = _Checked(file)
    pickle.dump(arrays, checked, protocol=4)  # 5 writes calls that NumPy 1 does not know
    checked.put(MEMOIZE)  # in the place of STOP, for frames have a length
    file.write(SEAL % (VERSION, checked.crc))


def read_arrays(data: bytes | memoryview, *, copy: bool = True) -> dict[str, NDArray[Any]]:
    """Return the arrays of a pickled dict.

    Parameters
    ----------
    data : bytes or memoryview
        A pickle of any protocol: a dict from strings to arrays of real numbers.
    copy : bool
        False: where `data` is writable and holds an array as it is, the array is a view.

    Returns
    -------
    dict of ndarray
        C-contiguous, native byte order, writable.

    Raises
    ------
    ValueError
        The data is damaged or holds something else. Nothing of it has been run.
    """
    sealed = SEALED.search(data, max(0, len(data) - len(SEAL % (0, 0))))
    if sealed and int(sealed[1]) > VERSION:
        raise ValueError(f"has version {int(sealed[1])} of the format, written by a newer fastconv")
    if sealed and int(sealed[2], 16) != zlib.crc32(memoryview(data)[:sealed.start()]):
        raise ValueError("has been altered: its checksum is another")
    found = run(data, SEALED_DIALECT if sealed else DIALECT)
    if not isinstance(found, dict):
        raise ValueError(f"holds a {type(found).__name__}, expected a dict of arrays")
    arrays = {}
    left = MOST_COPIES * len(data)
    for name, value in found.items():
        try:
            arrays[name] = _array(value, copy)
        except (TypeError, ValueError) as error:
            raise ValueError(f"entry {name!r:.60}: {error}") from error
        left -= arrays[name].nbytes
        if left < 0:
            raise ValueError(f"entry {name!r:.60}: the arrays so far are over {MOST_COPIES} times the file's size")
    return arrays


def _array(call: Any, copy: bool) -> NDArray[Any]:
    """Carry out a call that stands for an array."""
    axes: Any = None  # their order in memory, where it is neither C nor Fortran order
    match call:
        case Call("_reconstruct", _, (1, shape, dtype, bool(is_fortran), raw)):
            pass
        case Call("_frombuffer", (raw, dtype, shape, "C" | "F" as order), None):
            is_fortran = order == "F"
        case Call("_frombuffer", (raw, dtype, shape, "K", tuple(axes)), None):
            is_fortran = False
        case _:
            raise ValueError(f"is no array but a {type(call).__name__.lower()}")
    dtype, raw = _dtype(dtype), _bytes(raw)
    if not (isinstance(shape, tuple) and len(shape) <= MOST_AXES and all(type(n) is int and 0 <= n < LARGEST
                                                                             for n in shape)):
        raise ValueError("has no valid shape")
    if math.prod(shape) * dtype.itemsize != len(raw):
        raise ValueError(f"has {len(raw)} bytes for shape {shape} and dtype {dtype}")
    view = np.ndarray(shape, dtype, raw, order="F" if is_fortran else "C")
    take = np.array if copy or not view.flags.writeable else np.asarray
    return take(view if axes is None else view.transpose(axes), dtype.newbyteorder("="), order="C")


def _dtype(call: Any) -> np.dtype[Any]:
    match call:
        case Call("dtype", (str(code), *_), (int(), "<" | ">" | "|" | "=" as order, None, None, None, *_)):
            if REAL_NUMBERS.fullmatch(code):
                return np.dtype(code).newbyteorder(order)
            raise ValueError(f"has the dtype {code[:20]!r}, expected real numbers")
    raise ValueError("has no valid dtype")


def _bytes(value: Any) -> bytes | memoryview:
    match value:
        case bytes() | memoryview():
            return value
        case Call("encode", (str(text), "latin1"), None):
            return text.encode("latin1")
        case Call("bytes", (), None):
            return b""
    raise ValueError(f"has its content as {type(value).__name__}, expected bytes")
