"""Plans of random networks: what the layers compute one by one, on any number of threads and for any batch size."""
from __future__ import annotations

import copy

import numpy as np
import pytest
from engine.random_networks import BATCH_SIZES, RandomNetwork, layer_by_layer, only_plans
from engine.toys import check_gradient

from fastconv import dispatch
from fastconv.engine import Network
from fastconv.engine.plan import Plan
from fastconv.layers import Affine, BatchNormalization, Convolution, Pooling, Relu
from fastconv.threads import threads

pytestmark = pytest.mark.skipif(dispatch.plan(dispatch.backend()) is None, reason="this backend has no plans")

TOLERANCE = {np.float64: 1e-9, np.float32: 2e-4}
# of what `rounding` finds; Numba contracts other products, and network 147 of the ill-conditioned ones needs 4.5
ROUNDINGS = 6 if dispatch.backend() == "numba" else 3
DTYPES = list(TOLERANCE)
SOME = range(200, 240)  # seeds of other networks than those of test_equal_to_the_layers


def run(network, x, t):
    """Return predict, loss, gradients and, of the passes so far, the running statistics; each with its layer."""
    results = {"predict": network.predict(x), "loss": np.array(network.loss(x, t))} | network.gradient(x, t)
    assert network.last_layer.loss == results["loss"] or any(hasattr(layer, "rng") for layer in network.layers)
    for i, layer in enumerate(network.layers):
        if isinstance(layer, BatchNormalization):
            results |= {f"mean of {i}": layer.running_mean, f"variance of {i}": layer.running_var}
    return results


def scales(network, results):
    """Return the number that each result's errors are relative to.

    For a gradient it is the largest of its layer's gradients; in networks with BatchNormalization, for a bias, which
    may have the gradient 0 then, the largest of all. For a variance it is no less than that of rounded values, because
    a feature may be the same in all samples.
    """
    slots = network.params._slots
    largest = {key: np.abs(value).max() for key, value in results.items()}
    for key in results:
        if key.startswith("variance of "):
            mean = np.abs(results[key.replace("variance", "mean")]).max()
            largest[key] = max(largest[key], np.finfo(network.dtype).eps * mean**2)
    everything = max(largest[key] for key in slots)
    normalized = any(isinstance(layer, BatchNormalization) for layer in network.layers)
    return largest | {key: everything if normalized and key[0] == "b" and key[1] != "e"
                      else max(largest[other] for other in slots if slots[other][0] is layer)
                      for key, (layer, _) in slots.items()}


def rounding(network, x, t, expected):
    """Return by how much the layers' own results change if x and the parameters do in their last digits.

    That is what rounding may do as well: a value beside 0 that a Relu lets pass or not, two near maxima of a window, a
    feature of nearly the same value in a whole batch, by whose deviation BatchNormalization divides.
    """
    change = dict.fromkeys(expected, 0.0)
    digits = 64 * np.finfo(network.dtype).eps  # what Winograd's method loses, too
    for seed in range(8):
        rng, twin = np.random.default_rng(seed), layer_by_layer(network)
        for param in twin.params.values():
            param *= 1 + digits * rng.uniform(-1, 1, param.shape)
        results = run(twin, x * (1 + digits * rng.uniform(-1, 1, x.shape)).astype(x.dtype), t)
        change = {key: max(change[key], np.abs(results[key] - expected[key]).max()) for key in expected}
    return change


def check_equal(network, actual, expected, tolerance, before, x, t):
    """Assert that all results are as near as `tolerance`, or as rounding allows."""
    assert list(actual) == list(expected)
    scale, change = scales(network, expected), None
    for key in expected:
        assert actual[key].shape == expected[key].shape and actual[key].dtype == expected[key].dtype, key
        error = np.abs(actual[key] - expected[key]).max()
        if not error <= tolerance * scale[key]:
            change = change or rounding(before, x, t, expected)
            assert error <= ROUNDINGS * change[key], f"{key}: {error} of {scale[key]}"


def with_statistics_of(network, twin):
    """Let the passes start alike: a variance of nearly equal values is all rounding, and predictions divide by it."""
    for layer, other in zip(network.layers, twin.layers, strict=True):
        if isinstance(layer, BatchNormalization):
            layer.running_mean, layer.running_var = copy.copy(other.running_mean), copy.copy(other.running_var)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("seed", range(150))
def test_equal_to_the_layers(seed, dtype):
    random = RandomNetwork(seed, dtype)
    network, twin = random.network, layer_by_layer(random.network)
    for n in BATCH_SIZES:
        x, t = random.batch(n)
        before = copy.deepcopy(twin)
        with_statistics_of(network, twin)
        with only_plans(network):
            actual = run(network, x, t)
        check_equal(twin, actual, run(twin, x, t), TOLERANCE[dtype], before, x, t)
    assert len([plan for plan in network._plans._plans.values() if isinstance(plan, Plan)]) == 3


@pytest.mark.parametrize("dtype", DTYPES)
def test_equal_to_the_layers_in_a_thousand_images(dtype):
    rng = np.random.default_rng(0)
    network = Network(dtype=dtype)
    network.add(Convolution(rng.normal(0, 0.3, (16, 1, 3, 3)), rng.normal(size=16), pad=1))
    network.add(Relu())
    network.add(Pooling(2, 2, stride=2))
    network.add(BatchNormalization(rng.normal(1, 0.3, 16), rng.normal(size=16)))
    network.add(Affine(rng.normal(0, 0.1, (64, 3)), rng.normal(size=3)))
    twin = layer_by_layer(network)
    before = copy.deepcopy(twin)
    x, t = rng.normal(size=(1100, 1, 5, 5)).astype(dtype), rng.integers(0, 3, 1100)
    with only_plans(network):
        actual = run(network, x, t)
    check_equal(twin, actual, run(twin, x, t), TOLERANCE[dtype], before, x, t)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("seed", SOME)
def test_same_bits_on_any_number_of_threads(seed, dtype):
    random = RandomNetwork(seed, dtype)
    for n in (1, 5, 70):
        x, t = random.batch(n)
        results = []
        for n_threads in (1, 2, 3, 5):
            network = copy.deepcopy(random.network)
            with threads(n_threads), only_plans(network):
                results.append(run(network, x, t))
        for other in results[1:]:
            for key, value in results[0].items():
                np.testing.assert_array_equal(other[key], value, key)


@pytest.mark.parametrize("seed", range(20))
def test_gradient_is_that_of_the_loss(seed):
    """By differences; so without Dropout, whose masks change, and without Relu and maxima, which have edges."""
    random = RandomNetwork(300 + seed, smooth=True, dropout=False)
    while sum(map(np.size, random.network.params.values())) > 1500:
        seed += 20
        random = RandomNetwork(300 + seed, smooth=True, dropout=False)
    x, t = random.batch(3)
    with only_plans(random.network):
        check_gradient(random.network, x, t, rtol=1e-5, atol=1e-7)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("seed", SOME)
def test_predictions_do_not_depend_on_the_batch(seed, dtype):
    """Bit by bit: a sample's sums are added in the same order, whatever its place in a batch."""
    random = RandomNetwork(seed, dtype)
    x, t = random.batch(19)
    with only_plans(random.network):
        random.network.gradient(x, t)  # for running statistics
        together = random.network.predict(x)
        np.testing.assert_array_equal(np.concatenate([random.network.predict(x[i:i + 1]) for i in range(19)]), together)
        np.testing.assert_array_equal(random.network.predict(x[::-1]), together[::-1])
