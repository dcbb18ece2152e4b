"""Parameter files: what is written comes back, and an old file survives a failed write."""
import os
import pickle
import pickletools
import stat
import sys

import numpy as np
import pytest
from param_arrays import assert_same, some_arrays

from fastconv import params

pytest.importorskip("safetensors")
from safetensors.numpy import load_file, save_file  # noqa: E402

WRITTEN = [".pkl", ".npz", ".safetensors"]
BOOK_KEYS = {f"{letter}{number}" for letter in "Wb" for number in range(1, 9)}


@pytest.mark.parametrize("suffix", WRITTEN)
def test_round_trip(tmp_path, suffix):
    params.save(tmp_path / f"p{suffix}", some_arrays())
    for path in (tmp_path / f"p{suffix}", str(tmp_path / f"p{suffix}")):
        read = params.load(path)
        assert_same({name: read.pop(name) for name in some_arrays()}, some_arrays())
        assert not read


def test_others_can_read_our_files(tmp_path):
    for suffix in WRITTEN:
        params.save(tmp_path / f"p{suffix}", some_arrays())
    with open(tmp_path / "p.pkl", "rb") as file:
        content = pickle.load(file)
        assert not file.read(1)
    with open(tmp_path / "p.pkl", "rb") as file:
        strict = pickle._Unpickler(file).load()  # Python's own in Python, which minds the lengths of frames
    assert type(content) is dict
    for read in (content, strict, np.load(tmp_path / "p.npz", allow_pickle=False),
                 load_file(tmp_path / "p.safetensors")):
        assert set(read) == set(some_arrays())
        for name, array in some_arrays().items():
            np.testing.assert_array_equal(read[name], array)


def test_a_pickle_asks_for_what_every_numpy_has(tmp_path):
    found = set()

    class Noting(pickle.Unpickler):
        def find_class(self, module, name):
            found.add((module.replace("_core", "core"), name))
            return super().find_class(module, name)

    params.save(tmp_path / "p.pkl", some_arrays())
    with open(tmp_path / "p.pkl", "rb") as file:
        Noting(file).load()
    assert found == {("numpy.core.multiarray", "_reconstruct"), ("numpy", "ndarray"), ("numpy", "dtype")}


def test_frames_of_a_pickle_end_where_instructions_do(tmp_path):
    params.save(tmp_path / "p.pkl", {"W1": np.ones(3), "W2": np.ones(9999)})
    instructions = list(pickletools.genops((tmp_path / "p.pkl").read_bytes()))
    starts = {position for _, _, position in instructions}
    frames = [position + 9 + size for instruction, size, position in instructions if instruction.name == "FRAME"]
    assert frames and starts.issuperset(frames)


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


@pytest.mark.parametrize("name", ["params", "params.pickle", "params.pkl.gz"])
def test_unknown_suffix(tmp_path, name):
    with pytest.raises(ValueError, match="expected .pkl, .npz, .safetensors, .pth, .pt"):
        params.save(tmp_path / name, {})
    with pytest.raises(ValueError, match="expected .pkl, .npz, .safetensors, .pth, .pt"):
        params.load(tmp_path / name)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("suffix", [".pth", ".pt"])
def test_files_of_pytorch_are_only_read(tmp_path, suffix):
    with pytest.raises(ValueError, match=rf"p{suffix}: .*only read.*safetensors.torch.load_file"):
        params.save(tmp_path / f"p{suffix}", {})
    assert not list(tmp_path.iterdir())


def test_without_the_package_safetensors(tmp_path, monkeypatch):
    path = tmp_path / "p.safetensors"
    params.save(path, {"W1": np.ones(2)})
    monkeypatch.setitem(sys.modules, "safetensors", None)
    for call in (lambda: params.load(path), lambda: params.save(path, {"W2": np.ones(2)}),
                 lambda: params.metadata(path)):
        with pytest.raises(ImportError, match="p.safetensors: .*pip install safetensors"):
            call()
    monkeypatch.undo()
    assert list(params.load(path)) == ["W1"]


