"""State dicts made by hand, right ones and wrong ones: nothing is run, and what is wrong is said."""
import builtins
import io
import os
import struct
import zipfile
from collections import OrderedDict

import numpy as np
import pytest
from torch_files import FLOATS, Made, assert_read, legacy, of_records, pickled, storage, tensor, zipped

from fastconv import params
from fastconv.torch_pickle import MAGIC, read_tensors

BOTH = pytest.mark.parametrize("write", [zipped, legacy])
W = np.arange(6, dtype=np.float32).reshape(2, 3)


@BOTH
def test_made_by_hand(write):
    assert_read(write({"W": tensor()}), {"W": W})
    assert_read(write({"W": Made("torch._utils._rebuild_tensor", storage(), 0, (2, 3), (3, 1))}), {"W": W})
    assert_read(write({"W": Made("torch._utils._rebuild_parameter", tensor(), True, None)}), {"W": W})
    assert_read(write({"a": tensor(), "b": tensor(offset=1, shape=(2, 2), strides=(1, 3))}), {
        "a": W, "b": np.array([[1, 4], [2, 5]], np.float32)})
    assert_read(write({"W": tensor(shape=(1, 3, 1), strides=(10**9, 2, 10**18))}), {"W": W.reshape(1, 6, 1)[:, ::2]})
    assert_read(write({"W": tensor(storage(6, FLOATS, "0", ("view", 2, 3)), 1, (2,), (1,))}), {
        "W": np.array([3, 4], np.float32)})  # of the first versions of PyTorch


def test_written_by_python_2():
    """Names are bytes there, and an OrderedDict is made of a list of pairs."""
    def text(letters):
        return b"U" + bytes((len(letters),)) + letters

    stored = b"(" + text(b"storage") + b"ctorch\nFloatStorage\n" + text(b"0") + text(b"cpu") + b"\x8a\1\6NtQ"
    made = b"ctorch._utils\n_rebuild_tensor\n(" + stored + b"K\0K\6\x85K\1\x85tR"
    value = b"\x80\2ccollections\nOrderedDict\n]]" + text(b"W") + b"a" + made + b"aa\x85R."
    data = legacy({"W": tensor()})
    before = pickled({"W": tensor()})
    assert data.count(before) == 1
    assert_read(data.replace(before, value), {"W": W.reshape(6)})


def test_bytes_of_a_flag_are_flags():
    value = {"W": tensor(storage(3, Made("torch.BoolStorage")), shape=(3,), strides=(1,))}
    data = zipped(value, b"\0\2\xff")
    assert_read(data, {"W": np.array([False, True, True])})
    assert read_tensors(io.BytesIO(data))["W"].tobytes() == b"\0\1\1"


def without(name):
    source = zipfile.ZipFile(io.BytesIO(zipped({"W": tensor()})))
    return of_records({n: source.read(n) for n in source.namelist() if n != name})


