"""`params` is a view of the layers' attributes; files come in completely or not at all."""
from __future__ import annotations

import copy
import importlib
import pickle
import sys

import numpy as np
import pytest
from engine.toys import two_affine

from fastconv.engine import Network
from fastconv.layers import Affine, BatchNormalization, Convolution

X = np.random.default_rng(1).normal(size=(3, 4))


@pytest.fixture
def network():
    return two_affine()


def test_names_are_numbered_as_in_the_book():
    network = Network()
    network.add(Convolution(np.ones((2, 1, 3, 3)), np.zeros(2)))
    network.add(BatchNormalization(np.ones(2), np.zeros(2)))
    network.add(Affine(np.ones((8, 4)), np.zeros(4)))
    network.add(BatchNormalization(np.ones(4), np.zeros(4)))
    assert list(network.params) == ["W1", "b1", "gamma1", "beta1", "W2", "b2", "gamma2", "beta2"]
    assert all(value.dtype == np.float32 for value in network.params.values())


def test_a_convolution_without_bias_has_none():
    network = Network()
    network.add(Convolution(np.ones((2, 1, 3, 3)), None))
    network.add(Affine(np.ones((8, 4)), np.zeros(4)))
    assert list(network.params) == ["W1", "W2", "b1"]


def test_one_source_of_truth(network):
    layer = network.layers[0]
    assert network.params["W1"] is layer.W
    network.params["W1"] = np.zeros((4, 5))
    assert layer.W is network.params["W1"]
    np.testing.assert_array_equal(network.layers[0].forward(X), np.broadcast_to(layer.b, (3, 5)))
    layer.b = np.ones(5)
    assert network.params["b1"] is layer.b
    before = network.predict(X)
    network.params["b2"] += 1
    np.testing.assert_allclose(network.predict(X), before + 1)


def test_in_place_operators_keep_the_array(network):
    array = network.params["W1"]
    network.params["W1"] -= 0.5
    assert network.params["W1"] is array is network.layers[0].W


def test_values_are_converted_to_the_networks_dtype():
    network = two_affine(np.float32)
    network.params["b1"] = [1, 2, 3, 4, 5]
    assert network.params["b1"].dtype == np.float32
    network.params["b1"] = np.arange(5.0)
    assert network.params["b1"].dtype == np.float32


def test_unknown_keys_and_wrong_shapes(network):
    with pytest.raises(KeyError, match="no 'W3'; it has W1, b1, W2, b2"):
        network.params["W3"] = np.ones(3)
    with pytest.raises(KeyError, match="no 'w1'"):
        network.params["w1"]
    with pytest.raises(ValueError, match=r"W1 has shape \(5, 4\), expected \(4, 5\)"):
        network.params["W1"] = np.ones((5, 4))
    with pytest.raises(ValueError, match="b1 has dtype complex128"):
        network.params["b1"] = np.ones(5, complex)
    with pytest.raises(TypeError, match="cannot be deleted"):
        del network.params["W1"]


def test_is_a_mapping_of_the_names(network):
    assert "W2" in network.params and "W3" not in network.params
    assert len(network.params) == 4
    assert repr(network.params) == "Parameters(W1: (4, 5), b1: (5,), W2: (5, 3), b2: (3,))"


@pytest.mark.parametrize("duplicate", [lambda p: pickle.loads(pickle.dumps(p)), copy.copy, copy.deepcopy,
                                       lambda p: p.copy()], ids=["pickle", "copy", "deepcopy", "method"])
def test_copies_are_plain_dictionaries(network, duplicate):
    plain = duplicate(network.params)
    assert type(plain) is dict and list(plain) == list(network.params)
    for key, value in plain.items():
        np.testing.assert_array_equal(value, network.params[key])


@pytest.mark.parametrize("duplicate", [lambda n: pickle.loads(pickle.dumps(n)), copy.deepcopy])
def test_a_copied_network_is_independent(network, duplicate):
    other = duplicate(network)
    np.testing.assert_array_equal(other.predict(X), network.predict(X))
    other.params["b2"] += 1
    np.testing.assert_allclose(other.predict(X), network.predict(X) + 1)


@pytest.mark.parametrize("suffix", [".pkl", ".npz"])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_round_trip(tmp_path, suffix, dtype):
    network, other = two_affine(np.float64), two_affine(dtype)
    for key in other.params:
        other.params[key] = np.zeros_like(other.params[key])
    network.save_params(tmp_path / f"saved{suffix}")
    other.load_params(str(tmp_path / f"saved{suffix}"))
    for key, value in other.params.items():
        assert value.dtype == dtype
        np.testing.assert_array_equal(value, network.params[key].astype(dtype))


def test_a_saved_pickle_is_a_plain_dictionary(network, tmp_path):
    network.save_params(tmp_path / "params.pkl")
    plain = pickle.loads((tmp_path / "params.pkl").read_bytes())
    assert type(plain) is dict and list(plain) == ["W1", "b1", "W2", "b2"]


def test_what_does_not_fit_is_listed_and_nothing_is_loaded(network, tmp_path):
    wrong = {"W1": np.zeros((4, 5)), "W2": np.zeros((5, 4)), "b1": np.zeros(5), "W9": np.zeros(1)}
    (tmp_path / "wrong.pkl").write_bytes(pickle.dumps(wrong))
    before = copy.deepcopy(network.params)
    with pytest.raises(ValueError) as error:
        network.load_params(tmp_path / "wrong.pkl")
    for part in ("b2 is missing", "W9 is unknown", "W2 has shape (5, 4), expected (5, 3)", "wrong.pkl"):
        assert part in str(error.value)
    assert "W1" not in str(error.value)
    for key, value in before.items():
        np.testing.assert_array_equal(network.params[key], value)


def test_relative_paths_are_found_here_then_beside_the_class(tmp_path, monkeypatch, request):
    here, beside = tmp_path / "here", tmp_path / "beside"
    here.mkdir()
    beside.mkdir()
    (beside / "a_network.py").write_text("from fastconv.engine import Network\nclass Mine(Network): pass\n")
    monkeypatch.syspath_prepend(str(beside))
    monkeypatch.chdir(here)
    request.addfinalizer(lambda: sys.modules.pop("a_network"))
    mine = importlib.import_module("a_network").Mine(dtype=np.float64)
    for layer in two_affine().layers:
        mine.add(layer)

    with pytest.raises(FileNotFoundError) as error:
        mine.load_params("p.pkl")
    assert str(here / "p.pkl") in str(error.value) and str(beside / "p.pkl") in str(error.value)

    for folder, value in ((beside, 7.0), (here, 8.0)):
        saved = {key: np.full_like(array, value) for key, array in mine.params.items()}
        (folder / "p.pkl").write_bytes(pickle.dumps(saved))
        mine.load_params("p.pkl")
        np.testing.assert_array_equal(mine.params["b1"], value)


def test_an_absolute_path_is_looked_up_only_there(network, tmp_path):
    with pytest.raises(FileNotFoundError) as error:
        network.load_params(tmp_path / "none.pkl")
    assert str(error.value).count("none.pkl") == 2
