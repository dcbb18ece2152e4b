"""Pooling against its definition; ties and nan go to the first of the window."""

from __future__ import annotations

from functools import cache

import naive
import numpy as np
import pytest
from kernels.harness import assert_close, sample, sum_bound

# x (N, H, W, C), window, stride, pad, do the last windows stick out?
CASES = [
    ((1, 1, 1, 1), (1, 1), (1, 1), (0, 0)),
    ((2, 6, 4, 3), (2, 2), (2, 2), (0, 0)),
    ((2, 7, 5, 17), (2, 2), (2, 2), (0, 0)),  # stride does not divide
    ((1, 7, 9, 5), (3, 2), (2, 3), (1, 1)),
    ((2, 5, 6, 1), (3, 3), (1, 1), (2, 2)),
    ((1, 9, 8, 3), (2, 1), (4, 3), (1, 0)),  # stride larger than the window
    ((2, 1, 2, 3), (1, 2), (2, 3), (0, 1)),  # stride larger than the image
    ((2, 4, 6, 3), (6, 8), (1, 1), (1, 1)),  # window as large as the padded image
    ((1, 33, 35, 16), (2, 2), (2, 2), (1, 1)),
    ((7, 12, 14, 33), (3, 3), (2, 2), (1, 1)),
    ((0, 6, 4, 3), (2, 2), (2, 2), (0, 0)),
]
CEIL_MODE = [
    ((2, 7, 5, 17), (2, 2), (2, 2), (0, 0)),
    ((1, 8, 9, 5), (3, 2), (2, 3), (1, 1)),
    ((2, 6, 8, 33), (3, 3), (2, 2), (0, 0)),
    ((1, 5, 6, 1), (3, 4), (3, 5), (2, 1)),
    ((2, 2, 3, 3), (3, 4), (2, 3), (0, 0)),  # a window larger than the image
    ((1, 5, 4, 16), (2, 2), (2, 3), (1, 1)),  # one more window would begin behind the image
]
CASES = [(*case, False) for case in CASES] + [(*case, True) for case in CEIL_MODE]
cases = pytest.mark.parametrize("shape, window, stride, pad, ceil_mode", CASES)


def with_ties(*shape):
    """Return few different values, so that most windows have several maxima."""
    return np.round(sample(*shape))


def with_special_values(*shape):
    """Return a fifth each of nan, inf and -inf among the rest."""
    x = with_ties(*shape)
    kind = np.random.default_rng(1).integers(0, 5, shape)
    x[kind == 0], x[kind == 1], x[kind == 2] = np.nan, np.inf, -np.inf
    return x


def all_negative_infinite(*shape):
    """Return -inf: as small as the padding, and still it is the maximum."""
    return np.full(shape, -np.inf)


FILLS = [sample, with_ties, with_special_values, all_negative_infinite]
fills = pytest.mark.parametrize("fill", FILLS)


@cache
def max_pooling(fill, shape, *geometry):
    """Return x, its maxima, dout, dx and the sums of the absolute values in dx."""
    x = fill(*shape)
    out = naive.max_pooling_forward(x, *geometry)
    dout = sample(*out.shape)
    dx, magnitude = (naive.max_pooling_backward(d, x, *geometry) for d in (dout, abs(dout)))
    return x, out, dout, dx, magnitude


@cases
@fills
def test_max_pooling(run, dtype, fill, shape, window, stride, pad, ceil_mode):
    x, maxima, dout, expected, magnitude = max_pooling(fill, shape, window, stride, pad, ceil_mode)
    x, dout = x.astype(dtype), dout.astype(dtype)
    out = run("max_pooling_forward", x, window, stride, pad, outputs=[maxima.shape])
    np.testing.assert_array_equal(out, maxima)
    dx = run("max_pooling_backward", dout, x, out, window, stride, pad, outputs=[shape])
    assert_close(dx, expected, sum_bound(np.prod(window), magnitude, dtype))


@cases
def test_average_pooling(run, dtype, shape, window, stride, pad, ceil_mode):
    x = sample(*shape, offset=3)
    expected = naive.average_pooling_forward(x, window, stride, pad, ceil_mode)
    magnitude = naive.average_pooling_forward(abs(x), window, stride, pad, ceil_mode)
    bound = sum_bound(np.prod(window), magnitude, dtype)
    out = run("average_pooling_forward", x.astype(dtype), window, stride, pad, outputs=[expected.shape])
    assert_close(out, expected, bound)

    dout = sample(*expected.shape)
    dx = run("average_pooling_backward", dout.astype(dtype), window, stride, pad, outputs=[shape])
    expected = naive.average_pooling_backward(dout, shape, window, stride, pad, ceil_mode)
    magnitude = naive.average_pooling_backward(abs(dout), shape, window, stride, pad, ceil_mode)
    assert_close(dx, expected, sum_bound(np.prod(window), magnitude, dtype))


@pytest.mark.filterwarnings("ignore::RuntimeWarning")  # inf - inf
def test_average_pooling_of_nan_and_inf(run, dtype):
    x = with_special_values(2, 5, 6, 3)
    expected = naive.average_pooling_forward(x, (2, 2), (1, 2), (0, 1))
    out = run("average_pooling_forward", x.astype(dtype), (2, 2), (1, 2), (0, 1), outputs=[expected.shape])
    np.testing.assert_allclose(out, expected, rtol=1e-6)


def test_whole_gradient_goes_to_the_first_maximum(run, dtype):
    x = np.ones((1, 2, 2, 1), dtype)
    dout = np.full((1, 1, 1, 1), 3, dtype)
    dx = run("max_pooling_backward", dout, x, x[:, :1, :1], (2, 2), (2, 2), (0, 0), outputs=[x.shape])
    np.testing.assert_array_equal(dx.ravel(), [3, 0, 0, 0])
