"""Predictions of networks with much work for each image, where all workers share each step."""
from __future__ import annotations

import copy

import numpy as np
import pytest
from engine.random_networks import RandomNetwork, layer_by_layer, only_plans

from fastconv import dispatch
from fastconv.engine import Network, compile, steps
from fastconv.engine.compile import NotCompiled
from fastconv.engine.plan import Plan
from fastconv.layers import Add, Affine, BatchNormalization, Convolution, Dropout, Pooling, Relu
from fastconv.threads import threads

pytestmark = [
    pytest.mark.skipif(dispatch.plan(dispatch.backend()) is None, reason="this backend has no plans"),
    pytest.mark.filterwarnings("ignore::RuntimeWarning"),
]
DTYPES = [np.float32, np.float64]
TOLERANCE = {np.float64: 1e-9, np.float32: 2e-4}
BATCHES = (1, 3, 8, 19)


@pytest.fixture
def by_plan(monkeypatch):
    """A plan runs also where the layers would be faster."""
    monkeypatch.setattr(Plan, "pays", lambda self: True)


@pytest.fixture(params=[(1 << 22, 1 << 25), (1 << 11, 1 << 12), (1 << 13, 1 << 25)], ids=["whole", "late", "two"])
def shared(request, monkeypatch, by_plan):
    """All plans of predictions are such, in one segment or in two of chunks of several sizes."""
    late, wide = request.param
    monkeypatch.setattr(compile, "SHARED_WORK", 0)
    monkeypatch.setattr(steps, "LATE_BYTES", late)
    monkeypatch.setattr(steps, "WIDE_BYTES", wide)


def assert_near(actual, expected, dtype):
    assert actual.shape == expected.shape and actual.dtype == expected.dtype
    np.testing.assert_array_equal(np.isnan(actual), np.isnan(expected))
    finite = np.isfinite(expected)
    np.testing.assert_array_equal(actual[~finite & ~np.isnan(expected)], expected[~finite & ~np.isnan(expected)])
    np.testing.assert_allclose(actual[finite], expected[finite], rtol=0,
                               atol=TOLERANCE[dtype] * np.abs(expected[finite]).max(initial=1e-30))


def trained(network, random):
    """Give BatchNormalization layers statistics."""
    network.predict(random.batch(5)[0], train_flg=True)
    return network


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("seed", range(400, 460))
def test_equal_to_the_layers(shared, seed, dtype):
    random = RandomNetwork(seed, dtype)
    network = trained(random.network, random)
    twin = layer_by_layer(network)
    for n in BATCHES:
        x = random.batch(n)[0]
        with only_plans(network):
            actual = network.predict(x)
        assert_near(actual, twin.predict(x), dtype)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("seed, images", [(seed, images) for images, end in ((11, 480), (1, 465))
                                          for seed in range(460, end)])
def test_same_bits_on_any_number_of_threads(shared, seed, images, dtype):
    random = RandomNetwork(seed, dtype)
    assert_same_bits(trained(random.network, random), random.batch(images)[0])


def assert_same_bits(network, x):
    results = []
    for n_threads in (1, 2, 5):
        with threads(n_threads), only_plans(network):
            results.append(copy.deepcopy(network).predict(x))
    for other in results[1:]:
        np.testing.assert_array_equal(other, results[0])


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("seed, images", [(seed, images) for images, end in ((5, 500), (1, 485))
                                          for seed in range(480, end)])
def test_nan_and_inf_come_out_where_they_come_out_of_the_layers(shared, seed, images, bad, dtype):
    random = RandomNetwork(seed, dtype)
    network = trained(random.network, random)
    x = random.batch(images)[0]
    x.flat[np.random.default_rng(seed).integers(x.size)] = bad
    assert_near(network.predict(x), layer_by_layer(network).predict(x), dtype)


