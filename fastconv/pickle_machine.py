"""Read a pickle without running anything that it says.

A pickle is a program for a stack machine that may import and call whatever it names. The machine here knows
only the instructions that data need and only the names that its caller lists, each by module and name, and it
calls none of them: it writes the call down. What that stands for is for the caller to check and to make.

Python's `pickletools` decodes the instructions, and its source describes each of them.
"""
from __future__ import annotations

import io
import pickletools
import re
from collections.abc import Iterator, Mapping
from typing import IO, Any, NamedTuple

OPCODES = {opcode.code.encode("latin1"): opcode for opcode in pickletools.opcodes}
LINE = re.compile(b"[^\n]*\n?")
LITERALS = frozenset(("NONE", "INT", "BININT", "BININT1", "BININT2", "LONG", "LONG1", "UNICODE", "BINUNICODE",
                      "SHORT_BINUNICODE", "BINBYTES", "SHORT_BINBYTES", "BINBYTES8", "BYTEARRAY8"))
INSTRUCTIONS = LITERALS | {
    "NEWTRUE", "NEWFALSE", "MARK", "EMPTY_TUPLE", "TUPLE1", "TUPLE2", "TUPLE3", "TUPLE", "EMPTY_DICT", "DICT",
    "SETITEM", "SETITEMS", "GLOBAL", "STACK_GLOBAL", "REDUCE", "BUILD", "MEMOIZE", "PUT", "BINPUT", "LONG_BINPUT",
    "GET", "BINGET", "LONG_BINGET", "PROTO", "FRAME", "STOP"}
MOST_INSTRUCTIONS = 2_000_000  # an array takes some 40 of them; each may make an object of 100 bytes
LARGEST_KEY = 1 << 60  # up to there a number is its own hash; others could all have the same one


class Refused(ValueError):
    """The pickle asks for something that its purpose does not need."""


class Call:
    """A call in a pickle, not carried out, and the state that the pickle gives to its result."""

    __slots__ = __match_args__ = ("function", "arguments", "state")

    def __init__(self, function: str, arguments: Any = None, state: Any = None) -> None:
        self.function, self.arguments, self.state = function, arguments, state


class OrderedDict(dict[Any, Any]):
    """What a pickle makes of ``collections.OrderedDict``; attributes that the pickle sets are left out."""

    __slots__ = ()


class Dialect(NamedTuple):
    """What pickles of one kind may hold.

    Attributes
    ----------
    purpose : str
        The kind in words, for errors.
    names : mapping of (module, name) to str
        What may be asked for, and what `Call.function` is then. ``"OrderedDict"`` is made, not written down.
    literals, instructions : set of str
        Instructions beyond `LITERALS` and `INSTRUCTIONS`, of those that `run` knows.
    keys : tuple of types
        Types of the keys of dicts.
    """

    purpose: str
    names: Mapping[tuple[str, str], str]
    literals: frozenset[str] = frozenset()
    instructions: frozenset[str] = frozenset()
    keys: tuple[type, ...] = (str,)

    def refuse(self, what: str) -> Refused:
        return Refused(f"{what}, which {self.purpose} does not need")


def run(data: bytes | memoryview | IO[bytes], dialect: Dialect, persistent: list[Any] | None = None) -> Any:
    """Run the stack machine on one pickle and return what it ends with.

    Parameters
    ----------
    data : bytes, memoryview or binary file
        Of a memoryview, bytes in the result are views. A file is left behind the pickle's end.
    dialect : Dialect
    persistent : list, optional
        Gets all that ``persistent_load`` would get.

    Returns
    -------
    object
        None, bool, int, float, str, bytes, tuples, lists, dicts, and `Call` objects for the rest. What
        ``persistent_load`` would get is the `arguments` of a `Call` of "persistent".

    Raises
    ------
    ValueError
        The pickle is damaged, or `Refused`: it holds something else.
    """
    try:
        return _run(data, dialect, [] if persistent is None else persistent)
    except Refused:
        raise
    except (ArithmeticError, AttributeError, LookupError, TypeError, ValueError) as error:
        raise ValueError(f"no complete pickle ({error})") from error


