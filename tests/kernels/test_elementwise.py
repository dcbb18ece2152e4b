"""Activations, one number at a time."""

from __future__ import annotations

import naive
import numpy as np
import pytest
from kernels.harness import assert_close, sample

shapes = pytest.mark.parametrize("shape", [(1,), (17,), (3, 5), (2, 3, 4, 5), (100_003,), (0,), (0, 4)])
SPECIAL = np.array([np.nan, np.inf, -np.inf, 0.0, -0.0, 1.0, -1.0, 100.0, -100.0, 1e3, -1e3, 1e-30, -1e-30])


def elementwise(function, *arrays):
    values = [function(*numbers) for numbers in zip(*(a.ravel().tolist() for a in arrays), strict=True)]
    return np.array(values, np.float64).reshape(arrays[0].shape)


@shapes
def test_relu(run, dtype, shape):
    x, dout = sample(*shape), sample(*shape, seed=1)
    out = run("relu_forward", x.astype(dtype), outputs=[shape])
    np.testing.assert_array_equal(out, elementwise(naive.relu_forward, x))
    dx = run("relu_backward", dout.astype(dtype), out, outputs=[shape])
    np.testing.assert_array_equal(dx, elementwise(naive.relu_backward, dout, out))


def test_relu_of_special_values(run, dtype):
    out = run("relu_forward", SPECIAL.astype(dtype), outputs=[SPECIAL.shape])
    np.testing.assert_array_equal(out, elementwise(naive.relu_forward, SPECIAL.astype(dtype)))
    dout = np.arange(1, 1 + SPECIAL.size, dtype=dtype)
    dx = run("relu_backward", dout, out, outputs=[SPECIAL.shape])
    np.testing.assert_array_equal(dx, np.where(out <= 0, 0, dout))
    dx = run("relu_backward", out, dout, outputs=[SPECIAL.shape])
    np.testing.assert_array_equal(dx, out)  # nan and inf of dout pass


@shapes
def test_sigmoid(run, dtype, shape):
    x, dout = 10 * sample(*shape), sample(*shape, seed=1)
    x = x.astype(np.float32).astype(np.float64)
    eps = np.finfo(dtype).eps
    expected = elementwise(naive.sigmoid_forward, x)
    out = run("sigmoid_forward", x.astype(dtype), outputs=[shape])
    assert_close(out, expected, 6 * eps * expected)
    expected = elementwise(naive.sigmoid_backward, dout, out)
    dx = run("sigmoid_backward", dout.astype(dtype), out, outputs=[shape])
    assert_close(dx, expected, 3 * eps * abs(expected))


def test_sigmoid_of_special_values(run, dtype):
    x = SPECIAL.astype(dtype)
    expected = elementwise(naive.sigmoid_forward, x)
    out = run("sigmoid_forward", x, outputs=[x.shape])
    assert_close(out, expected, 6 * np.finfo(dtype).eps * expected)
