"""im2col and col2im against their definition: the book's order, on any strides."""

from __future__ import annotations

from functools import cache

import naive
import numpy as np
import pytest
from kernels.harness import assert_close, sample, sum_bound

# x (N, C, H, W), filter size, stride, pad
CASES = [
    ((1, 1, 1, 1), (1, 1), (1, 1), (0, 0)),
    ((2, 3, 7, 5), (3, 3), (1, 1), (0, 0)),
    ((2, 1, 8, 9), (3, 2), (2, 3), (1, 2)),
    ((1, 5, 6, 7), (1, 1), (3, 2), (0, 0)),
    ((3, 2, 5, 4), (7, 6), (1, 1), (1, 1)),
    ((1, 2, 3, 3), (3, 3), (2, 2), (4, 3)),
    ((2, 17, 9, 9), (2, 2), (3, 3), (0, 0)),
    ((2, 3, 28, 33), (5, 5), (1, 1), (2, 2)),
    ((2, 3, 1, 2), (1, 2), (2, 3), (0, 0)),
    ((0, 3, 6, 5), (3, 3), (1, 1), (1, 1)),
]
cases = pytest.mark.parametrize("shape, filter_size, stride, pad", CASES)
im2col = cache(lambda shape, *geometry: naive.im2col(sample(*shape), *geometry))

LAYOUTS = {
    "nchw": lambda x: x,
    "channels_last": lambda x: np.ascontiguousarray(x.transpose(0, 2, 3, 1)).transpose(0, 3, 1, 2),
    "sliced": lambda x: np.repeat(x, 2, axis=3)[..., ::2],
    "reversed": lambda x: np.ascontiguousarray(x[:, :, ::-1, ::-1])[:, :, ::-1, ::-1],
    "fortran": np.asfortranarray,
}


@cases
@pytest.mark.parametrize("layout", LAYOUTS)
def test_im2col(run, dtype, shape, filter_size, stride, pad, layout):
    expected = im2col(shape, filter_size, stride, pad)
    x = LAYOUTS[layout](sample(*shape).astype(dtype))
    col = run("im2col", x, filter_size, stride, pad, outputs=[expected.shape])
    np.testing.assert_array_equal(col, expected)


@cases
def test_col2im(run, dtype, shape, filter_size, stride, pad):
    col = sample(*im2col(shape, filter_size, stride, pad).shape)
    dx = run("col2im", col.astype(dtype), filter_size, stride, pad, outputs=[shape])
    magnitude = naive.col2im(abs(col), shape, filter_size, stride, pad)
    expected = naive.col2im(col, shape, filter_size, stride, pad)
    assert_close(dx, expected, sum_bound(np.prod(filter_size), magnitude, dtype))


def test_nan_and_inf_pass(run, dtype):
    x = sample(1, 2, 4, 5).astype(dtype)
    x[0, 0, 1, 2], x[0, 1, 3, 4] = np.nan, np.inf
    col = run("im2col", x, (2, 2), (1, 1), (1, 1), outputs=[(30, 8)])
    np.testing.assert_array_equal(col, naive.im2col(x, (2, 2), (1, 1), (1, 1)))
