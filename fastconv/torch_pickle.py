"""Read the tensors of a PyTorch state dict (``torch.save``) without PyTorch, and without running anything in the file.

Two formats: since PyTorch 1.6 a zip archive of a pickle and one record of raw numbers for each storage; before
that, and with ``_use_new_zipfile_serialization=False``, four pickles, a list of the storages, and these one after
the other. In both, a tensor is a call with a storage, an offset, a shape and strides (``torch/serialization.py`` and
``torch/_utils.py``). `pickle_machine` writes these calls down; here they are checked and made into arrays.
"""
from __future__ import annotations

import os
import zipfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import IO, Any, Literal

import numpy as np
from numpy.typing import NDArray

from .archives import open_archive
from .bfloat16 import BFLOAT16, widened
from .pickle_machine import Call, Dialect, Refused, run

STORAGES = {"Float": "f4", "Double": "f8", "Half": "f2", "BFloat16": BFLOAT16, "Long": "i8", "Int": "i4", "Short": "i2",
            "Char": "i1", "Byte": "u1", "Bool": "b1"}
DTYPES = {"float32": "f4", "float64": "f8", "float16": "f2", "bfloat16": BFLOAT16, "int64": "i8", "int32": "i4",
          "int16": "i2", "int8": "i1", "uint8": "u1", "bool": "b1", "uint16": "u2", "uint32": "u4", "uint64": "u8"}
DIALECT = Dialect(
    "a state dict of real tensors",
    {("torch._utils", "_rebuild_tensor"): "tensor",  # before 0.4
     ("torch._utils", "_rebuild_tensor_v2"): "tensor",
     ("torch._utils", "_rebuild_tensor_v3"): "typed tensor",
     ("torch._utils", "_rebuild_parameter"): "parameter",
     ("torch", "device"): "device",
     ("collections", "OrderedDict"): "OrderedDict",
     ("torch.storage", "UntypedStorage"): "storage of bytes"}
    | {("torch", f"{name}Storage"): f"storage of {code}" for name, code in STORAGES.items()}
    | {("torch", name): f"dtype {code}" for name, code in DTYPES.items()},
    literals=frozenset(("BINFLOAT", "FLOAT", "LONG4", "BINSTRING", "SHORT_BINSTRING")),  # Python 2's names
    instructions=frozenset(("BINPERSID", "EMPTY_LIST", "LIST", "APPEND", "APPENDS")),
    keys=(str, int))
MAGIC, PROTOCOL = 0x1950A86A20F9469CFC6C, 1001  # at the start of the older format
STATE_DICTS = ("state_dict", "model_state_dict", "model", "net", "network", "params")  # where checkpoints have them
MOST_AXES = 32
MOST_COPIES = 4  # entries may share a storage, but a small file may not fill the memory with copies of it
LARGEST = 2**62
Order = Literal["<", ">"]
HINT = "save the tensors only: torch.save(model.state_dict(), FILE)"


@dataclass(frozen=True)
class Storage:
    """Numbers in the file: `size` of them; a tensor sees those from `start` on, `seen` of them."""

    key: str
    code: str  # of its dtype, "u1" where the tensors have dtypes of their own
    size: int
    start: int
    seen: int


@dataclass(frozen=True)
class Tensor:
    """A view of a storage; offset and strides count numbers of the dtype."""

    storage: Storage
    code: str
    offset: int
    shape: tuple[int, ...]
    strides: tuple[int, ...]


def read_tensors(file: IO[bytes]) -> dict[str, NDArray[Any]]:
    """Return the tensors of a state dict.

    Parameters
    ----------
    file : binary file, seekable
        What ``torch.save`` made of a dict from strings to dense tensors of real numbers, or of a dict that holds
        such a dict, like those of training scripts, {"epoch": 3, "state_dict": {...}}.

    Returns
    -------
    dict of ndarray
        C-contiguous, native byte order, writable, apart from each other in memory. bfloat16 becomes float32.

    Raises
    ------
    ValueError
        The file is damaged or holds something else. Nothing of it has been run.
    """
    file_size = file.seek(0, os.SEEK_END)
    file.seek(0)
    is_zip = file.read(4) == b"PK\x03\x04"
    file.seek(0)
    try:
        return _read_zip(file, file_size) if is_zip else _read_legacy(file, file_size)
    except Refused as error:
        raise ValueError(f"{error}; {HINT}") from error


def _read_zip(file: IO[bytes], file_size: int) -> dict[str, NDArray[Any]]:
    with open_archive(file) as archive:
        names = [name for name in archive.namelist() if name.endswith("/data.pkl") and name.count("/") == 1]
        if len(names) != 1:
            raise ValueError("is a zip archive without a data.pkl, so torch.save did not write it")
        folder = names[0].removesuffix("data.pkl")
        if f"{folder}constants.pkl" in archive.namelist():
            raise ValueError(f"is a program (torch.jit.save); {HINT}")
        tensors = _state_dict(run(bytes(_record(archive, names[0], file_size)), DIALECT))
        order: Order = "<"
        if f"{folder}byteorder" in archive.namelist():
            written = _record(archive, f"{folder}byteorder", file_size)
            if written not in (b"little", b"big"):
                raise ValueError("record 'byteorder' is neither little nor big")
            order = "<" if written == b"little" else ">"

        def content(storage: Storage) -> bytearray:
            return _record(archive, f"{folder}data/{storage.key}", file_size)

        return _arrays(tensors, content, order, file_size)


