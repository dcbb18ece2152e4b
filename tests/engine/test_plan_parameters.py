"""What changes between two calls of a network takes effect at the second one, whatever its plans have kept."""
from __future__ import annotations

import copy

import numpy as np
import pytest
from engine.random_networks import layer_by_layer, only_plans

from fastconv.engine import Network
from fastconv.layers import (
    Affine,
    BatchNormalization,
    Convolution,
    Dropout,
    Pooling,
    Relu,
    Sigmoid,
)
from fastconv.threads import threads

DTYPES = [np.float32, np.float64]
SHAPE = (3, 9, 7)


def filled(*shape, seed=0):
    return np.random.default_rng([seed, *shape]).normal(0, 0.4, shape)


def make(dtype=np.float32):
    """Every kind of step that reads something of its layer."""
    network = Network(dtype=dtype)
    network.add(Convolution(filled(16, 3, 3, 3), filled(16), 1, 1))
    network.add(Relu())
    network.add(Convolution(filled(16, 16, 3, 3), filled(16), 1, 1))
    network.add(Relu())
    network.add(Pooling(2, 2, 2))
    network.add(BatchNormalization(1 + filled(16, seed=1), filled(16, seed=2)))
    network.add(Convolution(filled(5, 16, 2, 2), filled(5), 1, 1))
    network.add(Sigmoid())
    network.add(Dropout(0.3))
    network.add(Affine(filled(100, 7), filled(7)))
    return network


def batch(dtype, n=6, shape=SHAPE):
    rng = np.random.default_rng(n)
    return rng.normal(size=(n, *shape)).astype(dtype), rng.integers(0, 7, n)


def results(network, x, t):
    network.seed(2)
    return [network.predict(x), network.predict(x, train_flg=True), np.array(network.loss(x, t)),
            *network.gradient(x, t).values(), network.predict(x)]


def run_both(network, x, t):
    """Return what the network computes, after asserting that its layers compute the same one by one."""
    expected = results(layer_by_layer(network), x, t)
    found = results(network, x, t)
    exact = x.dtype == network.dtype == np.float64
    largest = max(np.abs(value).max() for value in expected[3:-1])
    for i, (value, other) in enumerate(zip(found, expected, strict=True)):
        scale = largest if 3 <= i < len(found) - 1 else np.abs(other).max()
        assert value.dtype == other.dtype and value.shape == other.shape
        assert np.abs(value - other).max() < (1e-9 if exact else 1e-4) * scale
    return found


# ---- parameters

PARAMETERS = ("W1", "b1", "W2", "b2", "W3", "b3", "W4", "b4", "gamma1", "beta1")


def statistics_stand_still(network):
    """So that only the change moves the predictions."""
    network.layers[5].momentum = 1.0
    network.layers[5].running_var = np.ones(16)


@pytest.mark.parametrize("key", PARAMETERS)
def test_edits_that_no_other_number_shows(key):
    """Each number of a parameter, in predictions that keep packed weights: compared bit by bit with a new network."""
    network = make()
    statistics_stand_still(network)
    x, _ = batch(np.float32, 2)
    rng = np.random.default_rng(3)
    for _ in range(12):
        value = network.params[key]
        i = tuple(int(rng.integers(n)) for n in value.shape)
        value[i] = np.nextafter(value[i], np.float32(9))  # the last bit
        with only_plans(network):
            np.testing.assert_array_equal(network.predict(x), copy.deepcopy(network).predict(x))


def test_zeros_of_either_sign_and_nan():
    network, x = Network(), np.full((1, 2), -1, np.float32)
    network.add(Affine(np.ones((2, 3)), np.zeros(3)))
    for value in (0.0, -0.0, np.nan, 1.0, np.nan):
        network.params["W1"][...] = value
        expected = (x @ network.params["W1"])[0, 0]
        np.testing.assert_array_equal(network.predict(x), np.full((1, 3), expected))


