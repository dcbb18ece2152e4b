"""Local response normalization against its definition."""

from __future__ import annotations

from functools import cache

import naive
import numpy as np
import pytest
from kernels.harness import assert_close, sample

# x (N, H, W, C), n, k, alpha, beta
CASES = [
    ((2, 3, 5, 17), 5, 2.0, 1e-4, 0.75),  # AlexNet's
    ((1, 4, 3, 64), 5, 1.0, 2.0, 0.75),
    ((2, 2, 3, 33), 3, 1.5, 0.7, 0.75),
    ((2, 3, 2, 16), 4, 2.0, 3.0, 0.75),  # a window of an even size lies to the left
    ((1, 3, 4, 7), 2, 1.0, 1.0, 0.5),
    ((2, 3, 3, 5), 1, 1.0, 1.0, 1.0),
    ((3, 2, 2, 3), 9, 1.0, 1.5, 0.6),  # a window of more than all channels
    ((2, 1, 1, 2), 1000, 0.5, 1.0, 0.75),
    ((1, 2, 3, 1), 5, 1.0, 1.0, 1.3),
    ((2, 2, 2, 4), 5, 3.0, -0.1, 0.75),
    ((2, 2, 2, 4), 5, 2.0, 1.0, 0.0),
    ((1, 7, 19, 100), 5, 1.0, 0.5, 0.75),  # more than one task
    ((0, 3, 4, 5), 5, 1.0, 1.0, 0.75),
]
cases = pytest.mark.parametrize("shape, n, k, alpha, beta", CASES)


@cache
def lrn(shape, n, k, alpha, beta):
    """Return x, out, dout, dx and at least the sums of the absolute values in dx."""
    x, dout = sample(*shape, offset=0.5), sample(*shape, seed=1, offset=0.5)
    scale = naive.lrn_scale(x, n, k, alpha)
    ratios = abs(dout * x) / scale ** (beta + 1)
    sums = naive.lrn_scale(np.sqrt(ratios), 2 * n, 0, 2 * n)  # of more channels than a window has
    magnitude = abs(dout) / scale**beta + 2 * abs(alpha) / n * beta * abs(x) * sums
    return (x, naive.lrn_forward(x, n, k, alpha, beta), dout, naive.lrn_backward(dout, x, n, k, alpha, beta),
            magnitude)


@cases
def test_lrn(run, dtype, shape, n, k, alpha, beta):
    x, expected, dout, dexpected, magnitude = lrn(shape, n, k, alpha, beta)
    eps = (6 * min(n, 2 * shape[3]) + 20) * np.finfo(dtype).eps
    out = run("lrn_forward", x.astype(dtype), n, k, alpha, beta, outputs=[shape])
    assert_close(out, expected, eps * abs(expected))
    dx = run("lrn_backward", dout.astype(dtype), x.astype(dtype), n, k, alpha, beta, outputs=[shape])
    assert_close(dx, dexpected, eps * magnitude)


@pytest.mark.filterwarnings("ignore::RuntimeWarning")  # inf / inf
@pytest.mark.parametrize("n, k, beta", [(5, 2.0, 0.75), (4, 2.0, 0.75), (3, 1.0, 0.6), (5, 0.0, 0.75)])
def test_special_values_reach_the_windows_that_hold_them(run, dtype, n, k, beta):
    """nan and inf; with k = 0 also 0 / 0 amid zeros."""
    x = np.ones((1, 6, 1, 35))
    x[0, 0, 0, 4], x[0, 1, 0, 20], x[0, 2, 0, 34], x[0, 3], x[0, 4, 0, 0] = np.nan, np.inf, -np.inf, 0, np.inf
    dout = np.full(x.shape, 0.5)
    dout[0, 5, 0, 7], dout[0, 5, 0, 21] = np.nan, np.inf
    out = run("lrn_forward", x.astype(dtype), n, k, 1.0, beta, outputs=[x.shape])
    np.testing.assert_allclose(out, naive.lrn_forward(x, n, k, 1.0, beta), rtol=1e-5)
    dx = run("lrn_backward", dout.astype(dtype), x.astype(dtype), n, k, 1.0, beta, outputs=[x.shape])
    np.testing.assert_allclose(dx, naive.lrn_backward(dout, x, n, k, 1.0, beta), rtol=1e-5, atol=1e-6)


@pytest.mark.filterwarnings("ignore::RuntimeWarning")  # overflow
def test_values_whose_squares_overflow_give_zeros(run):
    x = np.full((1, 1, 1, 16), 1e30, np.float32)
    assert not run("lrn_forward", x, 5, 1.0, 1.0, 0.75, outputs=[x.shape]).any()
