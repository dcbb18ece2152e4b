"""Labels of every kind, those of an index, and what a refused call leaves in the layers."""
from __future__ import annotations

import numpy as np
import pytest
from engine.random_networks import layer_by_layer, only_plans

from fastconv.engine import Network
from fastconv.layers import Affine, BatchNormalization, Convolution, Pooling, Relu

SHAPE = (3, 9, 7)
SAMPLES = 11


def filled(*shape):
    return np.random.default_rng(shape).normal(0, 0.4, shape)


def images(dtype):
    network = Network(dtype=dtype)
    network.add(Convolution(filled(16, 3, 3, 3), filled(16), 1, 1))
    network.add(Relu())
    network.add(Convolution(filled(16, 16, 3, 3), filled(16), 1, 1))
    network.add(Relu())
    network.add(Pooling(2, 2, 2))
    network.add(Affine(filled(192, 5), filled(5)))
    return network


def labels(n=SAMPLES):
    return np.random.default_rng(n).integers(0, 5, n)


def samples(shape, n=SAMPLES):
    return np.random.default_rng(n).integers(0, 200, (n, *shape)) / 4.0


def results(network, x, t, **index):
    return [network.predict(x), np.array(network.loss(x, t)), *network.gradient(x, t, **index).values(),
            np.array(network.last_layer.loss), network.last_layer.y]


def assert_right(network, x, t):
    """The layers one by one say what is right; nothing may be written to the samples."""
    kept = np.array(x, copy=True)
    expected = results(layer_by_layer(network), x, t)
    with only_plans(network):
        found = results(network, x, t)
    for value, other in zip(found, expected, strict=True):
        assert value.dtype == other.dtype and value.shape == other.shape
        scale = np.abs(other).max() or 1
        assert np.abs(value - other).max() <= (1e-9 if network.dtype == np.float64 else 1e-4) * scale
    np.testing.assert_array_equal(x, kept)


@pytest.mark.parametrize("t", [labels().astype(np.uint8), labels().tolist(), np.eye(5)[labels()],
                               np.eye(5, dtype=np.float32)[labels()], np.asfortranarray(np.eye(5)[labels()]),
                               np.eye(5)[labels()] * 0.9 + 0.02, (np.eye(5)[labels()] * 0.9 + 0.02).astype(np.float16)],
                         ids=["bytes", "list", "one-hot", "float32", "Fortran", "soft", "soft float16"])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_labels(t, dtype):
    assert_right(images(dtype), samples(SHAPE).astype(dtype), t)


def test_index_of_one_hot_and_soft_labels():
    network, x, index = images(np.float64), samples(SHAPE), np.array([5, 2, 2, -1])
    for t in (np.eye(5)[labels()], 0.1 + 0.5 * np.eye(5)[labels()]):
        expected = network.gradient(x[index], t[index])
        for key, value in network.gradient(x, t, index=index).items():
            np.testing.assert_array_equal(value, expected[key])


@pytest.mark.parametrize("t", [np.zeros(10, int), np.zeros(12, int), np.full(11, 5), np.full(11, -1),
                               np.zeros((11, 4)), np.zeros((12, 5)), np.zeros(11)])
def test_labels_that_do_not_fit_leave_the_layers_as_they_were(t):
    network, x = images(np.float32), samples(SHAPE).astype(np.float32)
    network.gradient(x, labels())
    kept, loss = network.params.gradients(), network.last_layer.loss
    with pytest.raises(ValueError, match="SoftmaxWithLoss.forward: t has"):
        network.gradient(x, t)
    assert all(value is kept[key] for key, value in network.params.gradients().items())
    assert network.last_layer.loss == loss


@pytest.mark.parametrize("index, error, message", [
    (np.array([0, 11]), IndexError, "index goes from 0 to 11, but x has 11 samples"),
    (np.array([-12, 3]), IndexError, "index goes from -12 to 3, but x has 11 samples"),
    (np.array([0.0, 1.0]), TypeError, r"index has shape \(2,\) and dtype float64"),
    (np.ones(11, bool), TypeError, r"index has shape \(11,\) and dtype bool"),
    (np.zeros((2, 2), int), TypeError, r"index has shape \(2, 2\) and dtype int64"),
    (np.array([0, 2**63], np.uint64), IndexError, "but x has 11 samples"),
])
@pytest.mark.parametrize("x_dtype", ["f4", "u1", "f2"])
def test_index_that_does_not_fit(index, error, message, x_dtype):
    network, x, t = images(np.float32), samples(SHAPE).astype(x_dtype), labels()
    network.gradient(x, t)
    kept = network.params.gradients()
    with pytest.raises(error, match=message):
        network.gradient(x, t, index=index)
    assert all(value is kept[key] for key, value in network.params.gradients().items())


def test_empty_batch_leaves_the_running_statistics():
    network = Network(dtype=np.float64)
    network.add(BatchNormalization(np.ones(3), np.zeros(3)))
    network.add(Affine(filled(189, 5), filled(5)))
    x, t, layer = samples(SHAPE), labels(), network.layers[0]
    network.gradient(x, t)
    kept = layer.running_mean.copy(), layer.running_var.copy()
    network.gradient(x, t, index=np.zeros(0, int))
    network.loss(x[:0], t[:0])
    np.testing.assert_array_equal((layer.running_mean, layer.running_var), kept)


@pytest.mark.parametrize("t", [labels(), np.eye(5)[labels()] * 0.9 + 0.02], ids=["integers", "soft"])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_label_smoothing(t, dtype):
    network = images(dtype)
    plain = network.gradient(samples(SHAPE).astype(dtype), t)
    network.last_layer.label_smoothing = 0.2  # the same plan serves both
    assert_right(network, samples(SHAPE).astype(dtype), t)
    smoothed = network.gradient(samples(SHAPE).astype(dtype), t)
    assert all(np.abs(plain[key] - smoothed[key]).max() > 1e-4 for key in plain)
