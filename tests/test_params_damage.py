"""Damaged and malicious parameter files: each is a ValueError that names file and reason."""
import io
import pickle
import re
import struct
import zipfile

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fastconv import array_pickle, npz, params, safetensors_file

pytest.importorskip("safetensors")
WRITTEN = [".pkl", ".npz", ".safetensors"]
SMALL = {"W1": np.arange(6.0).reshape(2, 3), "b1": np.ones(3, np.float32)}


@pytest.fixture(params=WRITTEN)
def path(request, tmp_path):
    """A file with SMALL in it."""
    path = tmp_path / f"p{request.param}"
    params.save(path, SMALL)
    return path


def assert_small(read):
    assert read.keys() == SMALL.keys()
    for name, array in SMALL.items():
        assert read[name].dtype == array.dtype
        np.testing.assert_array_equal(read[name], array)


def test_truncated_anywhere(path):
    whole = path.read_bytes()
    for length in range(len(whole)):
        path.write_bytes(whole[:length])
        with pytest.raises(ValueError, match=path.name):
            params.load(path)


def test_a_changed_byte_anywhere_is_recognised_or_without_effect(path):
    whole = path.read_bytes()
    recognised = 0
    for position in range(len(whole)):
        for change in (1, 16, 255):
            path.write_bytes(whole[:position] + bytes((whole[position] ^ change,)) + whole[position + 1:])
            try:
                read = params.load(path)
            except ValueError as error:
                assert path.name in str(error)
                recognised += 1
            else:
                assert_small(read)
    assert recognised > 1.5 * len(whole)  # zip keeps dates, and some things twice


def test_bytes_behind_the_end(path):
    with path.open("ab") as file:
        file.write(b"more")
    try:
        assert_small(params.load(path))  # of a pickle
    except ValueError as error:
        assert path.name in str(error)


@settings(max_examples=200, deadline=None)
@given(st.sampled_from(WRITTEN), st.lists(st.tuples(st.integers(0, 10_000), st.integers(0, 255)), max_size=6))
def test_random_damage_is_a_value_error_or_arrays(suffix, changes):
    file = io.BytesIO()
    params.FORMATS[suffix]().write(file, SMALL)
    data = bytearray(file.getvalue())
    for position, byte in changes:
        data[position % len(data)] = byte
    try:
        read = params.FORMATS[suffix]().read(io.BytesIO(bytes(data)))
    except ValueError:
        return
    assert all(type(array) is np.ndarray and array.dtype.kind in "biuf" for array in read.values())


@pytest.mark.parametrize("module", [array_pickle, npz, safetensors_file])
def test_a_file_of_a_newer_version(tmp_path, monkeypatch, module):
    suffix = {array_pickle: ".pkl", npz: ".npz", safetensors_file: ".safetensors"}[module]
    monkeypatch.setattr(module, "VERSION", 2)
    params.save(tmp_path / f"p{suffix}", SMALL)
    assert_small(params.load(tmp_path / f"p{suffix}"))
    monkeypatch.undo()
    with pytest.raises(ValueError, match=f"p{suffix}: has version 2 of the format, written by a newer fastconv"):
        params.load(tmp_path / f"p{suffix}")


def of_entries(*, method=zipfile.ZIP_STORED, **entries):
    """A zip archive."""
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", method) as archive:
        for name, content in entries.items():
            archive.writestr(name, content)
    return file.getvalue()


def npy(array, allow_pickle=False):
    file = io.BytesIO()
    np.lib.format.write_array(file, array, allow_pickle=allow_pickle)
    return file.getvalue()


def of_shape(shape):
    """Two numbers under a header that says another shape."""
    text = npy(np.ones(2))
    start, end = text.index(b"(2,)"), text.index(b"\n")
    return text[:start] + f"{shape}, }}".ljust(end - start).encode() + text[end:]


def overlapping(count):
    """An archive with many names for one entry."""
    data = of_entries(**{"a.npy": npy(np.ones(100_000))})
    start, end = data.index(b"PK\x01\x02"), data.index(b"PK\x05\x06")
    entry = data[start:end]
    end = struct.pack("<4s4H2LH", b"PK\5\6", 0, 0, count, count, count * len(entry), start, 0)
    return data[:start] + entry * count + end


