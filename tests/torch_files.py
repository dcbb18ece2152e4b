"""Files like those of ``torch.save``, made without PyTorch, so that anything can be in them."""
import io
import pickle
import struct
import zipfile

import numpy as np

from fastconv.torch_pickle import MAGIC, read_tensors


def assert_read(data, written):
    """Assert that a file gives just these arrays, each with memory of its own."""
    read = read_tensors(io.BytesIO(data))
    assert list(read) == list(written)
    for name, array in written.items():
        assert type(read[name]) is np.ndarray and read[name].dtype == array.dtype and read[name].dtype.isnative
        assert read[name].shape == array.shape  # () and (1,) count as equal below
        assert read[name].flags.c_contiguous and read[name].flags.writeable
        np.testing.assert_array_equal(read[name], array)
    arrays = list(read.values())
    for i, array in enumerate(arrays):
        assert not any(np.shares_memory(array, other) for other in arrays[:i])


def of_records(records, method=zipfile.ZIP_STORED):
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", method) as archive:
        for name, content in records.items():
            archive.writestr(zipfile.ZipInfo(name), content, method)  # without a time
    return file.getvalue()


class Made:
    """Pickles as a call of the function of this name, or as the name itself."""

    def __init__(self, name, *arguments):
        self.name, self.arguments = name, arguments


class Stored(tuple):
    """A persistent id."""


class Pickler(pickle._Pickler):
    """A pickler that writes any name, whether it exists or not."""

    def persistent_id(self, obj):
        return tuple(obj) if isinstance(obj, Stored) else None

    def save(self, obj, save_persistent_id=True):
        if not isinstance(obj, Made):
            return super().save(obj, save_persistent_id)
        module, _, name = obj.name.rpartition(".")
        self.write(f"c{module}\n{name}\n".encode())
        if obj.arguments:
            self.save(obj.arguments[0] if obj.arguments[0] == () else obj.arguments)
            self.write(b"R")
        return None


def pickled(value, protocol=2):
    file = io.BytesIO()
    Pickler(file, protocol).dump(value)
    return file.getvalue()


FLOATS = Made("torch.FloatStorage")


def storage(size=6, kind=FLOATS, key="0", *rest):
    return Stored(("storage", kind, key, "cpu", size, *rest))


def tensor(stored=None, offset=0, shape=(2, 3), strides=(3, 1), *rest):
    rest = rest or (False, Made("collections.OrderedDict", ()))
    stored = storage() if stored is None else stored
    return Made("torch._utils._rebuild_tensor_v2", stored, offset, shape, strides, *rest)


def zipped(value, content=None, **records):
    content = np.arange(6, dtype=np.float32).tobytes() if content is None else content
    return of_records({"archive/data.pkl": pickled(value), "archive/data/0": content, **records})


def legacy(value, keys=("0",), content=None, protocol=1001):
    content = struct.pack("<q", 6) + np.arange(6, dtype=np.float32).tobytes() if content is None else content
    parts = (MAGIC, protocol, {"little_endian": True}, value, list(keys))
    return b"".join(map(pickled, parts)) + content