def test_metadata(tmp_path):
    save_file({"W1": np.ones(2)}, tmp_path / "p.safetensors", {"class_names": '["cat"]'})
    assert params.metadata(tmp_path / "p.safetensors") == {"class_names": '["cat"]'}
    save_file({"W1": np.ones(2)}, tmp_path / "p.safetensors")
    assert params.metadata(tmp_path / "p.safetensors") == {} == params.metadata(tmp_path / "p.npz")


def test_safetensors_with_what_numpy_has_not(tmp_path):
    torch = pytest.importorskip("torch")
    from safetensors.torch import save_file
    tensors = {"half": torch.randn(3, 5), "number": torch.tensor(-1.5), "none": torch.zeros(0, 2)}
    save_file({name: tensor.bfloat16() for name, tensor in tensors.items()}, tmp_path / "p.safetensors")
    assert_same(params.load(tmp_path / "p.safetensors"),
                {name: tensors[name].bfloat16().float().numpy() for name in sorted(tensors)})
    save_file({"W": torch.ones(2).to(torch.float8_e4m3fn)}, tmp_path / "p.safetensors")
    with pytest.raises(ValueError, match="p.safetensors: entry 'W': has dtype F8_E4M3"):
        params.load(tmp_path / "p.safetensors")


@pytest.mark.parametrize("entry, value, error, reason", [
    ("W1", np.ones(2, np.longdouble), TypeError, "'W1' has dtype float128"),
    ("__metadata__", np.ones(2), ValueError, "has the name '__metadata__' for itself"),
])
def test_what_safetensors_cannot_hold(tmp_path, entry, value, error, reason):
    with pytest.raises(error, match=f"p.safetensors: .*{reason}"):
        params.save(tmp_path / "p.safetensors", {entry: value})
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("suffix", WRITTEN)
@pytest.mark.parametrize("arrays, entry", [
    ({"W1": np.array([None])}, "'W1' has dtype object"),
    ({"W1": np.ones(2), "b1": "text"}, "'b1' has dtype <U4"),
    ({"W1": np.ones(2) * 1j}, "'W1' has dtype complex128"),
    ({1: np.ones(2)}, "name 1"),
    ({"W1": np.ma.masked_array([1.0, 2.0], [True, False])}, "'W1' is a masked array .*filled"),
])
def test_what_cannot_be_saved(tmp_path, suffix, arrays, entry):
    with pytest.raises(TypeError, match=entry):
        params.save(tmp_path / f"p{suffix}", arrays)
    assert not list(tmp_path.iterdir())


class Killed(BaseException):
    pass


@pytest.mark.parametrize("failure", [OSError(28, "No space left on device"), Killed()])
@pytest.mark.parametrize("step", ["write", "fsync", "replace"])
@pytest.mark.parametrize("suffix", WRITTEN)
def test_a_failed_write_leaves_the_old_file(tmp_path, monkeypatch, suffix, step, failure):
    path = tmp_path / f"p{suffix}"
    params.save(path, {"old": np.ones(3)})

    def fail(*arguments, **_):
        for argument in arguments:
            if hasattr(argument, "write"):
                argument.write(b"the first half")
        raise failure

    if step == "write":
        monkeypatch.setattr(pickle, "dump", fail)
        monkeypatch.setattr(np.lib.format, "write_array", fail)
        monkeypatch.setattr("safetensors.numpy.save", fail)
    else:
        monkeypatch.setattr(params.os, step, fail)
    with pytest.raises(type(failure)) as error:
        params.save(path, {"new": np.zeros(30_000)})
    monkeypatch.undo()
    if isinstance(failure, OSError):
        assert str(path) in str(error.value) and "No space left" in str(error.value)
    assert [entry.name for entry in tmp_path.iterdir()] == [path.name]
    assert_same(params.load(path), {"old": np.ones(3)})


@pytest.mark.parametrize("suffix", WRITTEN)
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