HUGE = 2**61
DOUBLED = b"N" + b"q\x80h\x80\x86" * 60  # (None, None), doubled sixty times: hash and repr never end
OF_TENSORS = {  # an entry "W", and what is wrong with it
    "reaches beyond": (tensor(offset=1), "entry 'W': reaches to number 7 of a storage of 6"),
    "strides beyond": (tensor(strides=(4, 1)), "entry 'W': reaches to number 7"),
    "huge stride": (tensor(strides=(HUGE, 1)), "entry 'W': reaches to number"),
    "huge shape": (tensor(shape=(HUGE, 2), strides=(1, 1)), "entry 'W': reaches to number"),
    "larger than int64": (tensor(shape=(2**64, 2)), "entry 'W': has no valid offset, shape and strides"),
    "offset larger than int64": (tensor(offset=2**64), "entry 'W': has no valid offset"),
    "huge nothing": (tensor(shape=(HUGE, HUGE, 0), strides=(1, 1, 1)), "entry 'W': "),
    "offset beyond, of nothing": (tensor(offset=7, shape=(0,), strides=(1,)), "entry 'W': reaches to number 7"),
    "negative offset": (tensor(offset=-1), "entry 'W': has no valid offset"),
    "negative stride": (tensor(offset=5, strides=(-3, -1)), "entry 'W': has no valid offset"),
    "negative shape": (tensor(shape=(-2, -3)), "entry 'W': has no valid offset"),
    "flags for numbers": (tensor(shape=(True, 6)), "entry 'W': has no valid offset"),
    "number for a shape": (tensor(shape=6), "entry 'W': has no valid offset"),
    "axes without strides": (tensor(strides=(1,)), "entry 'W': has no valid offset"),
    "forty axes": (tensor(shape=(1,) * 40, strides=(1,) * 40), "entry 'W': has no valid offset"),
    "huge and expanded": (tensor(shape=(10**6, 10**6), strides=(0, 0)), "entry 'W': the tensors so far are over 4"),
    "no storage": (tensor(stored="0"), "entry 'W': has no valid storage"),
    "a call for a storage": (tensor(stored=Made("torch.FloatStorage", ())), "entry 'W': has no valid storage"),
    "size that differs": (tensor(storage(5), shape=(1,), strides=(1,)), "24 bytes for 5 numbers of 4|6 numbers"),
    "dtype that differs": (tensor(storage(6, Made("torch.DoubleStorage"))), "24 bytes for 6 numbers of 8|is cut off"),
    "negative size": (tensor(storage(-6)), "has no valid storage"),
    "huge size": (tensor(storage(2**64)), "has no valid storage"),
    "size larger than the file": (tensor(storage(10**9)), "larger than the file|has 6 numbers in the storage '0'"),
    "storage of no kind": (tensor(storage(6, "float")), "has no valid storage"),
    "storage of a function": (tensor(storage(6, Made("torch._utils._rebuild_tensor"))), "has no valid storage"),
    "dtype for a storage": (tensor(storage(6, Made("torch.float32"))), "has no valid storage"),
    "number as key": (tensor(storage(6, FLOATS, 0)), "has no valid storage"),
    "another storage": (tensor(storage(6, FLOATS, "1")), "there is no record 'archive/data/1'|which no tensor sees"),
    "path for a storage": (tensor(storage(6, FLOATS, "../../x")), "there is no record|which no tensor sees"),
    "view beyond": (tensor(storage(6, FLOATS, "0", ("v", 3, 4))), "has no valid storage"),
    "view before": (tensor(storage(6, FLOATS, "0", ("v", -1, 4))), "has no valid storage"),
    "beyond the view": (tensor(storage(6, FLOATS, "0", ("v", 1, 5))), "entry 'W': reaches to number 6 of a .* 5"),
    "parameter of nothing": (Made("torch._utils._rebuild_parameter", 3, True, None), "entry 'W': is no valid tensor"),
    "parameter of itself": (Made("torch._utils._rebuild_parameter", Made("torch._utils._rebuild_parameter", tensor())),
                            "entry 'W': is no valid tensor"),
    "tensor of nothing": (Made("torch._utils._rebuild_tensor_v2", ()), "entry 'W': is no valid tensor"),
    "function for a tensor": (Made("torch._utils._rebuild_tensor_v2"), "holds no tensors"),
    "dtype for a tensor": (Made("torch.float32"), "holds no tensors"),
    "typed by a storage": (Made("torch._utils._rebuild_tensor_v3", storage(), 0, (2,), (1,), False, None, FLOATS),
                           "entry 'W': is no valid tensor"),
    "wider than its storage": (Made("torch._utils._rebuild_tensor_v3", storage(), 0, (6,), (1,), False, None,
                                    Made("torch.float64")), "entry 'W': reaches to number 6 of a storage of 3"),
    "array of objects": (Made("numpy.core.multiarray._reconstruct", 1), "asks for numpy.core.multiarray._reconstruct"),
    "ordered dict of a call": (Made("collections.OrderedDict", tensor()), "makes an OrderedDict of something else"),
    "ordered dict of triples": (Made("collections.OrderedDict", [(1, 2, 3)]), "makes an OrderedDict of something else"),
}
OTHERS = {
    "nothing": (b"", "neither a zip archive nor"),
    "text": (b"These are no parameters.", "neither a zip archive nor"),
    "html": (b"<!DOCTYPE html><html>", "neither a zip archive nor"),
    "a zip archive": (of_records({"a.txt": b""}), "without a data.pkl"),
    "two pickles": (zipped({}, None, **{"b/data.pkl": b""}), "without a data.pkl"),
    "no storage": (without("archive/data/0"), "entry 'W': there is no record 'archive/data/0'"),
    "storage too short": (zipped({"W": tensor()}, bytes(20)), "entry 'W': its storage '0' has 20 bytes for 6"),
    "storage too long": (zipped({"W": tensor()}, bytes(28)), "entry 'W': its storage '0' has 28 bytes"),
    "sizes that contradict": (zipped({"W": tensor(), "b": tensor(storage(3), 0, (3,), (1,))}), "entry 'b': its stor"),
    "byte order": (zipped({"W": tensor()}, None, **{"archive/byteorder": b"middle"}), "neither little nor big"),
    "compressed": (of_records({"archive/data.pkl": pickled({"W": tensor()}), "archive/data/0": bytes(24)},
                              zipfile.ZIP_DEFLATED), "is compressed, which torch.save never does"),
    "no end": (zipped({"W": tensor()})[:-1], "not a zip file"),
    "empty pickle": (of_records({"archive/data.pkl": b""}), "no complete pickle"),
    "a number": (zipped(3), "holds a int"),
    "a storage": (zipped(storage()), "holds a call"),
    "many instructions": (of_records({"archive/data.pkl": b"}" * 2_000_001 + b"."}), "more than 2,000,000 ins"),
    "another number": (pickled(3), "is a pickle, but not one that torch.save wrote"),
    "another protocol": (legacy({}, (), b"", 1000), "another protocol"),
    "keys that are no list": (b"".join(map(pickled, (MAGIC, 1001, {}, {}, "0"))), "no valid list"),
    "one key twice": (legacy({"W": tensor()}, ("0", "0")), "no valid list of storages"),
    "more keys": (legacy({"W": tensor()}, ("0", "1")), "the storage '1', which no tensor sees"),
    "no keys": (legacy({"W": tensor()}, (), b""), "entry 'W': there is no storage '0'"),
    "another count": (legacy({"W": tensor()}, "0", struct.pack("<q", 7) + bytes(28)), "has 7 numbers in the"),
    "negative count": (legacy({"W": tensor()}, "0", struct.pack("<q", -6)), "has -6 numbers"),
    "no bytes": (legacy({"W": tensor()}, "0", struct.pack("<q", 6)), "is cut off: 24 bytes are missing"),
    "more bytes": (legacy({"W": tensor()}) + b"x", "has 1 bytes behind its last storage"),
    "huge string": (b"\x80\2X\xff\xff\xff\x7fW1", "neither a zip archive nor"),
    "endless key": (of_records({"archive/data.pkl": b"}" + DOUBLED + b"Ns."}), "as keys"),
    "endless magic": (DOUBLED + b".", "not one that torch.save wrote"),
    "endless name": (of_records({"archive/data.pkl": DOUBLED + b"N\x93."}), "without a name"),
    "endless id": (of_records({"archive/data.pkl": b"}VW\n" + pickled(tensor())[:-1].replace(b"K\6", DOUBLED) + b"s."}),
                   "no valid storage"),
    "dict in itself": (of_records({"archive/data.pkl": b"}q\0VW\nh\0s."}), "holds no tensors"),
}


