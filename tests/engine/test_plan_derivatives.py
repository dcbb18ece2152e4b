"""Gradients of plans against derivatives of the loss, for every kind of step, and against the reference backend."""
from __future__ import annotations

import numpy as np
import pytest
from engine.random_networks import BATCH_SIZES, RandomNetwork, layer_by_layer, only_plans
from engine.toys import cross_entropy

from fastconv import dispatch
from fastconv.engine import Network
from fastconv.engine.compile import Schedule
from fastconv.layers import (
    LRN,
    Add,
    Affine,
    BatchNormalization,
    Concat,
    Convolution,
    Dropout,
    Flatten,
    GlobalAveragePooling,
    Pooling,
    Relu,
    Sigmoid,
)
from fastconv.threads import threads

native_only = pytest.mark.skipif(dispatch.plan(dispatch.backend()) is None, reason="this backend has no plans")

FLOAT64 = 1e-9
FLOAT32 = 1e-4


def results(network, x, t):
    """Return name -> array of all that a network computes for a batch."""
    found = {"scores": network.predict(x), "scores in training": network.predict(x, train_flg=True),
             "loss": np.array(network.loss(x, t))}
    found |= network.gradient(x, t)
    found["loss of the gradient"] = np.array(network.last_layer.loss)
    for node, layer in enumerate(network.layers):
        if isinstance(layer, BatchNormalization):
            found[f"running_mean {node}"], found[f"running_var {node}"] = layer.running_mean, layer.running_var
    found["scores after training"] = network.predict(x)
    return found


def scales(network, found):
    """Return what errors are relative to: the largest value, of a gradient the largest of its layer's.

    The gradient of a bias before a normalization is zero, so that its errors are the rounding of larger numbers.
    """
    largest = {key: float(np.abs(value).max(initial=0)) for key, value in found.items()}
    gradients = [largest[key] for key in network.params]
    layers = [layer for layer, _ in network.params._slots.values()]
    for (key, (layer, _)), own in zip(network.params._slots.items(), gradients, strict=True):
        of_layer = [size for size, other in zip(gradients, layers, strict=True) if other is layer]
        largest[key] = max(own, *of_layer, 1e-3 * max(gradients))
    return {key: value or 1.0 for key, value in largest.items()}


def errors(found, expected, scale):
    assert found.keys() == expected.keys()
    for key, value in found.items():
        assert value.shape == expected[key].shape, key
    return {key: float(np.abs(found[key] - expected[key]).max(initial=0)) / scale[key] for key in expected}


def assert_close(network, found, expected, tolerance):
    for key, error in errors(found, expected, scales(network, expected)).items():
        assert error < tolerance, key


def batch_size(seed):
    return BATCH_SIZES[seed % len(BATCH_SIZES)]


@pytest.mark.parametrize("seed", range(1000, 1020))
def test_reference_backend(seed):
    made = RandomNetwork(seed, np.float64)
    x, t = made.batch(batch_size(seed))
    twin = layer_by_layer(made.network)
    with only_plans(made.network) as network:
        found = results(network, x, t)
    with dispatch.use("reference"):
        assert_close(network, found, results(twin, x, t), FLOAT64)


def test_the_random_networks_take_every_step():
    names, fast, pooled, padded = set(), 0, 0, 0
    for seed in range(300):
        made = RandomNetwork(seed, np.float32)
        for training in (True, False):
            schedule = Schedule(made.network._graph, made.network.last_layer, made.shape, made.network.dtype,
                                training=training, loss=training, gradient=training, winograd=True)
            names |= {step["name"] for step in schedule.steps}
        fast += sum(given["shape"][1] % 16 == 0 and given["shape"][2:] == (3, 3) for given in schedule.filters)
        pooled += sum(given["pooled"] for given in schedule.filters)
        padded += sum(not tensor.dense for tensor in schedule.tensors)
    assert names == {
        "input", "output", "copy", "filter", "filter_data", "filter_weight", "unpool", "relu", "relu_gradient",
        "sigmoid", "sigmoid_gradient", "sum", "sum_relu", "slice", "scale", "dropout", "dropout_gradient", "loss",
        "mean", "variance", "normalize", "normalize_sums", "normalize_gradient", "max_pooling", "max_pooling_gradient",
        "average_pooling", "average_pooling_gradient", "lrn", "lrn_gradient", "flatten", "unflatten"}
    assert min(fast, pooled, padded) > 50


