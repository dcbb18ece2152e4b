"""nan and inf come out of a plan where they come out of the layers."""
from __future__ import annotations

import numpy as np
import pytest
from engine.random_networks import RandomNetwork, layer_by_layer, only_plans

from fastconv.engine import Network
from fastconv.layers import Affine, Convolution, Pooling, Relu

pytestmark = pytest.mark.filterwarnings("ignore::RuntimeWarning")
BAD = (np.nan, np.inf, -np.inf)
DTYPES = [np.float32, np.float64]


def results(network, x, t):
    network.seed(1)
    return {"scores": network.predict(x), **network.gradient(x, t), "loss": np.array(network.last_layer.loss)}


def assert_same_places(network, x, t):
    expected = results(layer_by_layer(network), x, t)
    with only_plans(network):
        found = results(network, x, t)
    for key, value in found.items():
        other = expected[key]
        np.testing.assert_array_equal(np.isnan(value), np.isnan(other), key)
        np.testing.assert_array_equal(np.where(np.isinf(value), value, 0), np.where(np.isinf(other), other, 0), key)
    return found


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("seed", range(120))
def test_random_networks(seed, dtype):
    """One such number in a sample, or in a parameter."""
    made = RandomNetwork(seed, dtype)
    rng = np.random.default_rng(seed)
    x, t = made.batch((2, 5, 19)[seed % 3])
    bad = BAD[seed // 3 % 3]
    if seed % 2:
        x.flat[rng.integers(x.size)] = bad
    else:
        value = made.network.params[rng.choice(list(made.network.params))]
        value.flat[rng.integers(value.size)] = bad
    assert_same_places(made.network, x, t)


def pooled(*, dtype, pool=True):
    rng = np.random.default_rng(0)
    network = Network(dtype=dtype)
    network.add(Convolution(rng.normal(0, 0.2, (16, 16, 3, 3)), rng.normal(size=16), 1, 1))
    network.add(Relu())
    if pool:
        network.add(Pooling(2, 2, 2))
    network.add(Convolution(rng.normal(0, 0.2, (32, 16, 3, 3)), rng.normal(size=32), 1, 1))
    network.add(Relu())
    if pool:
        network.add(Pooling(2, 2, 2))
    return network


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("pool", [False, True])
@pytest.mark.parametrize("bad", BAD)
@pytest.mark.parametrize("size", [(12, 12), (7, 9)])
def test_one_pixel_spreads_as_far_as_the_filters_reach(size, bad, pool, dtype):
    network = pooled(dtype=dtype, pool=pool)
    x = np.random.default_rng(1).normal(size=(3, 16, *size)).astype(dtype)
    expected = network.predict(x)
    at = size[0] // 2, size[1] - 2
    x[1, 5, at[0], at[1]] = bad
    with only_plans(network):
        found = network.predict(x)
    other = layer_by_layer(network).predict(x)
    np.testing.assert_array_equal(np.isnan(found), np.isnan(other))
    np.testing.assert_array_equal(np.isinf(found), np.isinf(other))
    # images beside it may be computed without Winograd's method as well
    np.testing.assert_allclose(found[[0, 2]], expected[[0, 2]], 1e-3, 1e-4)
    assert bad == -np.inf or not np.isfinite(found[1]).all()


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("bad", [np.inf, np.nan])
def test_a_gradient_that_is_not_finite(bad, dtype):
    """From the loss on: all of the last layer's inputs get it, and what a ReLU holds back is zero."""
    network = pooled(dtype=dtype)
    rng = np.random.default_rng(2)
    network.add(Affine(rng.normal(0, 0.1, (32 * 3 * 3, 4)), np.zeros(4)))
    network.params["W3"][7, 2] = bad
    x, t = rng.normal(size=(5, 16, 12, 12)).astype(dtype), rng.integers(0, 4, 5)
    found = assert_same_places(network, x, t)
    assert np.isnan(found["b3"]).any()


def test_numbers_that_overflow_in_winograds_transforms_only():
    """Sums that are finite in single precision, though those of the transforms are not."""
    network = Network()
    network.add(Convolution(np.full((16, 16, 3, 3), 1e-3), np.zeros(16), 1, 1))
    x = np.full((2, 16, 12, 12), 1e38, np.float32) * np.where(np.indices((12, 12)).sum(axis=0) % 2, 1, -1).astype("f4")
    expected = layer_by_layer(network).predict(x)
    assert np.isfinite(expected).all()
    with only_plans(network):
        np.testing.assert_allclose(network.predict(x), expected, 1e-4, 1e32)


@pytest.mark.parametrize("dtype", DTYPES)
def test_pooling_of_nan_and_of_zeros(dtype):
    """The first nan of a window wins, and no gradient passes where nothing is positive."""
    values = (np.nan, -1.0, 0.0, 1.0, np.inf, -np.inf)
    windows = np.array(np.meshgrid(*[values] * 4)).reshape(4, -1).T  # (1296, 4)
    x = windows.reshape(81, 4, 4, 2, 2).transpose(0, 1, 3, 2, 4).reshape(81, 1, 8, 8).astype(dtype)
    network = Network(dtype=dtype)
    W = np.ones((16, 1, 1, 1))
    network.add(Convolution(W, np.zeros(16)))
    network.add(Relu())
    network.add(Pooling(2, 2, 2))
    twin = layer_by_layer(network)
    with only_plans(network):
        np.testing.assert_array_equal(network.predict(x), twin.predict(x))
    for it in (network, twin):
        it.add(Affine(np.random.default_rng(0).normal(0, 0.1, (256, 3)), np.zeros(3)))
    x = np.clip(np.nan_to_num(x, nan=0.5), -1, 1)  # ties
    t = np.arange(81) % 3
    expected = twin.gradient(x, t)
    with only_plans(network):
        found = network.gradient(x, t)
    for key, value in expected.items():
        assert np.abs(found[key] - value).max() < 1e-5 * max(np.abs(value).max(), 1e-3), key
