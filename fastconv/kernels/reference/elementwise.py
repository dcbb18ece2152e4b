"""Activations. All arrays of one call have the same shape, any shape."""

from __future__ import annotations

import numpy as np


def relu_forward(x, out, n_threads):
    """``out = 0 where x <= 0 else x``, so nan passes. `out` is overwritten, `n_threads` ignored."""
    out[...] = np.where(x <= 0, 0, x)


def relu_backward(dout, out, dx, n_threads):
    """``dx = 0 where out <= 0 else dout``; `out` is the result of `relu_forward`. `dx` is overwritten."""
    dx[...] = np.where(out <= 0, 0, dout)


def sigmoid_forward(x, out, n_threads):
    """``out = 1 / (1 + exp(-x))``, by exp(-|x|) so that nothing overflows. `out` is overwritten."""
    power = np.exp(-np.abs(x))
    out[...] = np.where(x < 0, power, 1) / (1 + power)


def sigmoid_backward(dout, out, dx, n_threads):
    """``dx = dout * (1 - out) * out``; `out` is the result of `sigmoid_forward`. `dx` is overwritten."""
    dx[...] = dout * (1 - out) * out
