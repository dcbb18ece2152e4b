"""The names that arrays have in files: PyTorch's where layers have names, the book's elsewhere."""
from __future__ import annotations

import warnings

import numpy as np
import pytest
from engine.toys import affine, two_affine

from fastconv import params as files
from fastconv.engine import Network
from fastconv.layers import Affine, BatchNormalization, Convolution, Relu
from fastconv.models import SimpleConvNet, SmallResNet, TwoLayerNet
from fastconv.preprocessing import ChannelMean, MeanStd


def named(seed=0, dtype=np.float32, statistics=True):
    rng = np.random.default_rng(seed)
    network = Network(dtype=dtype)
    network.add(Convolution(rng.normal(size=(3, 1, 3, 2)), None), name="conv")
    running = (rng.normal(size=3), rng.uniform(1, 2, 3)) if statistics else ()
    network.add(BatchNormalization(rng.normal(size=3), rng.normal(size=3), 0.9, *running), name="layer.0.bn")
    network.add(Relu())
    network.add(Affine(rng.normal(size=(12, 5)), rng.normal(size=5)), name="fc")
    return network


X = np.random.default_rng(9).normal(size=(4, 1, 4, 3)).astype(np.float32)


def test_names_are_pytorchs():
    network = named()
    state = network.state()
    assert {name: value.shape for name, value in state.items()} == {
        "conv.weight": (3, 1, 3, 2), "layer.0.bn.weight": (3,), "layer.0.bn.bias": (3,),
        "layer.0.bn.running_mean": (3,), "layer.0.bn.running_var": (3,), "fc.weight": (5, 12), "fc.bias": (5,)}
    conv, normalization, _, affine = network.layers
    assert state["conv.weight"] is conv.W and state["layer.0.bn.weight"] is normalization.gamma
    assert state["layer.0.bn.running_var"] is normalization.running_var
    assert np.shares_memory(state["fc.weight"], affine.W)
    np.testing.assert_array_equal(state["fc.weight"], affine.W.T)
    assert list(network.params) == ["W1", "gamma1", "beta1", "W2", "b1"]


@pytest.mark.parametrize("network, names", [
    (two_affine(), ["W1", "b1", "W2", "b2"]), (SimpleConvNet((1, 8, 8)), ["W1", "b1", "W2", "b2", "W3", "b3"]),
    (TwoLayerNet(4, 3, 2), ["W1", "b1", "W2", "b2"])], ids=["nameless", "SimpleConvNet", "TwoLayerNet"])
def test_the_book_s_names_stay(network, names, tmp_path):
    assert list(network.state()) == names
    network.save_params(tmp_path / "p.npz")
    with np.load(tmp_path / "p.npz") as file:
        assert list(file) == names
    network.load_state({name: 0 * value for name, value in network.state().items()})
    assert not any(value.any() for value in network.params.values())
    network.load_params(tmp_path / "p.npz")
    assert all(network.params[name].any() for name in names if name[0] == "W")


def test_one_name_missing_means_the_book_s():
    network = named()
    network.add(Affine(np.ones((5, 2)), None))
    assert list(network.state()) == list(network.params)


@pytest.mark.parametrize("suffix", [".pkl", ".npz", ".safetensors"])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_round_trip(tmp_path, suffix, dtype):
    network, other = named(0), named(1, dtype)
    network.predict(X, train_flg=True)  # moves the statistics
    network.save_params(tmp_path / f"p{suffix}")
    other.load_params(tmp_path / f"p{suffix}")
    for name, value in other.state().items():
        np.testing.assert_array_equal(value, network.state()[name].astype(dtype))
        assert value.dtype == dtype
    np.testing.assert_allclose(other.predict(X), network.predict(X), rtol=0, atol=1e-5)


def test_a_network_that_was_not_used_yet_takes_statistics():
    network, fresh = named(0), named(1, statistics=False)
    assert "layer.0.bn.running_mean" not in fresh.state()
    fresh.load_state(network.state())
    np.testing.assert_array_equal(fresh.predict(X), network.predict(X))


def test_what_is_loaded_is_a_copy():
    network, other = named(0), named(1)
    other.load_state(network.state())
    assert other.layers[3].W.flags.c_contiguous
    for name, value in other.state().items():
        assert not np.shares_memory(value, network.state()[name]) and value.flags.writeable
    book = two_affine()
    twin = two_affine()
    twin.load_state(book.state())
    assert not np.shares_memory(twin.params["W1"], book.params["W1"])


@pytest.mark.parametrize("change", [
    lambda a: np.asfortranarray(a), lambda a: a.astype(">f4"), lambda a: a.astype(np.float64), lambda a: a.tolist(),
    lambda a: np.broadcast_to(a, (2, *a.shape))[1]], ids=["fortran", "swapped", "float64", "list", "read-only"])
def test_any_arrays_are_taken(change):
    network, other = named(0), named(1)
    other.load_state({name: change(value) for name, value in network.state().items()})
    np.testing.assert_array_equal(other.predict(X), network.predict(X))


def test_num_batches_tracked_is_ignored():
    network, other = named(0), named(1)
    other.load_state(network.state() | {"layer.0.bn.num_batches_tracked": np.array(7)})
    np.testing.assert_array_equal(other.predict(X), network.predict(X))


