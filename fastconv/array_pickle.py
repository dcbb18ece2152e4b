"""Read a pickled dict of NumPy arrays without running anything that the file says.

`pickle_machine` writes down what the file would call; what it finds in the dict is then read as arrays: a dtype,
a shape and bytes, checked.
"""
from __future__ import annotations

import math
import re
from typing import Any

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


def read_arrays(data: bytes) -> dict[str, NDArray[Any]]:
    """Return the arrays of a pickled dict.

    Parameters
    ----------
    data : bytes
        A pickle of any protocol: a dict from strings to arrays of real numbers.

    Returns
    -------
    dict of ndarray
        C-contiguous, native byte order, writable.

    Raises
    ------
    ValueError
        The data is damaged or holds something else. Nothing of it has been run.
    """
    found = run(data, DIALECT)
    if not isinstance(found, dict):
        raise ValueError(f"holds a {type(found).__name__}, expected a dict of arrays")
    arrays = {}
    left = MOST_COPIES * len(data)
    for name, value in found.items():
        try:
            arrays[name] = _array(value)
        except (TypeError, ValueError) as error:
            raise ValueError(f"entry {name[:60]!r}: {error}") from error
        left -= arrays[name].nbytes
        if left < 0:
            raise ValueError(f"entry {name[:60]!r}: the arrays so far are over {MOST_COPIES} times as large as the file")
    return arrays


def _array(call: Any) -> NDArray[Any]:
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
    if not (isinstance(shape, tuple) and len(shape) <= 32 and all(type(n) is int and n >= 0 for n in shape)):
        raise ValueError("has no valid shape")
    if math.prod(shape) * dtype.itemsize != len(raw):
        raise ValueError(f"has {len(raw)} bytes for shape {shape} and dtype {dtype}")
    view = np.ndarray(shape, dtype, raw, order="F" if is_fortran else "C")
    return np.array(view if axes is None else view.transpose(axes), dtype.newbyteorder("="), order="C")


def _dtype(call: Any) -> np.dtype[Any]:
    match call:
        case Call("dtype", (str(code), *_), (int(), "<" | ">" | "|" | "=" as order, None, None, None, *_)):
            if REAL_NUMBERS.fullmatch(code):
                return np.dtype(code).newbyteorder(order)
            raise ValueError(f"has the dtype {code[:20]!r}, expected real numbers")
    raise ValueError("has no valid dtype")


def _bytes(value: Any) -> bytes | bytearray:
    match value:
        case bytes() | bytearray():
            return value
        case Call("encode", (str(text), "latin1"), None):
            return text.encode("latin1")
        case Call("bytes", (), None):
            return b""
    raise ValueError(f"has its content as {type(value).__name__}, expected bytes")
