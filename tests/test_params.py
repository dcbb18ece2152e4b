"""Parameter files: what is written comes back, and an old file survives a failed write."""
import io
import os
import pickle
import stat
import zipfile

import numpy as np
import pytest
from param_arrays import assert_same, some_arrays

from fastconv import params

BOOK_KEYS = {f"{letter}{number}" for letter in "Wb" for number in range(1, 9)}


@pytest.mark.parametrize("suffix", [".pkl", ".npz"])
def test_round_trip(tmp_path, suffix):
    params.save(tmp_path / f"p{suffix}", some_arrays())
    assert_same(params.load(tmp_path / f"p{suffix}"), some_arrays())
    assert_same(params.load(str(tmp_path / f"p{suffix}")), some_arrays())


def test_others_can_read_our_files(tmp_path):
    params.save(tmp_path / "p.pkl", some_arrays())
    params.save(tmp_path / "p.npz", some_arrays())
    with open(tmp_path / "p.pkl", "rb") as file:
        content = pickle.load(file)
    assert type(content) is dict
    for read in (content, np.load(tmp_path / "p.npz", allow_pickle=False)):
        assert set(read) == set(some_arrays())
        for name, array in some_arrays().items():
            np.testing.assert_array_equal(read[name], array)


def test_we_can_read_others_files(tmp_path):
    written = some_arrays() | {"compressed": np.zeros(1000)}
    del written["file"]
    np.savez_compressed(tmp_path / "p.npz", **written)
    assert_same(params.load(tmp_path / "p.npz"), written)


def test_the_books_parameters():
    if "FASTCONV_BOOK_PARAMS" not in os.environ:
        pytest.skip("FASTCONV_BOOK_PARAMS does not name the book's deep_convnet_params.pkl")
    read = params.load(os.environ["FASTCONV_BOOK_PARAMS"])
    assert read.keys() == BOOK_KEYS
    assert read["W1"].shape == (16, 1, 3, 3) and read["W1"].dtype == np.float64
    assert read["W7"].shape == (1024, 50)


@pytest.mark.parametrize("suffix", [".pkl", ".npz"])
def test_truncated_anywhere(tmp_path, suffix):
    path = tmp_path / f"p{suffix}"
    params.save(path, {"W1": np.arange(6.0).reshape(2, 3), "b1": np.ones(3)})
    whole = path.read_bytes()
    for length in range(len(whole)):
        path.write_bytes(whole[:length])
        with pytest.raises(ValueError, match=path.name):
            params.load(path)


def npz(**entries):
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        for name, content in entries.items():
            archive.writestr(name, content)
    return file.getvalue()


def npy(array, allow_pickle=False):
    file = io.BytesIO()
    np.lib.format.write_array(file, array, allow_pickle=allow_pickle)
    return file.getvalue()


HUGE = npy(np.ones(2)).replace(b"(2,), }" + b" " * 12, b"(2000000000000,), }")


@pytest.mark.parametrize("data, reason", [
    (b"no zip", "not a zip file"),
    (npy(np.ones(2)), "not a zip file"),
    (npz(**{"W1.npy": npy(np.array([None]), allow_pickle=True)}), "entry 'W1.npy': Object arrays"),
    (npz(**{"W1.npy": npy(np.array([1j]))}), "entry 'W1.npy': has dtype complex128"),
    (npz(**{"W1.npy": npy(np.ones(2))[:-1]}), "entry 'W1.npy'"),
    (npz(**{"W1.npy": HUGE}), "entry 'W1.npy'"),
    (npz(**{"read me.txt": b"hello"}), "entry 'read me.txt'"),
    (npz(**{"W1.npy": npy(np.ones(99))}).replace(np.ones(5).tobytes(), np.zeros(5).tobytes(), 1), "CRC"),
])
def test_damaged_npz(tmp_path, data, reason):
    path = tmp_path / "p.npz"
    path.write_bytes(data)
    with pytest.raises(ValueError, match=reason) as error:
        params.load(path)
    assert str(path) in str(error.value)