BOMB = of_entries(method=zipfile.ZIP_DEFLATED, **{"W1.npy": npy(np.zeros(20_000_000, np.int8))})
NPZ = {
    "no zip": (b"no zip", "not a zip file"),
    "npy": (npy(np.ones(2)), "not a zip file"),
    "objects": (of_entries(**{"W1.npy": npy(np.array([None]), allow_pickle=True)}), r"entry 'W1.npy': has dtype '\|O'"),
    "complex": (of_entries(**{"W1.npy": npy(np.array([1j]))}), "entry 'W1.npy': has dtype '<c16'"),
    "cut off": (of_entries(**{"W1.npy": npy(np.ones(2))[:-1]}), "entry 'W1.npy': has 15 bytes for shape"),
    "huge": (of_entries(**{"W1.npy": of_shape("(2000000000000,)")}), "entry 'W1.npy': has 16 bytes for shape"),
    "large": (of_entries(**{"W1.npy": of_shape("(200000000,)")}), "entry 'W1.npy': has 16 bytes for shape"),
    "negative": (of_entries(**{"W1.npy": of_shape("(-1,-2)")}), "entry 'W1.npy': has no header of an array"),
    "not even": (of_entries(**{"W1.npy": of_shape("open('x','w')")}), "entry 'W1.npy': "),
    "brackets": (of_entries(**{"W1.npy": b"\x93NUMPY\1\0\x10\x27" + b"(" * 10_000}), "entry 'W1.npy': "),
    "text": (of_entries(**{"read me.txt": b"hello"}), "entry 'read me.txt'"),
    "changed": (of_entries(**{"W1.npy": npy(np.ones(99))}).replace(np.ones(5).tobytes(), bytes(40), 1), "CRC"),
    "bomb": (BOMB, "is to become over 20 times as large"),
    "overlapping": (overlapping(30), "two entries of one name"),
    "bzip2": (of_entries(method=zipfile.ZIP_BZIP2, **{"W1.npy": npy(np.ones(99))}), "compressed in a way"),
    "locked": (of_entries(**{"W1.npy": npy(np.ones(2))}).replace(b"PK\1\2\x14\3\x14\0\0", b"PK\1\2\x14\3\x14\0\1"),
               "encrypted"),
}


@pytest.mark.parametrize("data, reason", NPZ.values(), ids=NPZ.keys())
def test_npz(tmp_path, data, reason):
    path = tmp_path / "p.npz"
    path.write_bytes(data)
    with pytest.raises(ValueError, match=reason) as error:
        params.load(path)
    assert str(path) in str(error.value)


def test_a_network_of_zeros_is_no_bomb(tmp_path):
    np.savez_compressed(tmp_path / "p.npz", W1=np.zeros((300, 5000)))
    assert params.load(tmp_path / "p.npz")["W1"].shape == (300, 5000)


def test_a_pickle_of_many_copies(tmp_path):
    array = np.ones(10_000)
    path = tmp_path / "p.pkl"
    path.write_bytes(pickle.dumps({f"W{n}": array for n in range(3)}))
    assert len(params.load(path)) == 3
    path.write_bytes(pickle.dumps({f"W{n}": array for n in range(1000)}))
    with pytest.raises(ValueError, match="p.pkl: entry 'W4': the arrays so far are over 4 times the file's size"):
        params.load(path)


def safetensors(header, data=b""):
    return struct.pack("<Q", len(header)) + header + data


SAFETENSORS = {
    "empty": b"",
    "text": b"These are no parameters.",
    "huge header": struct.pack("<Q", 1 << 60) + b"{}",
    "no json": safetensors(b"{...}"),
    "beyond the end": safetensors(b'{"W":{"dtype":"F32","shape":[2],"data_offsets":[0,8]}}', bytes(4)),
    "wrong size": safetensors(b'{"W":{"dtype":"F32","shape":[3],"data_offsets":[0,8]}}', bytes(8)),
    "huge shape": safetensors(b'{"W":{"dtype":"F32","shape":[4611686018427387905,4],"data_offsets":[0,16]}}',
                              bytes(16)),
    "overlapping": safetensors(b'{"V":{"dtype":"F32","shape":[2],"data_offsets":[0,8]},'
                               b'"W":{"dtype":"F32","shape":[2],"data_offsets":[0,8]}}', bytes(8)),
    "complex": safetensors(b'{"W":{"dtype":"C64","shape":[1],"data_offsets":[0,8]}}', bytes(8)),
}


@pytest.mark.parametrize("data", SAFETENSORS.values(), ids=SAFETENSORS.keys())
def test_safetensors(tmp_path, data):
    path = tmp_path / "p.safetensors"
    path.write_bytes(data)
    with pytest.raises(ValueError, match=re.escape(str(path))):
        params.load(path)
    if b"C64" not in data:
        with pytest.raises(ValueError, match=re.escape(str(path))):
            params.metadata(path)