@native_only
@pytest.mark.parametrize("n", [3, 6, 15, 40])
@pytest.mark.parametrize("size", [(20, 20), (31, 18)])
def test_winograds_gradient_of_fewer_images_than_a_chunk_holds(size, n):
    """Fewer images may make larger blocks of tiles; the workers' memory has room for either (see AddressSanitizer)."""
    network = Network()
    network.add(convolution(16, 3, (3, 3), pad=1))
    network.add(convolution(16, 16, (3, 3), pad=1))
    network.add(Pooling(*size, mode="average"))
    network.add(Affine(np.random.default_rng(0).normal(size=(16, 4)), np.zeros(4)))
    rng = np.random.default_rng(n)
    x, t = rng.normal(size=(n, 3, *size)).astype(np.float32), rng.integers(0, 4, n)
    expected = layer_by_layer(network).gradient(x, t)
    with only_plans(network):
        for n_threads in (1, 2, 3):
            with threads(n_threads):
                found = network.gradient(x, t)
            for key, value in expected.items():
                assert np.abs(found[key] - value).max() < FLOAT32 * np.abs(value).max(), key


# ---- derivatives

def derivative(f, step):
    """The five-point stencil at 0; its error is of fourth order."""
    return (f(-2 * step) - 8 * f(-step) + 8 * f(step) - f(2 * step)) / (12 * step)


def check_derivatives(network, x, t, step, tolerance):
    """Compare the gradient with derivatives of the loss, by each parameter along two directions."""
    def loss():
        network.seed(3)
        return cross_entropy(network, x, t)

    rng = np.random.default_rng(8)
    network.seed(3)
    with only_plans(network):
        gradients = network.gradient(x, t)
        assert list(gradients) == list(network.params)
        largest = max(np.linalg.norm(gradient) for gradient in gradients.values())
        for key, gradient in gradients.items():
            value = network.params[key]
            for _ in range(2):
                before, direction = value.copy(), rng.normal(size=value.shape)
                direction /= np.linalg.norm(direction)

                def moved(by, value=value, before=before, direction=direction):
                    value[...] = before + by * direction
                    return loss()

                found = derivative(moved, step)
                value[...] = before
                assert abs(found - (gradient * direction).sum()) < tolerance * largest, key
    return largest


@native_only
@pytest.mark.parametrize("seed", range(60))
def test_derivatives_of_smooth_networks(seed):
    made = RandomNetwork(seed, np.float64, smooth=True)
    x, t = made.batch((2, 3, 9)[seed % 3])
    check_derivatives(made.network, x, t, 1e-4, 1e-7)