@pytest.mark.parametrize("name", ["params", "params.pickle", "params.pkl.gz"])
def test_unknown_suffix(tmp_path, name):
    with pytest.raises(ValueError, match="expected .pkl or .npz"):
        params.save(tmp_path / name, {})
    with pytest.raises(ValueError, match="expected .pkl or .npz"):
        params.load(tmp_path / name)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("suffix", [".pkl", ".npz"])
@pytest.mark.parametrize("arrays, entry", [
    ({"W1": np.array([None])}, "'W1' has dtype object"),
    ({"W1": np.ones(2), "b1": "text"}, "'b1' has dtype <U4"),
    ({"W1": np.ones(2) * 1j}, "'W1' has dtype complex128"),
    ({1: np.ones(2)}, "name 1"),
])
def test_what_cannot_be_saved(tmp_path, suffix, arrays, entry):
    with pytest.raises(TypeError, match=entry):
        params.save(tmp_path / f"p{suffix}", arrays)
    assert not list(tmp_path.iterdir())


class Killed(BaseException):
    pass


@pytest.mark.parametrize("failure", [OSError(28, "No space left on device"), Killed()])
@pytest.mark.parametrize("step", ["write", "fsync", "replace"])
@pytest.mark.parametrize("suffix", [".pkl", ".npz"])
def test_a_failed_write_leaves_the_old_file(tmp_path, monkeypatch, suffix, step, failure):
    path = tmp_path / f"p{suffix}"
    params.save(path, {"old": np.ones(3)})

    def fail(*arguments, **_):
        for argument in arguments:
            if hasattr(argument, "write"):
                argument.write(b"the first half")
        raise failure

    if step == "write":
        monkeypatch.setattr(params.pickle, "dump", fail)
        monkeypatch.setattr(params.np.lib.format, "write_array", fail)
    else:
        monkeypatch.setattr(params.os, step, fail)
    with pytest.raises(type(failure)) as error:
        params.save(path, {"new": np.zeros(30_000)})
    monkeypatch.undo()
    if isinstance(failure, OSError):
        assert str(path) in str(error.value) and "No space left" in str(error.value)
    assert [entry.name for entry in tmp_path.iterdir()] == [path.name]
    assert_same(params.load(path), {"old": np.ones(3)})


@pytest.mark.parametrize("suffix", [".pkl", ".npz"])
def test_a_file_that_may_not_grow(tmp_path, suffix):
    resource = pytest.importorskip("resource")
    path = tmp_path / f"p{suffix}"
    params.save(path, {"old": np.ones(3)})
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, limits[1]))
    try:
        with pytest.raises(OSError, match=f"not written: File too large: .*{path.name}"):
            params.save(path, {"new": np.zeros(30_000)})
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert [entry.name for entry in tmp_path.iterdir()] == [path.name]
    assert_same(params.load(path), {"old": np.ones(3)})


@pytest.mark.parametrize("umask", [0o022, 0o077, 0o002])
def test_mode_follows_the_umask(tmp_path, umask):
    old = os.umask(umask)
    try:
        params.save(tmp_path / "p.pkl", {})
    finally:
        os.umask(old)
    assert stat.S_IMODE((tmp_path / "p.pkl").stat().st_mode) == 0o666 & ~umask


def test_the_file_behind_a_link_is_replaced(tmp_path):
    (tmp_path / "there").mkdir()
    (tmp_path / "link.pkl").symlink_to(tmp_path / "there" / "p.pkl")
    params.save(tmp_path / "link.pkl", {"W1": np.ones(2)})
    assert (tmp_path / "link.pkl").is_symlink()
    assert_same(params.load(tmp_path / "there" / "p.pkl"), {"W1": np.ones(2)})


def test_missing_folder_and_file_are_named(tmp_path):
    with pytest.raises(FileNotFoundError, match="nowhere/p.pkl"):
        params.save(tmp_path / "nowhere" / "p.pkl", {})
    with pytest.raises(FileNotFoundError, match="p.npz"):
        params.load(tmp_path / "p.npz")