def test_parameters_of_a_file(tmp_path):
    network, other, (x, t) = make(), make(), batch(np.float32)
    for key, value in other.params.items():
        other.params[key] = value * 1.1
    run_both(network, x, t)
    other.save_params(tmp_path / "params.npz")
    network.load_params(tmp_path / "params.npz")
    network.layers[5].running_mean = network.layers[5].running_var = None
    for value, expected in zip(run_both(network, x, t), results(other, x, t), strict=True):
        np.testing.assert_array_equal(value, expected)


STRIDED = {
    "negative strides": lambda W: W[::-1].copy()[::-1],
    "Fortran order": np.asfortranarray,
    "every other number": lambda W: np.repeat(W, 2, axis=-1)[..., ::2],
    "read-only": lambda W: np.frombuffer(W.tobytes(), W.dtype).reshape(W.shape),
    "a list": lambda W: W.tolist(),
    "other byte order": lambda W: W.astype(W.dtype.newbyteorder()),
    "a subclass": lambda W: W.view(np.ma.MaskedArray),
}


@pytest.mark.parametrize("name", STRIDED)
def test_weights_of_any_layout(name):
    network, (x, t) = make(np.float64), batch(np.float64)
    expected = run_both(network, x, t)
    network = make(np.float64)
    for layer in network.layers:
        if hasattr(layer, "W"):
            layer.W, layer.b = STRIDED[name](layer.W), STRIDED[name](layer.b)
    for value, right in zip(results(network, x, t), expected, strict=True):
        np.testing.assert_allclose(value, right, 1e-9, 1e-12)
    if isinstance(network.layers[0].W, np.ndarray) and network.layers[0].W.flags.writeable:
        network.layers[0].W[0, 0, 0, 0] += 1
        assert (run_both(network, x, t)[0] != expected[0]).any()


def test_statistics_of_every_kind_of_array():
    network, (x, t) = make(), batch(np.float32)
    run_both(network, x, t)
    for statistics in (np.full(16, 0.5), np.full(16, 0.5, np.float16), [0.5] * 16, np.broadcast_to(0.5, 16)):
        network.layers[5].running_mean = network.layers[5].running_var = statistics
        run_both(network, x, t)


def test_parameters_of_another_dtype_run_layer_by_layer():
    network, (x, t) = make(), batch(np.float32)
    run_both(network, x, t)
    network.layers[2].W = network.layers[2].W.astype(np.float64)
    y = run_both(network, x, t)[0]
    assert y.dtype == np.float64
    network.layers[2].W = network.layers[2].W.astype(np.float32)
    run_both(network, x, t)


def test_layers_taken_out_of_the_list():
    network, (x, _) = make(), batch(np.float32)
    network.predict(x)
    network.layers.pop()
    with pytest.raises(ValueError, match="10 layers were added but `layers` has 9"):
        network.predict(x)


def test_threads_and_batch_sizes_in_turn():
    """More threads, lanes or images than ever before need more memory, fewer the same."""
    network = make(np.float64)
    for n_threads, n in ((1, 3), (5, 3), (2, 70), (8, 1), (3, 1100), (16, 19), (1, 70), (2, 1)):
        with threads(n_threads):
            run_both(network, *batch(np.float64, n))


def test_shapes_of_samples_in_turn():
    """More shapes than plans are kept for."""
    network = Network(dtype=np.float64)
    network.add(Convolution(filled(16, 3, 3, 3), filled(16), 1, 1))
    network.add(Relu())
    twin = layer_by_layer(network)
    for _ in range(2):
        for side in range(1, 13):
            x = filled(2, 3, side, 13 - side)
            with only_plans(network):
                np.testing.assert_allclose(network.predict(x), twin.predict(x), 1e-9, 1e-12)


def test_a_shallow_copy_shares_the_layers():
    network, (x, t) = make(), batch(np.float32)
    statistics_stand_still(network)
    twin = copy.copy(network)
    first = run_both(network, x, t)[0]
    np.testing.assert_array_equal(twin.predict(x), first)
    twin.params["W1"][...] += 1
    second = run_both(network, x, t)[0]
    assert (second != first).any()
    np.testing.assert_array_equal(twin.predict(x), second)