def _run(data: bytes | memoryview | IO[bytes], dialect: Dialect, persistent: list[Any]) -> Any:
    literals, known = LITERALS | dialect.literals, INSTRUCTIONS | dialect.literals | dialect.instructions
    stack: list[Any] = []
    marks: list[int] = []
    memo: dict[int, Any] = {}
    pairs = 0

    def pop_from(start: int) -> tuple[Any, ...]:
        if start < 0:
            raise IndexError("it takes more from the stack than there is")
        items = tuple(stack[start:])
        del stack[start:]
        return items

    for count, (name, argument) in enumerate(_instructions(data)):
        if name not in known:
            raise dialect.refuse(f"has the instruction {name}")
        if count == MOST_INSTRUCTIONS:
            raise dialect.refuse(f"has more than {MOST_INSTRUCTIONS:,} instructions")
        if name in literals:
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
        elif name == "EMPTY_LIST":
            stack.append([])
        elif name == "LIST":
            stack.append(list(pop_from(marks.pop())))
        elif name in ("APPEND", "APPENDS"):
            items = pop_from(marks.pop() if name == "APPENDS" else len(stack) - 1)
            if not isinstance(stack[-1], list):
                raise dialect.refuse(f"appends to a {type(stack[-1]).__name__}")
            stack[-1].extend(items)
        elif name == "EMPTY_DICT":
            stack.append({})
        elif name == "DICT":
            stack.append(_set_items({}, pop_from(marks.pop()), dialect))
        elif name in ("SETITEM", "SETITEMS"):
            items = pop_from(marks.pop() if name == "SETITEMS" else len(stack) - 2)
            _set_items(stack[-1], items, dialect)
        elif name == "GLOBAL":
            stack.append(_named(dialect, *argument.split(" ", 1)))
        elif name == "STACK_GLOBAL":
            stack.append(_named(dialect, *pop_from(len(stack) - 2)))
        elif name == "BINPERSID":
            persistent.extend(pop_from(len(stack) - 1))
            stack.append(Call("persistent", persistent[-1]))
        elif name == "REDUCE":
            function, arguments = pop_from(len(stack) - 2)
            if isinstance(arguments, tuple) and arguments and isinstance(arguments[0], list):
                pairs += len(arguments[0])
                if pairs > count:  # each pair takes an instruction, but a list can be named again and again
                    raise dialect.refuse("makes many dicts of one list")
            stack.append(_reduced(_as_call(function, dialect).function, arguments, dialect))
        elif name == "BUILD":
            state, = pop_from(len(stack) - 1)
            if not isinstance(stack[-1], OrderedDict):
                _as_call(stack[-1], dialect).state = state
        elif name == "POP":
            pop_from(len(stack) - 1)
        elif name == "MEMOIZE":
            memo[len(memo)] = stack[-1]
        elif name in ("PUT", "BINPUT", "LONG_BINPUT"):
            if not 0 <= argument < MOST_INSTRUCTIONS:
                raise dialect.refuse("numbers what it has made otherwise than by counting")
            memo[argument] = stack[-1]
        elif name in ("GET", "BINGET", "LONG_BINGET"):
            stack.append(memo[argument])
    return stack[-1]


class _Views:
    """A file whose content is not copied."""

    def __init__(self, data: memoryview) -> None:
        self.data, self.at = data, 0

    def read(self, n: int) -> memoryview:
        part = self.data[self.at:self.at + n]
        self.at += len(part)
        return part

    def readline(self) -> bytes:
        line = LINE.match(self.data, self.at)
        return bytes(self.read(line.end() - self.at)) if line else b""


def _instructions(data: bytes | memoryview | IO[bytes]) -> Iterator[tuple[str, Any]]:
    """Yield names and arguments as `pickletools.genops` does, but bytearrays as bytes, which are not copied again."""
    file: Any = _Views(data) if isinstance(data, memoryview) else io.BytesIO(data) if isinstance(data, bytes) else data
    name = ""
    while name != "STOP":
        code = bytes(file.read(1))
        if code not in OPCODES:
            raise ValueError(f"there is no instruction {code!r}" if code else "it ends before its STOP")
        name, argument = OPCODES[code].name, OPCODES[code].arg
        if name == "BYTEARRAY8":
            yield name, pickletools.read_bytes8(file)
        else:
            yield name, None if argument is None else argument.reader(file)


def _named(dialect: Dialect, module: Any, name: Any) -> Call:
    if not (isinstance(module, str) and isinstance(name, str)):
        raise dialect.refuse("asks for something without a name")
    if (module, name) not in dialect.names:
        raise dialect.refuse(f"asks for {module[:40]}.{name[:40]}")
    return Call(dialect.names[module, name])


def _as_call(value: Any, dialect: Dialect) -> Call:
    if not isinstance(value, Call):
        raise dialect.refuse(f"calls or fills a {type(value).__name__}")
    return value


def _reduced(function: str, arguments: Any, dialect: Dialect) -> Any:
    if function != "OrderedDict":
        return Call(function, arguments)
    match arguments:
        case ():
            return OrderedDict()
        case (list(pairs),) if all(isinstance(pair, list | tuple) and len(pair) == 2 for pair in pairs):  # Python 2's
            return _set_items(OrderedDict(), tuple(item for pair in pairs for item in pair), dialect)
    raise dialect.refuse("makes an OrderedDict of something else than pairs")


def _set_items(target: Any, items: tuple[Any, ...], dialect: Dialect) -> Any:
    """Put keys and values, which alternate in `items`, into the dict `target`."""
    keys, values = items[::2], items[1::2]
    if not isinstance(target, dict) or not all(type(key) in dialect.keys for key in keys):
        allowed = " and ".join({str: "strings", int: "whole numbers"}[key] for key in dialect.keys)
        raise Refused(f"sets entries of something else than a dict with {allowed} as keys")
    if int in dialect.keys and any(type(key) is int and abs(key) >= LARGEST_KEY for key in keys):
        raise dialect.refuse("has huge numbers as keys")
    target.update(zip(keys, values, strict=True))
    return target