def test_what_does_not_fit_is_listed_and_nothing_is_loaded():
    network = named()
    before = {name: value.copy() for name, value in network.state().items()}
    arrays = dict(named(1).state())
    del arrays["conv.weight"]
    arrays["fc.weight"] = arrays["fc.weight"].T
    arrays["layer.0.bn.running_var"] = np.ones((3, 1))
    arrays["fc.bias"] = np.array(list("abcde"))
    arrays["head.weight"] = np.ones(2)
    with pytest.raises(ValueError) as error:
        network.load_state(arrays, "weights.pth")
    assert str(error.value) == (
        "weights.pth: the parameters do not fit this network: conv.weight is missing; head.weight is unknown; "
        "layer.0.bn.running_var has shape (3, 1), expected (3,); fc.weight has shape (12, 5), expected (5, 12); "
        "fc.bias has dtype <U1, expected real numbers")
    for name, value in network.state().items():
        np.testing.assert_array_equal(value, before[name])
    with pytest.raises(ValueError, match="Network.load_state: .* W1 is missing"):
        two_affine().load_state({})


def nameless():
    network = Network(dtype=np.float32)
    network.add(affine(4, 5, 1, np.float32))
    network.add(affine(5, 3, 2, np.float32))
    return network


@pytest.mark.parametrize("make", [named, nameless])
@pytest.mark.parametrize("fault", ["shape", "missing", "unknown", "conversion"])
def test_a_failed_load_leaves_the_very_arrays(tmp_path, make, fault):
    network = make()
    held = network.state()
    arrays = {name: np.full_like(value, 7) for name, value in held.items()}
    contents = {name: value.copy() for name, value in held.items()}
    params, last = dict(network.params), list(arrays)[-1]
    if fault == "missing":
        del arrays[last]
    elif fault == "unknown":
        arrays["head.W9"] = np.ones(2)
    else:
        arrays[last] = np.ones((1, 1, 1)) if fault == "shape" else np.full(arrays[last].shape, 1e300)
    files.save(tmp_path / "p.npz", arrays)
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # a number too large for float32 is one to NumPy
        error, reason = (RuntimeWarning, "overflow") if fault == "conversion" else (ValueError, "p.npz: .*do not fit")
        with pytest.raises(error, match=reason):
            network.load_params(tmp_path / "p.npz")
    assert network.params.keys() == params.keys() and all(network.params[name] is params[name] for name in params)
    for name, value in network.state().items():
        assert value.tobytes() == contents[name].tobytes() and np.shares_memory(value, held[name])


@pytest.mark.parametrize("make", [named, nameless])
def test_an_unknown_name_cannot_steer_a_terminal(make):
    with pytest.raises(ValueError) as error:
        make().load_state({"\x1b]0;owned\x07\n" + "x" * 100_000: np.ones(2)})
    assert str(error.value).isprintable() and "?]0;owned??xxx" in str(error.value) and len(str(error.value)) < 500


def test_two_arrays_of_one_name_are_refused():
    class Both(Affine):
        gamma = np.ones(2)

    network = Network()
    network.add(Both(np.ones((2, 2)), None), name="both")
    with pytest.raises(ValueError, match=r"layers\[0\], a Both, has W and gamma: both would be both.weight"):
        network.state()


def test_loading_takes_effect_in_a_plan():
    network, other = SmallResNet(8, (1, 9, 8), seed=0), SmallResNet(8, (1, 9, 8), seed=1)
    x = np.random.default_rng(0).random((2, 1, 9, 8), np.float32)
    expected = other.predict(x)
    assert not np.allclose(network.predict(x), expected)
    network.load_state(other.state())
    np.testing.assert_array_equal(network.predict(x), expected)


# ---- preprocessing

class Shift:
    """A preprocessing of one's own."""

    def __init__(self, by):
        self.by = by

    def __call__(self, images):
        return (images + self.by).astype(np.float32)

    def state(self):
        return {"by": self.by}

    @classmethod
    def from_state(cls, arrays):
        return cls(float(arrays["by"]))


def test_preprocessing_is_saved_with_the_parameters(tmp_path):
    network, other = named(0), named(1)
    network.preprocessing, other.preprocessing = Shift(3.0), Shift(1.0)
    network.save_params(tmp_path / "p.npz")
    with np.load(tmp_path / "p.npz") as file:
        assert file["preprocessing.by"] == 3
    other.load_params(tmp_path / "p.npz")
    assert type(other.preprocessing) is Shift and other.preprocessing.by == 3


@pytest.mark.parametrize("saved", [MeanStd(), MeanStd([0.5], [0.25]), ChannelMean([0.1, 0.2, 0.3])])
@pytest.mark.parametrize("before", [None, MeanStd([0.1], [0.2]), ChannelMean([0.3])])
def test_a_file_brings_fastconv_s_own_preprocessing(saved, before, tmp_path):
    network, other = named(0), named(1)
    network.preprocessing, other.preprocessing = saved, before
    network.save_params(tmp_path / "p.safetensors")
    other.load_params(tmp_path / "p.safetensors")
    assert type(other.preprocessing) is type(saved) and other.preprocessing is not saved
    images = np.random.default_rng(0).integers(0, 256, (2, len(saved.mean), 4, 3), np.uint8)
    np.testing.assert_allclose(other.preprocessing(images), saved(images), 1e-6, 1e-6)
    np.testing.assert_array_equal(other.predict(X), network.predict(X))


def test_a_file_without_preprocessing_leaves_it():
    network = named()
    network.preprocessing = Shift(1.0)
    network.load_state(named(1).state())
    assert network.preprocessing.by == 1


def test_nothing_is_loaded_where_the_preprocessing_is_damaged():
    network = named()
    network.preprocessing = Shift(1.0)
    before = network.state()["fc.bias"].copy()
    with pytest.raises(ValueError, match="x.npz: preprocessing: 'by'"):
        network.load_state(named(1).state() | {"preprocessing.bye": np.ones(1)}, "x.npz")
    with pytest.raises(ValueError, match="conv.weight is missing"):
        network.load_state({"preprocessing.by": np.ones(())})
    np.testing.assert_array_equal(network.state()["fc.bias"], before)
    assert network.preprocessing.by == 1