def _record(archive: zipfile.ZipFile, name: str, file_size: int) -> bytearray:
    """Return a record of a zip archive, which torch.save stores as it is."""
    try:
        info = archive.getinfo(name)
    except KeyError:
        raise ValueError(f"there is no record {name[:60]!r}") from None
    if info.compress_type != zipfile.ZIP_STORED or info.file_size > file_size:
        raise ValueError(f"record {name[:60]!r} is compressed, which torch.save never does")
    data = bytearray(info.file_size)
    with archive.open(info) as record:
        if record.readinto(data) != len(data):  # type: ignore[attr-defined]  # checks the CRC as well
            raise ValueError(f"record {name[:60]!r} is cut off")
    return data


class _Bounded:
    """A file for `pickletools` that does not set memory aside for bytes that the file has not."""

    def __init__(self, file: IO[bytes], size: int) -> None:
        self.size, self.tell, self.readline = size, file.tell, file.readline
        self._read = file.read

    def read(self, n: int) -> bytes:
        return self._read(max(0, min(n, self.size - self.tell())))


def _read_legacy(file: IO[bytes], file_size: int) -> dict[str, NDArray[Any]]:
    source: Any = _Bounded(file, file_size)
    try:
        magic = run(source, DIALECT)
    except ValueError as error:
        raise ValueError("is neither a zip archive nor in the older format of torch.save") from error
    if not (isinstance(magic, int) and magic == MAGIC):
        raise ValueError(f"is a pickle, but not one that torch.save wrote; {HINT}")
    protocol = run(source, DIALECT)
    if not (isinstance(protocol, int) and protocol == PROTOCOL):
        raise ValueError(f"has another protocol than {PROTOCOL}")
    run(source, DIALECT)  # the machine's sizes of int and long, which nothing depends on
    persistent: list[Any] = []
    tensors = _state_dict(run(source, DIALECT, persistent))
    keys = run(source, DIALECT)
    if not (isinstance(keys, list) and all(isinstance(key, str) for key in keys) and len(set(keys)) == len(keys)):
        raise ValueError("has no valid list of storages")
    storages = {storage.key: storage for storage in map(_storage, persistent)}
    places = {}
    for key in keys:
        if key not in storages:
            raise ValueError(f"has the storage {key[:40]!r}, which no tensor sees")
        places[key] = file.tell() + 8
        size = int.from_bytes(source.read(8), "little", signed=True)
        if size != storages[key].size:
            raise ValueError(f"has {size} numbers in the storage {key[:40]!r}, expected {storages[key].size}")
        end = places[key] + _bytes(storages[key])
        if end > file_size:
            raise ValueError(f"is cut off: {end - file_size} bytes are missing in the storage {key[:40]!r}")
        file.seek(end)
    if file.tell() != file_size:
        raise ValueError(f"has {file_size - file.tell()} bytes behind its last storage")

    def content(storage: Storage) -> bytearray:
        if storage.key not in places:
            raise ValueError(f"there is no storage {storage.key[:40]!r}")
        file.seek(places[storage.key])
        data = bytearray(_bytes(storage))
        if file.readinto(data) != len(data):  # type: ignore[attr-defined]
            raise ValueError("the file became shorter while it was read")
        return data

    return _arrays(tensors, content, "<", file_size)


def _state_dict(found: Any) -> dict[str, Tensor]:
    """Find the dict that holds tensors, and read it."""
    if not isinstance(found, dict):
        kind = "tensor" if _is_tensor(found) else type(found).__name__.lower()
        raise ValueError(f"holds a {kind}, expected a dict of tensors; {HINT}")
    if not _holds_tensors(found) and found:
        inner = [key for key, value in found.items() if isinstance(value, dict) and value and _holds_tensors(value)]
        if len(inner) > 1:
            inner = [key for key in STATE_DICTS if key in inner] or inner
        elif not inner:
            faults = [key for key, value in found.items() if not _is_tensor(value)]
            if len(faults) == len(found):
                raise ValueError(f"holds no tensors, neither in its dict nor in one inside of it; {HINT}")
            fault = f"{faults[0]!r:.60}: is no tensor but a {type(found[faults[0]]).__name__.lower()}"
            raise ValueError(f"entry {fault}; {HINT}")
        if len(inner) > 1 and inner[0] not in STATE_DICTS:
            raise ValueError(f"holds several dicts of tensors, {', '.join(f'{key!r:.40}' for key in inner[:5])}; "
                             "save the one that is meant on its own")
        found = found[inner[0]]
    tensors = {}
    for name, value in found.items():
        try:
            if not isinstance(name, str):
                raise ValueError("has a number for a name")
            tensors[name] = _tensor(value)
        except ValueError as error:
            raise ValueError(f"entry {name!r:.60}: {error}") from error
    return tensors