def residual(dtype, channels=32, size=20, classes=17):
    """A network whose steps are each of several tasks: both methods of convolution, with and without pooling."""
    rng = np.random.default_rng(0)

    def filters(*shape):
        return rng.normal(0, np.sqrt(2 / np.prod(shape[1:])), shape)

    def norm():
        return BatchNormalization(rng.uniform(0.5, 1.5, channels), rng.normal(size=channels),
                                  running_mean=rng.normal(size=channels), running_var=rng.uniform(0.5, 2, channels))

    network = Network(dtype=dtype)
    network.add(Convolution(filters(channels, 3, 7, 7), None, 2, 3))
    network.add(norm())
    network.add(Relu())
    stem = network.add(Pooling(3, 3, 2, 1))
    network.add(Convolution(filters(channels, channels, 3, 3), rng.normal(size=channels), 1, 1))
    network.add(norm())
    network.add(Relu())
    network.add(Convolution(filters(channels, channels, 1, 1), None))
    body = network.add(norm())
    network.add(Add(), inputs=(stem, body))
    network.add(Relu())
    network.add(Convolution(filters(channels, channels, 3, 3), rng.normal(size=channels), 1, 1))
    network.add(Relu())
    network.add(Pooling(2, 2, 2))
    network.add(Convolution(filters(48, channels, 5, 5), rng.normal(size=48), 1, 2))
    network.add(Relu())
    network.add(Pooling(2, 2, 2))
    network.add(Affine(filters(48 * (size // 16) ** 2, 40), rng.normal(size=40)))
    network.add(Relu())
    network.add(Dropout(0.5))
    network.add(Affine(filters(40, classes), rng.normal(size=classes)))
    return network


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("images", [1, 3])
def test_a_network_for_photographs_has_the_same_bits_on_any_number_of_threads(by_plan, dtype, images):
    x = np.random.default_rng(1).normal(size=(images, 3, 160, 160)).astype(dtype)
    assert_same_bits(residual(dtype, 32, 160), x)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("images", [1, 3])
@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_nan_and_inf_stay_in_their_pixels_where_winograd_would_spread_them(by_plan, dtype, images, bad):
    """Images come out, so that every pixel is seen."""
    rng = np.random.default_rng(2)
    network = Network(dtype=dtype)
    for _ in range(2):
        network.add(Convolution(rng.normal(0, 0.1, (32, 32, 3, 3)), rng.normal(size=32), 1, 1))
        network.add(Relu())
    x = rng.normal(size=(images, 32, 41, 38)).astype(dtype)
    for at in ((-1, 5, 20, 17), (-1, 31, 0, 0), (-1, 0, 40, 37)):
        x[at] = bad
    with only_plans(network):
        actual = network.predict(x)
    assert_near(actual, layer_by_layer(network).predict(x), dtype)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("channels, size", [(32, 160), (130, 96), (400, 64)])
def test_a_network_for_photographs(by_plan, dtype, channels, size):
    network = residual(dtype, channels, size)
    twin = layer_by_layer(network)
    rng = np.random.default_rng(1)
    for n in (1, 9):
        x = rng.normal(size=(n, 3, size, size)).astype(dtype)
        results = []
        for n_threads in (1, 2, 3):
            with threads(n_threads), only_plans(network):
                results.append(network.predict(x))
        assert_near(results[0], twin.predict(x), dtype)
        for other in results[1:]:
            np.testing.assert_array_equal(other, results[0])
    plan, = (plan for plan in network._plans._plans.values() if isinstance(plan, Plan))
    assert plan.shared


@pytest.mark.parametrize("dtype", DTYPES)
def test_what_changes_between_two_calls_is_noticed(shared, dtype):
    network = residual(dtype)
    twin = layer_by_layer(network)
    rng = np.random.default_rng(2)
    x = rng.normal(size=(3, 3, 20, 20)).astype(dtype)
    network.predict(x)
    for layer, other in zip(network.layers, twin.layers, strict=True):
        for name in ("W", "b", "gamma", "beta", "running_mean", "running_var"):
            value = getattr(layer, name, None)
            if value is None:
                continue
            for factor, last in ((1, 1), (1.5, 0), (1 if name == "running_var" else -1, 0)):
                for array in (value, getattr(other, name)):
                    array *= factor
                    array.flat[-1] += last
                assert_near(network.predict(x), twin.predict(x), dtype)


def test_signs_that_change_in_pairs_are_noticed():
    """As a sum of the bytes' words would not: the highest bit of one word and of the one 64 bytes on."""
    network = residual(np.float32)
    x = np.ones((1, 3, 20, 20), np.float32)
    before = network.predict(x)
    W = network.layers[0].W
    for first, second in ((1, 17), (3, 131), (0, 16)):
        W.flat[[first, second]] *= -1
        after = network.predict(x)
        assert not np.array_equal(after, before)
        np.testing.assert_allclose(after, layer_by_layer(network).predict(x), rtol=1e-3, atol=1e-3)
        before = after


def test_memory_stays_what_it_is_for_many_images(shared):
    network = residual(np.float32)
    x = np.random.default_rng(0).normal(size=(70, 3, 20, 20)).astype(np.float32)
    whole = network.predict(x)
    for n in range(0, 70, 8):
        np.testing.assert_array_equal(network.predict(x[n:n + 8]), whole[n:n + 8])


def test_frozen_parameters_give_the_same_and_cannot_be_changed(shared):
    network = residual(np.float32)
    x = np.random.default_rng(0).normal(size=(3, 3, 20, 20)).astype(np.float32)
    expected = network.predict(x)
    network.freeze()
    for _ in range(2):
        np.testing.assert_array_equal(network.predict(x), expected)
    for value in network.params.values():
        with pytest.raises(ValueError, match="read-only"):
            value *= 2


def test_a_frozen_parameter_that_is_replaced_is_noticed(shared, tmp_path):
    network = residual(np.float32)
    x = np.ones((2, 3, 20, 20), np.float32)
    network.freeze()
    network.predict(x)
    for key in ("W1", "b2", "gamma1", "W6"):
        network.params[key] = network.params[key] + np.float32(0.5)
        np.testing.assert_allclose(network.predict(x), layer_by_layer(network).predict(x), rtol=1e-3, atol=1e-3)
    network.freeze()
    network.predict(x)
    other = residual(np.float32)
    for value in other.params.values():
        value *= 1.5
    other.save_params(tmp_path / "other.npz")
    network.load_params(tmp_path / "other.npz")
    np.testing.assert_array_equal(network.predict(x), other.predict(x))
    network.params["W1"][...] += 1  # it can be changed again
    np.testing.assert_allclose(network.predict(x), layer_by_layer(network).predict(x), rtol=1e-3, atol=1e-3)


def test_a_read_only_view_of_what_can_change_is_looked_at(shared):
    network = residual(np.float32)
    x = np.ones((2, 3, 20, 20), np.float32)
    memory = network.layers[0].W.copy()
    view = memory[:]
    view.flags.writeable = False
    network.layers[0].W = view
    before = network.predict(x)
    memory *= 2
    after = network.predict(x)
    assert not np.array_equal(after, before)
    np.testing.assert_allclose(after, layer_by_layer(network).predict(x), rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize("outputs, images, by_layers", [(16, 2, True), (4, 2, False), (4, 1, False)])
def test_numba_runs_by_layers_where_its_plan_would_be_slower(outputs, images, by_layers):
    """It takes images apart: it would read large Affine weights for each."""
    rng = np.random.default_rng(0)
    network = Network()
    W, affine = (rng.normal(size=shape).astype(np.float32) for shape in ((16, 16, 3, 3), (1 << 18, outputs)))
    network.add(Convolution(W, np.zeros(16, np.float32), 1, 1))
    network.add(Affine(affine, np.zeros(outputs, np.float32)))
    x = rng.normal(size=(images, 16, 128, 128)).astype(np.float32)
    found = network._plans.take(network._graph, network.last_layer, network.dtype, x, False, False, False)
    assert isinstance(found, NotCompiled) == (by_layers and dispatch.backend() == "numba")
    expected = network._graph.forward(x, False)
    np.testing.assert_allclose(network.predict(x), expected, rtol=0, atol=2e-4 * np.abs(expected).max())