@BOTH
@pytest.mark.parametrize("value, reason", OF_TENSORS.values(), ids=OF_TENSORS.keys())
def test_a_wrong_tensor(tmp_path, write, value, reason):
    assert_refused(tmp_path, write({"W": value}), reason)


@pytest.mark.parametrize("data, reason", OTHERS.values(), ids=OTHERS.keys())
def test_a_wrong_file(tmp_path, data, reason):
    assert_refused(tmp_path, data, reason)


def assert_refused(tmp_path, data, reason):
    path = tmp_path / "p.pth"
    path.write_bytes(data)
    with pytest.raises(ValueError, match=reason) as error:
        params.load(path)
    assert str(path) in str(error.value) and len(str(error.value)) < 500


class Calling:
    """Pickles as a call of `function`."""

    def __init__(self, function, *arguments):
        self.call = function, arguments

    def __reduce__(self):
        return self.call


MALICIOUS = {
    "os.system": Calling(os.system, "touch {mark}"),
    "eval": Calling(builtins.eval, "open('{mark}', 'w')"),
    "open": Calling(builtins.open, "{mark}", "w"),
    "as tensor": tensor(Calling(os.system, "touch {mark}")),
    "as hooks": tensor(None, 0, (2, 3), (3, 1), False, Calling(os.system, "touch {mark}")),
    "as storage kind": tensor(storage(6, Calling(os.system, "touch {mark}"))),
    "as storage": storage(6, Made("os.system")),
    "torch.load": Made("torch.load", "{mark}"),
    "by a submodule": Made("torch.serialization.os.system", "touch {mark}"),
    "by a name with dots": Made("torch._utils.os.system", "touch {mark}"),
    "getattr": Made("builtins.getattr", Made("torch.float32"), "__call__"),
    "as key": OrderedDict([(Calling(os.system, "touch {mark}"), tensor())]),
}


@BOTH
@pytest.mark.parametrize("value", MALICIOUS.values(), ids=MALICIOUS.keys())
def test_nothing_is_run(tmp_path, monkeypatch, write, value):
    monkeypatch.chdir(tmp_path)
    data = write({"W": value})
    with pytest.raises(ValueError, match="which a state dict of real tensors does not need"):
        read_tensors(io.BytesIO(data))
    assert not list(tmp_path.iterdir())
