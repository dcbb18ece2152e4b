"""Networks of every structure that a plan treats in a way of its own, against the same layers one by one."""
import numpy as np
import pytest

import fastconv
from fastconv import dispatch
from fastconv.engine import Network
from fastconv.engine.compile import NotCompiled
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

pytestmark = pytest.mark.skipif(dispatch.plan(dispatch.backend()) is None, reason="this backend has no plans")
CLASSES, SHAPE = 5, (3, 13, 11)


class Builder:
    """Adds layers with random parameters to a network."""

    def __init__(self, seed, dtype):
        self.rng, self.network = np.random.default_rng(seed), Network(dtype=dtype)

    def add(self, layer, **inputs):
        return self.network.add(layer, **inputs)

    def convolution(self, channels, filters, size=(3, 3), bias=True, inputs=None, **options):
        W = self.rng.standard_normal((filters, channels // options.get("groups", 1), *size)) * 0.3
        b = self.rng.standard_normal(filters) * 0.1 if bias else None
        return self.network.add(Convolution(W, b, **options), inputs=inputs)

    def normalization(self, features):
        return self.add(BatchNormalization(self.rng.random(features) + 0.5, self.rng.standard_normal(features)))

    def affine(self, outputs, bias=True):
        x = np.zeros((1, *SHAPE), self.network.dtype)
        y = self.network._graph.forward(x, False)
        W = self.rng.standard_normal((int(np.prod(y.shape[1:])), outputs)) * 0.2
        self.add(Affine(W, self.rng.standard_normal(outputs) if bias else None))


def general(n):
    """Strides, dilation, groups, average pooling."""
    n.convolution(3, 6, (3, 2), stride=(2, 1), pad=(1, 2))
    n.add(Sigmoid())
    n.convolution(6, 8, pad=2, dilation=2, groups=2, bias=False)
    n.add(Relu())
    n.add(Pooling(3, 2, 2, 1, mode="average"))


def depthwise(n):
    """A filter to each of 16 and of 20 channels, with strides and dilation, one with ReLU and pooling in its step."""
    n.convolution(3, 16, pad=1)
    n.convolution(16, 16, pad=1, groups=16)
    n.add(Relu())
    n.add(Pooling(2, 2, 2))
    n.convolution(16, 20, (1, 1))
    n.add(Relu())
    n.convolution(20, 20, (5, 5), stride=(1, 2), pad=2, groups=20, bias=False)
    n.add(Relu())
    n.convolution(20, 20, pad=2, dilation=2, groups=20)
    n.add(Relu())


def branches(n):
    """A skip, two branches that join, sources that are read twice."""
    n.convolution(3, 16, pad=1)
    a = n.add(Relu())
    n.convolution(16, 16, pad=1)
    n.add(Relu())
    b = n.convolution(16, 16, (1, 1))
    n.add(Add(), inputs=(a, b))
    c = n.add(Relu())
    n.convolution(16, 20, pad=1)
    d = n.add(Relu())
    e = n.add(Pooling(3, 3, 1, 1), inputs=c)
    n.add(Concat(), inputs=(d, e))
    n.add(Pooling(2, 2, 2))


def fused(n):
    """Convolution, ReLU and pooling in one step, on sizes that are odd; dropout of images."""
    n.convolution(3, 16, pad=1)
    n.add(Relu())
    n.add(Pooling(2, 2, 2))
    n.convolution(16, 32, pad=1)
    n.add(Relu())
    n.add(Pooling(2, 2, 2))
    n.add(Dropout(0.3, rng=np.random.default_rng(1)))


def affine_after_convolution(n):
    """The gradient that an Affine layer hands to a convolution has nothing around its images."""
    n.convolution(3, 16, pad=1)
    n.convolution(16, 16, pad=1)


def winograd_backwards_only(n):
    """20 channels to 32: only the gradient to the data goes by Winograd's method, through the ReLU before it."""
    n.convolution(3, 20, pad=1)
    n.add(Relu())
    n.convolution(20, 32, pad=1)
    n.add(Relu())
    n.add(Pooling(2, 2, 2))


def affine_after_relu(n):
    n.convolution(3, 16, pad=1)
    n.convolution(16, 16, pad=1)
    n.add(Relu())


def normalized(n):
    """Statistics of channels and of features; each ends a segment."""
    n.convolution(3, 16, pad=1, bias=False)
    n.normalization(16)
    n.add(Relu())
    n.convolution(16, 16, pad=1, bias=False)
    n.normalization(16 * 13 * 11)
    n.add(Pooling(2, 2, 2))


def responses(n):
    """LRN between convolutions, on the images themselves and at the end of a branch; zeros around all of them."""
    n.add(LRN(3, 1.0, 0.5))
    n.convolution(3, 17, pad=2)
    n.add(Relu())
    a = n.add(LRN(5, 1.0, 2.0))
    n.convolution(17, 16, pad=1)
    n.add(LRN(4, 2.0, 1.0, 0.6))
    b = n.convolution(16, 17, pad=1)
    n.add(Add(), inputs=(a, b))


def last_windows_stick_out(n):
    """Poolings with ceil_mode, in front of convolutions with padding and behind them; one could be fused but for it."""
    n.convolution(3, 16, pad=1)
    n.add(Relu())
    n.add(Pooling(2, 2, 2, ceil_mode=True))
    n.convolution(16, 16, pad=1)
    n.add(Pooling(3, 3, 2, ceil_mode=True))
    n.convolution(16, 5, pad=1)
    n.add(Pooling(2, 3, (2, 3), (1, 0), mode="average", ceil_mode=True))


def averages_of_channels(n):
    """The end of a ResNet; the Affine layer behind it reads rows."""
    n.convolution(3, 16, pad=1)
    n.add(Relu())
    n.convolution(16, 17, pad=1)
    n.add(Relu())
    n.add(GlobalAveragePooling())


def flattened(n):
    """Rows in the order of the axes, with a dropout that draws for them in that order; the images are read twice."""
    stem = n.convolution(3, 16, pad=1)
    n.add(Relu())
    n.add(Pooling(3, 3, 3))
    n.add(Flatten())
    a = n.add(Dropout(0.4, rng=np.random.default_rng(1)))
    n.convolution(16, 2, pad=1, inputs=stem)
    n.add(Flatten())
    n.add(Sigmoid())
    b = n.add(Flatten())
    n.add(Concat(), inputs=(b, a))


STRUCTURES = (general, depthwise, branches, fused, affine_after_convolution, affine_after_relu, winograd_backwards_only,
              responses, last_windows_stick_out, averages_of_channels, flattened, normalized)
# one or two rows have the deviation 0 or next to it, and gradients that are rounding errors
CASES = [(structure, n) for structure in STRUCTURES for n in (1, 2, 5, 19, 70) if structure is not normalized or n > 2]


def built(structure, dtype):
    n = Builder(7, dtype)
    structure(n)
    n.affine(20, bias=structure is not normalized)
    if structure is normalized:
        n.normalization(20)
    n.add(Relu())
    n.affine(CLASSES, bias=False)
    return n.network


def layer_by_layer(network):
    network._plans.take = lambda *given, **mode: NotCompiled("for comparison")
    return network


def batch(n, dtype):
    rng = np.random.default_rng(n)
    return (rng.standard_normal((n, *SHAPE)) + 0.3).astype(dtype), rng.integers(0, CLASSES, n)


@pytest.mark.parametrize("structure, n", CASES)
@pytest.mark.parametrize("dtype, tolerance", [(np.float64, 1e-10), (np.float32, 2e-4)])
def test_equal_to_the_layers(structure, dtype, tolerance, n):
    planned, layers = built(structure, dtype), layer_by_layer(built(structure, dtype))
    x, t = batch(n, dtype)
    found, expected = planned.gradient(x, t), layers.gradient(x, t)
    assert planned._plans._plans, "a plan ran"
    for key, gradient in expected.items():
        np.testing.assert_allclose(found[key], gradient, rtol=0, atol=tolerance * np.abs(gradient).max(), err_msg=key)
    np.testing.assert_allclose(planned.last_layer.loss, layers.last_layer.loss, rtol=tolerance)
    y = layers.predict(x)
    np.testing.assert_allclose(planned.predict(x), y, rtol=0, atol=tolerance * np.abs(y).max())
    for ours, theirs in zip(planned.layers, layers.layers, strict=True):
        if isinstance(ours, BatchNormalization):
            np.testing.assert_allclose(ours.running_mean, theirs.running_mean, rtol=1e-4, atol=1e-6)
            np.testing.assert_allclose(ours.running_var, theirs.running_var, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("structure", STRUCTURES)
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_same_bits_on_any_number_of_threads(structure, dtype):
    def run(threads):
        network = built(structure, dtype)
        network.seed(3)
        with fastconv.threads.threads(threads):
            gradient = network.gradient(*batch(19, dtype))
            return [*gradient.values(), network.predict(batch(19, dtype)[0]), np.array(network.last_layer.loss)]

    expected = run(1)
    for threads in (2, 3, 5, 8):
        for a, b in zip(run(threads), expected, strict=True):
            np.testing.assert_array_equal(a, b)


@pytest.mark.parametrize("key, edit", [
    ("W1", lambda W: W.__imul__(2)), ("b2", lambda b: b.__iadd__(1)), ("W2", lambda W: W.put(5, 3.0))])
def test_edits_in_place_count_at_the_next_call(key, edit):
    network = built(fused, np.float32)
    x, t = batch(5, np.float32)
    before = network.predict(x)
    edit(network.params[key])
    other = layer_by_layer(built(fused, np.float32))
    for name, value in network.params.items():
        other.params[name] = value.copy()
    y = network.predict(x)
    assert not np.array_equal(y, before)
    np.testing.assert_allclose(y, other.predict(x), rtol=0, atol=2e-4 * np.abs(y).max())


@pytest.mark.parametrize("dtype", [np.uint8, np.float32, np.float64])
def test_by_index_without_a_copy(dtype):
    rng = np.random.default_rng(0)
    x = rng.integers(0, 256, (40, *SHAPE)).astype(dtype)
    t, index = rng.integers(0, CLASSES, 40), rng.permutation(40)[:23]
    network = built(fused, np.float32)
    network.seed(1)
    found = network.gradient(x, t, index)
    network.seed(1)
    expected = network.gradient(x[index], t[index])
    for key in expected:
        np.testing.assert_array_equal(found[key], expected[key])
