"""Every layer with an input, for the tests of what all layers promise."""

from __future__ import annotations

import numpy as np

from fastconv import layers
from fastconv.layers import (
    LRN,
    AdaptiveAveragePooling,
    Affine,
    BatchNormalization,
    Convolution,
    Dropout,
    Flatten,
    GlobalAveragePooling,
    Pooling,
    Relu,
    Sigmoid,
    SoftmaxWithLoss,
)

IMAGES = (3, 4, 5, 6)  # N C H W
ROWS = (5, 7)


def _random(shape, dtype, seed):
    return np.random.default_rng(seed).normal(0.5, 1.0, shape).astype(dtype)


def _batch_normalization(features):
    return lambda dtype: BatchNormalization(_random(features, dtype, 4), _random(features, dtype, 5))


def _convolution(shape, *settings, **more):
    return lambda dtype: Convolution(_random(shape, dtype, 2), _random(shape[0], dtype, 3), *settings, **more)


# name -> (layer in a dtype, shape of its input)
LAYERS = {
    "Convolution": (_convolution((2, 4, 3, 2), 2, 1), IMAGES),
    "Convolution with groups": (_convolution((6, 2, 2, 3), (1, 2), (0, 2), dilation=2, groups=2), IMAGES),
    "Pooling": (lambda dtype: Pooling(2, 3, 2, 1), IMAGES),
    "average Pooling": (lambda dtype: Pooling(3, 2, (1, 2), (1, 0), mode="average"), IMAGES),
    "Pooling with ceil_mode": (lambda dtype: Pooling(2, 3, 3, (1, 0), ceil_mode=True), IMAGES),
    "GlobalAveragePooling": (lambda dtype: GlobalAveragePooling(), IMAGES),
    "Flatten": (lambda dtype: Flatten(), IMAGES),
    "Flatten of rows": (lambda dtype: Flatten(), ROWS),
    "LRN": (lambda dtype: LRN(4, 1.5, 2.0, 0.6), IMAGES),
    "Affine on images": (lambda dtype: Affine(_random((120, 3), dtype, 2), _random(3, dtype, 3)), IMAGES),
    "Affine on rows": (lambda dtype: Affine(_random((7, 3), dtype, 2), _random(3, dtype, 3)), ROWS),
    "Relu": (lambda dtype: Relu(), IMAGES),
    "Sigmoid": (lambda dtype: Sigmoid(), IMAGES),
    "Dropout": (lambda dtype: Dropout(0.3, rng=np.random.default_rng(9)), IMAGES),
    "inverted Dropout": (lambda dtype: Dropout(0.3, rng=np.random.default_rng(9), inverted=True), IMAGES),
    "AdaptiveAveragePooling": (lambda dtype: AdaptiveAveragePooling(2, 4), IMAGES),
    "BatchNormalization per channel": (_batch_normalization(4), IMAGES),
    "BatchNormalization per feature": (_batch_normalization(120), IMAGES),
    "BatchNormalization of rows": (_batch_normalization(7), ROWS),
}
ELEMENTWISE = ("Relu", "Sigmoid")  # they keep the memory layout of their input


def make(name, dtype=np.float32):
    """Return the layer and an input (N, ...) for it."""
    layer, shape = LAYERS[name]
    return layer(dtype), _random(shape, dtype, 1)


def results(layer, x, dout=None):
    """Return name -> array: what a forward and a backward pass give. Without a `dout` it is ones like out."""
    out = layer.forward(x)
    dx = layer.backward(np.ones_like(out) if dout is None else dout)
    found = {"out": out, "dx": dx}
    for name in ("dW", "db", "dgamma", "dbeta", "running_mean", "running_var"):
        if getattr(layer, name, None) is not None:
            found[name] = getattr(layer, name)
    return found


class Add(layers.Add):
    """x + x, behind the interface of the layers with one input."""

    def forward(self, x):
        return super().forward(x, x)

    def backward(self, dout):
        return np.add(*super().backward(dout))


class Concat(layers.Concat):
    """x beside x, behind the interface of the layers with one input."""

    def forward(self, x):
        return super().forward(x, x)

    def backward(self, dout):
        return np.add(*super().backward(dout))


class OfOneInput:
    """A layer of several inputs as a function of input i, the others being those of `xs`."""

    def __init__(self, layer, xs, i):
        self.layer, self.xs, self.i = layer, list(xs), i

    def forward(self, x):
        return self.layer.forward(*self.xs[: self.i], x, *self.xs[self.i + 1 :])

    def backward(self, dout):
        return self.layer.backward(dout)[self.i]


class Loss:
    """SoftmaxWithLoss with its labels, behind the interface of the other layers; out is the loss."""

    def __init__(self):
        self.layer = SoftmaxWithLoss()

    def forward(self, x):
        return np.asarray(self.layer.forward(x, np.arange(len(x)) % ROWS[1]))

    def backward(self, dout):
        return self.layer.backward()


LAYERS["Add"] = (lambda dtype: Add(), IMAGES)
LAYERS["Concat of images"] = (lambda dtype: Concat(), IMAGES)
LAYERS["Concat of rows"] = (lambda dtype: Concat(), ROWS)
LAYERS["SoftmaxWithLoss"] = (lambda dtype: Loss(), ROWS)