def _holds_tensors(values: Mapping[Any, Any]) -> bool:
    return all(map(_is_tensor, values.values()))


def _is_tensor(value: Any) -> bool:
    return isinstance(value, Call) and value.function in ("tensor", "typed tensor", "parameter") \
        and value.arguments is not None


def _tensor(call: Any) -> Tensor:
    """Check a call that stands for a tensor."""
    match call:
        case Call("parameter", (Call("tensor" | "typed tensor") as call, *_), _):
            pass
    code = None
    match call:
        case Call("tensor", (storage, offset, shape, strides, *_), None):
            pass
        case Call("typed tensor", (storage, offset, shape, strides, _, _, Call(str(function), None, None), *_), None) \
                if function.startswith("dtype "):
            code = function.removeprefix("dtype ")
        case _:
            raise ValueError("is no valid tensor")
    match storage:
        case Call("persistent", pid, None):
            storage = _storage(pid)
        case _:
            raise ValueError("has no valid storage")
    if not (isinstance(shape, tuple) and isinstance(strides, tuple) and len(shape) == len(strides) <= MOST_AXES
            and all(type(n) is int and 0 <= n < LARGEST for n in (offset, *shape, *strides))):
        raise ValueError("has no valid offset, shape and strides")
    code = code or storage.code
    size = storage.seen * _itemsize(storage.code) // _itemsize(code)
    end = offset + sum((n - 1) * stride for n, stride in zip(shape, strides, strict=True)) + 1 if all(shape) else offset
    if end > size:
        raise ValueError(f"reaches to number {end} of a storage of {size}")
    return Tensor(storage, code, offset, shape, strides)


def _storage(pid: Any) -> Storage:
    """Check a persistent id."""
    view: Any = None
    match pid:
        case ("storage", Call(str(function), None, None), str(key), _, int(size)):
            pass
        case ("storage", Call(str(function), None, None), str(key), _, int(size), view):
            pass
        case _:
            raise ValueError("has no valid storage")
    start, seen = 0, size
    match view:
        case None:
            pass
        case (str(), int(start), int(seen)):
            pass
        case _:
            raise ValueError("has no valid storage")
    if not (function.startswith("storage of ") and 0 <= size < LARGEST and 0 <= start and 0 <= seen <= size - start):
        raise ValueError("has no valid storage")
    code = function.removeprefix("storage of ")
    return Storage(key, "u1" if code == "bytes" else code, size, start, seen)


def _arrays(tensors: Mapping[str, Tensor], content: Callable[[Storage], bytearray], order: Order,
            file_size: int) -> dict[str, NDArray[Any]]:
    """Read the storages and return what the tensors see of them."""
    storages: dict[str, tuple[Storage, bytearray]] = {}
    given: set[str] = set()  # storages whose memory an array has got
    arrays = {}
    to_read, to_copy = file_size, MOST_COPIES * file_size
    for name, tensor in tensors.items():
        storage, key = tensor.storage, tensor.storage.key
        try:
            if key not in storages:
                to_read -= _bytes(storage)
                if to_read < 0:
                    raise ValueError("its storage and those before it are larger than the file")
                storages[key] = storage, content(storage)
            known, data = storages[key]
            if (known.code, known.size) != (storage.code, storage.size) or len(data) != _bytes(storage):
                raise ValueError(f"its storage {key[:40]!r} has {len(data)} bytes for {storage.size} numbers of "
                                 f"{_itemsize(storage.code)}")
            view = _view(tensor, data, order)
            if view.flags.c_contiguous and view.dtype.isnative and tensor.code not in (BFLOAT16, "b1") \
                    and key not in given:
                given.add(key)
                arrays[name] = view
                continue
            to_copy -= view.nbytes
            if to_copy < 0:
                raise ValueError(f"the tensors so far are over {MOST_COPIES} times as large as the file")
            arrays[name] = _copied(view, tensor.code)
        except ValueError as error:
            raise ValueError(f"entry {name!r:.60}: {error}") from error
    return arrays


def _view(tensor: Tensor, data: bytearray, order: Order) -> NDArray[Any]:
    dtype = np.dtype(_numpy_code(tensor.code)).newbyteorder(order)
    if not all(tensor.shape):
        return np.empty(tensor.shape, dtype)
    start = tensor.storage.start * _itemsize(tensor.storage.code) + tensor.offset * dtype.itemsize
    strides = [stride * dtype.itemsize if n > 1 else 0 for n, stride in zip(tensor.shape, tensor.strides, strict=True)]
    return np.ndarray(tensor.shape, dtype, data, start, strides)


def _copied(view: NDArray[Any], code: str) -> NDArray[Any]:
    if code == BFLOAT16:
        return widened(view)
    if code == "b1":
        return np.asarray(view != 0)  # a byte of the file may be any
    return np.array(view, view.dtype.newbyteorder("="), order="C")


def _bytes(storage: Storage) -> int:
    return storage.size * _itemsize(storage.code)


def _itemsize(code: str) -> int:
    return np.dtype(_numpy_code(code)).itemsize


def _numpy_code(code: str) -> str:
    return "u2" if code == BFLOAT16 else "u1" if code == "b1" else code
