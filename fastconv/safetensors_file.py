"""Arrays in safetensors files, by the package of that name (imported when one is read or written)."""
from __future__ import annotations

import json
import zlib
from collections.abc import Mapping
from operator import itemgetter
from typing import IO, TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from .bfloat16 import BFLOAT16, widened

if TYPE_CHECKING:
    from types import ModuleType

VERSION = 1
DTYPES = {"F64": "<f8", "F32": "<f4", "F16": "<f2", "BF16": BFLOAT16, "I64": "<i8", "U64": "<u8", "I32": "<i4",
          "U32": "<u4", "I16": "<i2", "U16": "<u2", "I8": "i1", "U8": "u1", "BOOL": "b1"}


def write_safetensors(file: IO[bytes], arrays: Mapping[str, NDArray[Any]],
                      metadata: Mapping[str, str] | None = None) -> None:
    """Write arrays, with a checksum in the metadata, which the format itself has not.

    Raises
    ------
    TypeError
        An entry has a dtype that the format does not know.
    ValueError
        The format has the name for itself.
    ImportError
        The package is not installed.
    """
    _package()
    from safetensors.numpy import save
    contiguous = {}
    for name, array in arrays.items():
        little = np.asarray(array, array.dtype.newbyteorder("<"), order="C")
        if little.dtype.str.replace("|", "") not in DTYPES.values():
            raise TypeError(f"entry {name!r} has dtype {array.dtype}, which safetensors does not know")
        if name == "__metadata__":
            raise ValueError(f"safetensors has the name {name!r} for itself")
        contiguous[name] = little
    own = {"format": "np", "fastconv": str(VERSION), "crc32": _checksum(contiguous)}
    file.write(save(contiguous, {**(metadata or {}), **own}))


def read_safetensors(file: IO[bytes]) -> dict[str, NDArray[Any]]:
    """Return the arrays of a file; C-contiguous, native byte order, writable. bfloat16 becomes float32.

    Raises
    ------
    ValueError
        The file is damaged or holds something else than real numbers.
    ImportError
        The package is not installed.
    """
    data = file.read()
    entries, metadata = _parsed(data)
    arrays = {}
    for name, entry in sorted(entries, key=itemgetter(0)):  # which come in any order
        code = DTYPES.get(entry["dtype"])
        if code is None:
            raise ValueError(f"entry {name!r:.60}: has dtype {entry['dtype']}, expected real numbers")
        array = np.frombuffer(entry["data"], "<u2" if code == BFLOAT16 else code).reshape(entry["shape"])
        arrays[name] = widened(array) if code == BFLOAT16 else array.astype(array.dtype.newbyteorder("="), copy=False)
    version = metadata.get("fastconv", "")
    if version.isdecimal() and version.isascii() and int(version[:9]) > VERSION:
        raise ValueError(f"has version {version[:9]} of the format, written by a newer fastconv")
    if "crc32" in metadata and metadata["crc32"] != _checksum(arrays):
        raise ValueError("has been altered: its checksum is another")
    return arrays


def read_metadata(file: IO[bytes]) -> dict[str, str]:
    """Return what the file says of itself; raises as `read_safetensors` does."""
    return _parsed(file.read())[1]


def _parsed(data: bytes) -> tuple[Any, dict[str, str]]:
    """Return the package's entries and the metadata; a file is a length of 8 bytes, that much JSON, and the numbers."""
    package = _package()
    try:
        entries = package.deserialize(data)
    except package.SafetensorError as error:
        raise ValueError(str(error)) from error
    header = json.loads(data[8:8 + int.from_bytes(data[:8], "little")].decode(), object_pairs_hook=_without_repeats)
    return entries, header.get("__metadata__") or {}


def _without_repeats(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """Make a dict of a JSON object; the package takes the last entry of a name, other readers may take the first."""
    names = dict(pairs)
    if len(names) != len(pairs):
        raise ValueError("has two entries of one name")
    return names


def _checksum(arrays: Mapping[str, NDArray[Any]]) -> str:
    """Return the CRC-32 of names, dtypes, shapes and numbers, in the order of the names."""
    crc = 0
    for name in sorted(arrays):
        little = np.asarray(arrays[name], arrays[name].dtype.newbyteorder("<"))
        crc = zlib.crc32(f"{name}\0{little.dtype.str}{little.shape}".encode(), crc)
        crc = zlib.crc32(little.reshape(-1).view(np.uint8).data, crc)
    return f"{crc:08x}"


def _package() -> ModuleType:
    try:
        import safetensors
    except ImportError as error:
        raise ImportError("safetensors files need the package safetensors: pip install safetensors") from error
    return safetensors
