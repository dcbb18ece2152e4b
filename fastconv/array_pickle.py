"""Read a pickled dict of NumPy arrays without running anything that the file says.

A pickle is a program for a stack machine that may import and call whatever it names. The machine here knows
only the instructions that a dict of arrays needs and only the names in `CALLS`, and it calls none of them: it
writes the call down. What it finds in the dict is then read as arrays: a dtype, a shape and bytes, checked.

Python's `pickletools` decodes the instructions, and its source describes each of them.
"""
from __future__ import annotations

import math
import pickletools
import re
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

CALLS = {
    ("numpy", "dtype"): "dtype",
    ("numpy", "ndarray"): "ndarray",
    ("numpy.core.multiarray", "_reconstruct"): "_reconstruct",
    ("numpy._core.multiarray", "_reconstruct"): "_reconstruct",
    ("numpy.core.numeric", "_frombuffer"): "_frombuffer",  # in protocol 5
    ("numpy._core.numeric", "_frombuffer"): "_frombuffer",
    ("_codecs", "encode"): "encode",  # in protocols 0 to 2, which have no bytes
    ("__builtin__", "bytes"): "bytes",  # there for no bytes at all
}
LITERALS = frozenset(("NONE", "INT", "BININT", "BININT1", "BININT2", "LONG", "LONG1", "UNICODE", "BINUNICODE",
                      "SHORT_BINUNICODE", "BINBYTES", "SHORT_BINBYTES", "BINBYTES8", "BYTEARRAY8"))
REAL_NUMBERS = re.compile("b1|[iu][1248]|f(2|4|8|12|16)")


class Refused(ValueError):
    """The pickle asks for something that a dict of arrays does not need."""


@dataclass
class Call:
    """A call in a pickle, not carried out, and the state that the pickle gives to its result."""

    function: str
    arguments: Any = None
    state: Any = None


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
    try:
        found = _run(data)
    except Refused:
        raise
    except (ArithmeticError, LookupError, TypeError, ValueError) as error:
        raise ValueError(f"no complete pickle ({error})") from error
    if not isinstance(found, dict):
        raise ValueError(f"holds a {type(found).__name__}, expected a dict of arrays")
    arrays = {}
    for name, value in found.items():
        try:
            arrays[name] = _array(value)
        except (TypeError, ValueError) as error:
            raise ValueError(f"entry {name!r}: {error}") from error
    return arrays


def _run(data: bytes) -> Any:
    """Run the stack machine and return what it ends with; arrays are left as `Call` objects."""
    stack: list[Any] = []
    marks: list[int] = []
    memo: dict[int, Any] = {}

    def pop_from(start: int) -> tuple[Any, ...]:
        if start < 0:
            raise IndexError("it takes more from the stack than there is")
        items = tuple(stack[start:])
        del stack[start:]
        return items

    argument: Any
    for instruction, argument, _ in pickletools.genops(data):
        name = instruction.name
        if name in LITERALS:
            stack.append(argument)
        elif name in ("NEWTRUE", "NEWFALSE"):
            stack.append(name == "NEWTRUE")
        elif name == "MARK":
            marks.append(len(stack))
        elif name == "EMPTY_TUPLE":
            stack.append(())
        elif name in ("TUPLE1", "TUPLE2", "TUPLE3"):
            stack.append(pop_from(len(stack) - int(name[-1])))
        elif name == "TUPLE":
            stack.append(pop_from(marks.pop()))
        elif name == "EMPTY_DICT":
            stack.append({})
        elif name == "DICT":
            stack.append(_set_items({}, pop_from(marks.pop())))
        elif name in ("SETITEM", "SETITEMS"):
            items = pop_from(marks.pop() if name == "SETITEMS" else len(stack) - 2)
            _set_items(stack[-1], items)
        elif name == "GLOBAL":
            stack.append(_named(*argument.split(" ", 1)))
        elif name == "STACK_GLOBAL":
            stack.append(_named(*pop_from(len(stack) - 2)))
        elif name == "REDUCE":
            function, arguments = pop_from(len(stack) - 2)
            stack.append(Call(_as_call(function).function, arguments))
        elif name == "BUILD":
            state = pop_from(len(stack) - 1)
            _as_call(stack[-1]).state, = state
        elif name == "MEMOIZE":
            memo[len(memo)] = stack[-1]
        elif name in ("PUT", "BINPUT", "LONG_BINPUT"):
            memo[argument] = stack[-1]
        elif name in ("GET", "BINGET", "LONG_BINGET"):
            stack.append(memo[argument])
        elif name not in ("PROTO", "FRAME", "STOP"):
            raise Refused(f"has the instruction {name}, which a dict of arrays does not need")
    return stack[-1]


def _named(module: Any, name: Any) -> Call:
    if not (isinstance(module, str) and isinstance(name, str)):
        raise Refused("asks for something without a name, which a dict of arrays does not need")
    if (module, name) not in CALLS:
        raise Refused(f"asks for {module[:40]}.{name[:40]}, which a dict of arrays does not need")
    return Call(CALLS[module, name])


def _as_call(value: Any) -> Call:
    if not isinstance(value, Call):
        raise Refused(f"calls or fills a {type(value).__name__}, which a dict of arrays does not need")
    return value


def _set_items(target: Any, items: tuple[Any, ...]) -> Any:
    """Put keys and values, which alternate in `items`, into the dict `target`."""
    keys, values = items[::2], items[1::2]
    if not isinstance(target, dict) or not all(isinstance(key, str) for key in keys):
        raise Refused("sets entries of something else than a dict with strings as keys")
    target.update(zip(keys, values, strict=True))
    return target


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
