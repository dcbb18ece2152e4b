"""Layers and helpers for the tests of the engine."""
from __future__ import annotations

import numpy as np

from fastconv.engine import Network
from fastconv.layers import Affine


class Spy:
    """Passes its input on and remembers how it was called."""

    def __init__(self):
        self.calls = []

    def forward(self, x):
        self.calls.append("forward")
        return x

    def backward(self, dout):
        self.calls.append("backward")
        return dout


def affine(inputs, outputs, seed, dtype=np.float64):
    rng = np.random.default_rng(seed)
    W, b = rng.normal(0, 0.4, (inputs, outputs)), rng.normal(0, 0.4, outputs)
    return Affine(W.astype(dtype), b.astype(dtype))


def two_affine(dtype=np.float64):
    network = Network(dtype=dtype)
    network.add(affine(4, 5, 0))
    network.add(affine(5, 3, 1))
    return network


def cross_entropy(network, x, t):
    """The loss without the book's 1e-7, which its gradient ``(y - t) / N`` leaves out as well."""
    y = network.predict(x, train_flg=True)
    y = y - y.max(axis=1, keepdims=True)
    return np.mean(np.log(np.exp(y).sum(axis=1)) - y[np.arange(len(t)), t])


def numerical_gradient(network, x, t, key, eps=1e-6):
    """Central differences, element by element."""
    param = network.params[key]
    grad = np.zeros_like(param)
    for index in np.ndindex(param.shape):
        saved = param[index]
        param[index] = saved + eps
        above = cross_entropy(network, x, t)
        param[index] = saved - eps
        below = cross_entropy(network, x, t)
        param[index] = saved
        grad[index] = (above - below) / (2 * eps)
    return grad


def check_gradient(network, x, t, rtol=1e-6, atol=1e-8):
    grads = network.gradient(x, t)
    assert list(grads) == list(network.params)
    for key, grad in grads.items():
        np.testing.assert_allclose(grad, numerical_gradient(network, x, t, key), rtol, atol, err_msg=key)