def convolution(outputs, inputs, window, b=True, groups=1, **settings):
    rng = np.random.default_rng([outputs, inputs])
    W = rng.normal(0, 0.4, (outputs, inputs // groups, *window))
    return Convolution(W, rng.normal(size=outputs) if b else None, groups=groups, **settings)


def normalization(count):
    rng = np.random.default_rng(count)
    return BatchNormalization(rng.normal(1, 0.3, count), rng.normal(size=count))


# chains on images (3, 7, 5), in front of an Affine layer
CHAINS = {
    "one channel left": [convolution(1, 3, (3, 3), pad=(0, 1))],
    "stride": [convolution(5, 3, (3, 2), pad=1), convolution(4, 5, (3, 3), stride=(2, 1), pad=1)],
    "stride larger than the window": [convolution(5, 3, (1, 1)), convolution(4, 5, (1, 2), stride=3)],
    "dilation": [convolution(5, 3, (3, 3), pad=2), convolution(4, 5, (3, 2), dilation=(2, 1), pad=(2, 0))],
    "groups": [convolution(6, 3, (2, 2), groups=3), convolution(4, 6, (3, 3), groups=2, pad=1)],
    "no bias": [convolution(17, 3, (3, 3), b=False), convolution(20, 17, (1, 3), b=False)],
    "Relu": [convolution(17, 3, (3, 3), pad=1), Relu(), convolution(5, 17, (2, 2)), Relu()],
    "Relu first": [Relu(), convolution(5, 3, (3, 3), pad=1)],
    "pooled along": [convolution(16, 3, (3, 3), pad=1), Relu(), Pooling(2, 2, 2),
                     convolution(8, 16, (3, 3), pad=2), Relu(), Pooling(2, 2, 2)],
    "maxima that overlap": [convolution(5, 3, (3, 3), pad=1), Pooling(3, 2, (2, 1), pad=1)],
    "Relu and maxima": [convolution(5, 3, (3, 3), pad=1), Relu(), Pooling(2, 2, 2)],
    "averages that overlap": [convolution(5, 3, (3, 3), pad=1), Pooling(3, 3, 2, pad=(1, 2), mode="average")],
    "LRN": [convolution(17, 3, (3, 3), pad=1), LRN(5, 1.0, 2.0), convolution(4, 17, (3, 3)), LRN(2, 1.0, 1.0, 0.6)],
    "maxima whose windows stick out": [convolution(16, 3, (3, 3), pad=1), Relu(), Pooling(2, 2, 2, ceil_mode=True)],
    "averages whose windows stick out": [convolution(5, 3, (3, 3), pad=1),
                                         Pooling(3, 2, (3, 2), pad=1, mode="average", ceil_mode=True)],
    "averages of channels": [convolution(5, 3, (3, 3), pad=1), Sigmoid(), GlobalAveragePooling()],
    "flattened": [convolution(5, 3, (3, 3), pad=1), Flatten(), normalization(175)],
    "Sigmoid": [convolution(5, 3, (3, 3)), Sigmoid(), convolution(4, 5, (3, 3), pad=1), Sigmoid()],
    "Dropout": [convolution(5, 3, (3, 3)), Dropout(0.4), convolution(4, 5, (3, 3), pad=1), Relu(), Dropout(0.2)],
    "normalization of channels": [convolution(5, 3, (3, 3), pad=1), normalization(5), Relu(),
                                  convolution(4, 5, (3, 3)), normalization(4)],
    "normalization of features": [convolution(4, 3, (2, 3), pad=1), normalization(160), Relu(), Pooling(2, 2, 2)],
    "rows": [convolution(5, 3, (3, 3)), Relu(), Affine(np.random.default_rng(1).normal(0, 0.3, (75, 9)), None), Relu(),
             normalization(9), Affine(np.random.default_rng(2).normal(0, 0.3, (9, 13)), np.ones(13)), Sigmoid()],
}


def finished(network, shape=(3, 7, 5)):
    """Put an Affine layer on top; return the network with a batch."""
    rng = np.random.default_rng(4)
    values = network.predict(np.zeros((1, *shape))).size
    network.add(Affine(rng.normal(0, 1 / np.sqrt(values), (values, 4)), rng.normal(size=4)))
    return network, rng.normal(0.3, 1, (5, *shape)), rng.integers(0, 4, 5)


def compared(network, x, t):
    """Assert that the derivatives are right; twice, as memory of the first run may help the second one."""
    for _ in range(2):
        assert check_derivatives(network, x, t, 1e-6, 1e-7) > 1e-2


@native_only
@pytest.mark.parametrize("name", CHAINS)
def test_derivatives_of_a_chain(name):
    network = Network(dtype=np.float64)
    for layer in CHAINS[name]:
        network.add(layer)
    compared(*finished(network))


@native_only
def test_derivatives_of_a_sum_of_branches():
    network = Network(dtype=np.float64)
    stem = network.add(convolution(3, 3, (3, 3), pad=1))
    wide = network.add(Relu())
    near = network.add(convolution(3, 3, (1, 1)), inputs=stem)
    far = network.add(convolution(3, 3, (5, 3), pad=(2, 1)), inputs=wide)
    network.add(Add(), inputs=(stem, near, far, "input", near))
    network.add(Relu())
    compared(*finished(network))


@native_only
def test_derivatives_of_joined_branches():
    network = Network(dtype=np.float64)
    stem = network.add(convolution(5, 3, (3, 3), pad=1))
    network.add(Relu())
    near = network.add(Pooling(3, 3, 1, pad=1))
    far = network.add(convolution(17, 5, (3, 3), pad=1), inputs=stem)
    network.add(Concat(), inputs=(near, far, "input", stem, near))
    network.add(convolution(4, 35, (3, 3)))
    network.add(Relu())
    compared(*finished(network))


@native_only
def test_derivatives_of_an_affine_layer_whose_images_are_read_twice():
    network = Network(dtype=np.float64)
    stem = network.add(convolution(5, 3, (3, 3), pad=1))
    rng = np.random.default_rng(6)
    left = network.add(Affine(rng.normal(0, 0.2, (175, 6)), None), inputs=stem)
    network.add(convolution(4, 5, (3, 3), pad=2), inputs=stem)
    right = network.add(Affine(rng.normal(0, 0.2, (252, 6)), np.ones(6)))
    network.add(Add(), inputs=(left, right))
    compared(*finished(network))
