"""Pickled dicts of arrays: every protocol is read, nothing in a file is run."""
import builtins
import os
import pickle
import struct
from collections import OrderedDict

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from param_arrays import assert_same, some_arrays

from fastconv import params
from fastconv.array_pickle import read_arrays


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_every_pickle_protocol(protocol):
    many = some_arrays() | {f"W{n}": np.full((2, 300), n) for n in range(300)}  # more than 256 memo entries
    assert_same(read_arrays(pickle.dumps(many, protocol)), many)
    assert_same(read_arrays(pickle.dumps({}, protocol)), {})


def test_pickle_of_numpy_1():
    data = pickle.dumps(some_arrays(), 3).replace(b"numpy._core.multiarray", b"numpy.core.multiarray")
    assert_same(read_arrays(data), some_arrays())
    assert_same(read_arrays(data.replace(b"numpy.core.multiarray", b"numpy._core.multiarray")), some_arrays())


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_views_of_the_data_are_the_same_arrays(protocol):
    data = np.frombuffer(pickle.dumps(some_arrays(), protocol), np.uint8).copy()
    assert_same(read_arrays(memoryview(data)), some_arrays())
    read = read_arrays(memoryview(data), copy=False)
    assert_same(read, some_arrays())
    images = np.ones((5, 3), np.uint8)
    data = np.frombuffer(pickle.dumps({"x": images}, protocol), np.uint8).copy()
    read = read_arrays(memoryview(data), copy=False)["x"]
    assert np.shares_memory(read, data) == (protocol > 2)  # the others have no bytes


def test_two_names_for_one_array():
    shared = np.arange(4.0)
    read = read_arrays(pickle.dumps({"a": shared, "b": shared}))
    read["a"][:] = 0
    np.testing.assert_array_equal(read["b"], shared)


class Calling:
    """Pickles as a call of `function`."""

    def __init__(self, function, *arguments):
        self.call = function, arguments

    def __reduce__(self):
        return self.call


def short(function, *arguments):
    """A protocol-0 pickle that calls a function by name, whatever NumPy or Python would make of it."""
    module, name = function.rsplit(".", 1)
    return f"c{module}\n{name}\n(".encode() + b"".join(arguments) + b"tR."


MALICIOUS = {
    "os.system": pickle.dumps({"W1": Calling(os.system, "touch {mark}")}),
    "eval": pickle.dumps({"W1": Calling(builtins.eval, "open('{mark}', 'w')")}),
    "open": pickle.dumps({"W1": Calling(builtins.open, "{mark}", "w")}),
    "the whole file": pickle.dumps(Calling(builtins.open, "{mark}", "w")),
    "as key": pickle.dumps({Calling(os.system, "touch {mark}"): np.ones(2)}),
    "beside arrays": pickle.dumps({**some_arrays(), "x": Calling(os.system, "touch {mark}")}),
    "numpy function": pickle.dumps({"W1": Calling(np.ones, 3)}),
    "numpy tofile": short("numpy.ndarray.tofile", b"V{mark}\n"),
    "numpy by a submodule": short("numpy.f2py.os.system", b"Vtouch {mark}\n"),
    "numpy load": pickle.dumps({"W1": Calling(np.load, "{mark}", None, True)}),
    "getattr": short("builtins.getattr", b"cos\nsystem\n", b"V__call__\n"),
    "python 2 name": short("__builtin__.eval", b"Vopen('{mark}', 'w')\n"),
    "instance": pickle.dumps({"W1": Calling}),
    "INST": b"(S'touch {mark}'\nios\nsystem\n.",
    "OBJ": b"(cos\nsystem\nVtouch {mark}\no.",
    "NEWOBJ": b"\x80\x02cos\nsystem\n(Vtouch {mark}\nt\x81.",
    "extension code": b"\x80\x02\x82\x01.",
    "persistent id": b"P{mark}\n.",
}


