"""Softmax and cross entropy."""

from __future__ import annotations

import naive
import numpy as np
import pytest
from kernels.harness import assert_close, sample

shapes = pytest.mark.parametrize("shape", [(1, 1), (3, 10), (100, 17), (5, 1000), (4000, 9), (0, 10)])


def labels(shape):
    return np.random.default_rng(4).integers(0, shape[1], shape[0])


def softmax_eps(x, dtype):
    """Relative error of a row of the softmax: x - max rounded, exp, the sum of K powers, the division."""
    spread = np.ptp(x, axis=1).max(initial=0)
    return np.finfo(dtype).eps * (x.shape[1] + spread + 6)


@shapes
@pytest.mark.parametrize("offset", [0, 1000, -1000])
def test_softmax(run, dtype, shape, offset):
    x = sample(*shape, offset=offset)
    expected = naive.softmax(x)
    y = run("softmax_forward", x.astype(dtype), outputs=[shape])
    assert_close(y, expected, softmax_eps(x, dtype) * expected)


@shapes
def test_loss(run, dtype, shape):
    x, t = 5 * sample(*shape), labels(shape)
    x = x.astype(np.float32).astype(np.float64)
    y, loss = run("softmax_loss_forward", x.astype(dtype), t, outputs=[shape, shape[:1]])
    expected_y, expected_loss = naive.softmax_loss(x, t)
    eps = softmax_eps(x, dtype)
    assert_close(y, expected_y, eps * expected_y)
    assert_close(loss, expected_loss, eps + 4 * np.finfo(dtype).eps * (1 + abs(expected_loss)))


@shapes
def test_loss_backward(run, dtype, shape):
    y, t = naive.softmax(sample(*shape)).astype(np.float32), labels(shape)
    dx = run("softmax_loss_backward", y.astype(dtype), t, outputs=[shape])
    expected = naive.softmax_loss_backward(y.astype(np.float64), t)
    assert_close(dx, expected, 2 * np.finfo(dtype).eps * abs(expected))


def test_certain_and_impossible_labels(run, dtype):
    """exp(-1000) is 0: the 1e-7 keeps the loss finite."""
    x = np.array([[0.0, 1000.0], [0.0, 1000.0]], dtype)
    y, loss = run("softmax_loss_forward", x, np.array([0, 1]), outputs=[(2, 2), (2,)])
    np.testing.assert_array_equal(y, [[0, 1], [0, 1]])
    np.testing.assert_allclose(loss, [-np.log(1e-7), 0], rtol=1e-6, atol=2e-7)


@pytest.mark.filterwarnings("ignore::RuntimeWarning")  # inf - inf
def test_special_values_stay_in_their_row(run, dtype):
    x = np.zeros((4, 3), dtype)
    x[0, 1], x[1, 2], x[2, 0] = np.nan, np.inf, -np.inf
    y = run("softmax_forward", x, outputs=[x.shape])
    assert np.isnan(y[0]).all()
    assert np.isnan(y[1, 2])
    np.testing.assert_allclose(y[2:], [[0, 1 / 2, 1 / 2], [1 / 3, 1 / 3, 1 / 3]], rtol=1e-6)