def test_the_trap_snaps_with_plain_pickle(tmp_path):
    mark = tmp_path / "mark"
    pickle.loads(pickle.dumps({"W1": Calling(builtins.eval, f"open({str(mark)!r}, 'w').close()")}))
    assert mark.exists()


@pytest.mark.parametrize("data", MALICIOUS.values(), ids=MALICIOUS.keys())
def test_nothing_is_run(tmp_path, data):
    mark, path = "m" * len("{mark}"), tmp_path / "p.pkl"
    path.write_bytes(data.replace(b"{mark}", mark.encode()))
    with pytest.raises(ValueError, match="which a dict of arrays does not need") as error:
        params.load(path)
    assert str(path) in str(error.value)
    assert not (tmp_path / mark).exists() and not os.path.exists(mark)


def of_shape(instructions):
    """A pickled array of three numbers in which other instructions take the place of the shape's, (3,)."""
    data = pickle.dumps({"W1": np.zeros(3)}, 3)
    assert data.count(b"K\x03\x85") == 1
    return data.replace(b"K\x03\x85", instructions)


DOUBLED = b"N" + b"q\x80h\x80\x86" * 60  # (None, None), doubled sixty times: hash and repr never end
DTYPE = b"cnumpy\ndtype\n"
RECONSTRUCT = b"cnumpy.core.multiarray\n_reconstruct\n"
REFUSED = {
    "object array": (pickle.dumps({"W1": np.array([1, "a", None], object)}, 3), "APPEND|instruction"),
    "object dtype": (pickle.dumps({"W1": np.zeros(2)}, 3).replace(b"f8", b"O8"), "entry 'W1'.*dtype 'O8'"),
    "complex": (pickle.dumps({"W1": np.zeros(2, complex)}), "entry 'W1'.*dtype 'c16'"),
    "strings": (pickle.dumps({"W1": np.array(["a"])}), "entry 'W1'.*dtype 'U1'"),
    "records": (pickle.dumps({"W1": np.zeros(2, "f4,f4")}), "instruction|dtype"),
    "list": (pickle.dumps([np.ones(2)]), "instruction EMPTY_LIST"),
    "dict of lists": (pickle.dumps({"W1": [1.0]}), "instruction EMPTY_LIST"),
    "dict of numbers": (pickle.dumps({"W1": 1}), "entry 'W1': is no array but a int"),
    "nested dict": (pickle.dumps({"W1": {"W": np.ones(2)}}), "entry 'W1': is no array but a dict"),
    "array": (pickle.dumps(np.ones(2)), "holds a Call"),
    "number": (pickle.dumps(3), "holds a int"),
    "number as name": (pickle.dumps({1: np.ones(2)}), "strings as keys"),
    "subclass": (pickle.dumps(OrderedDict(W1=np.ones(2))), "collections.OrderedDict"),
    "class for an array": (b"}VW1\ncnumpy\nndarray\ns.", "entry 'W1': is no array but a call"),
    "ndarray called": (b"}VW1\ncnumpy\nndarray\n(K\x03\x85" + DTYPE + b"(Vf8\nI00\nI01\ntR(K\x03V<\nNNN"
                       b"J\xff\xff\xff\xffJ\xff\xff\xff\xffK\x00tbtRs.", "entry 'W1': is no array but a call"),
    "dtype for an array": (pickle.dumps({"W1": np.dtype("f8")}), "entry 'W1': is no array but a call"),
    "array never filled": (b"}VW1\n" + RECONSTRUCT + b"(tRs.", "entry 'W1': is no array"),
    "number as shape": (of_shape(b"K\x03"), "entry 'W1': has no valid shape"),
    "negative shape": (of_shape(b"J\xff\xff\xff\xff\x85"), "entry 'W1': has no valid shape"),
    "sixty axes": (of_shape(b"(" + b"K\x01" * 59 + b"K\x03t"), "entry 'W1': has no valid shape"),
    "bytes that do not fit": (of_shape(b"K\x04\x85"), r"entry 'W1': has 24 bytes for shape \(4,\)"),
    "huge shape": (of_shape(b"\x8a\x08" + b"\x7f" * 8 + b"\x85"), "entry 'W1': has no valid shape"),
    "huge string": (b"\x80\x04}X\xff\xff\xff\x7fW1", "no complete pickle"),
    "huge bytes": (b"\x80\x04}\x8c\x02W1\x8e" + struct.pack("<Q", 1 << 60) + b"abc", "no complete pickle"),
    "huge frame": (b"\x80\x04\x95" + struct.pack("<Q", 1 << 60) + b"}", "no complete pickle"),
    "huge memo number": (b"}r\xff\xff\xff\xffj\xff\xff\xff\xff(ds.", "otherwise than by counting"),
    "memo number never set": (b"h\x07.", "no complete pickle"),
    "dict that is its own value": (b"}q\x00VW1\nh\x00s.", "is no array but a dict"),
    "endless tuple as key": (b"}" + DOUBLED + b"Ns.", "strings as keys"),
    "endless tuple as value": (b"}VW1\n" + DOUBLED + b"s.", "entry 'W1': is no array but a tuple"),
    "endless tuple as name": (DOUBLED + b"N\x93.", "asks for something without a name"),
    "endless tuple as shape": (of_shape(DOUBLED), "entry 'W1': has no valid shape"),
    "endless tuple as result": (DOUBLED + b".", "holds a tuple"),
    "called twice": (b"}VW1\n" + DTYPE + b"(Vf8\ntR(tRs.", "is no array but a call"),
    "state for a dict": (b"}VW1\nNsNb.", "fills a dict"),
    "state for a string": (b"Vabc\nNb.", "fills a str"),
    "items for an array": (RECONSTRUCT + b"(tRVW1\nNs.", "entries of something else"),
    "bytes of a number": (b"}VW1\n" + RECONSTRUCT + b"(tR(I1\n(I9\nt" + DTYPE + b"(Vf8\ntR(I3\nV<\nNNNtb"
                          b"I00\nc__builtin__\nbytes\n(I72\ntRtbs.", "entry 'W1': has its content as Call"),
    "empty": (b"", "no complete pickle"),
    "stack empty": (b"s.", "no complete pickle"),
    "mark missing": (b"t.", "no complete pickle"),
    "nothing but the end": (b".", "no complete pickle"),
    "text": (b"These are no parameters.", "no complete pickle|instruction"),
    "npz under this name": (b"PK\x03\x04" + bytes(30), "no complete pickle|instruction"),
}


@pytest.mark.parametrize("data, reason", REFUSED.values(), ids=REFUSED.keys())
def test_refused_with_a_reason(tmp_path, data, reason):
    path = tmp_path / "p.pkl"
    path.write_bytes(data)
    with pytest.raises(ValueError, match=reason) as error:
        params.load(path)
    assert str(path) in str(error.value)
    assert len(str(error.value)) < 400


@settings(max_examples=300, deadline=None)
@given(st.integers(0, 5), st.lists(st.tuples(st.integers(0, 10_000), st.integers(0, 255)), max_size=6))
def test_random_damage_is_a_value_error_or_an_array(protocol, changes):
    written = {"W1": np.arange(6.0).reshape(2, 3), "b1": np.ones(3, np.float32)}
    data = bytearray(pickle.dumps(written, protocol))
    for position, byte in changes:
        data[position % len(data)] = byte
    try:
        read = read_arrays(bytes(data))
    except ValueError:
        with pytest.raises(ValueError):
            read_arrays(memoryview(data), copy=False)
        return
    views = read_arrays(memoryview(data), copy=False)
    assert all(array.tobytes() == views[name].tobytes() for name, array in read.items())
    assert all(type(array) is np.ndarray and array.dtype.kind in "biuf" for array in read.values())
