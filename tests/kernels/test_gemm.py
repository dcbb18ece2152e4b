"""Matrix products of any strides and of the sizes where tiles end."""

from __future__ import annotations

import naive
import numpy as np
import pytest
from kernels.harness import assert_close, sample, sum_bound

LAYOUTS = {
    "rows": lambda a: a,
    "transposed": lambda a: np.ascontiguousarray(a.T).T,
    "sliced": lambda a: np.repeat(np.repeat(a, 2, axis=0), 3, axis=1)[::2, ::3],
    "reversed": lambda a: np.ascontiguousarray(a[::-1, ::-1])[::-1, ::-1],
}
SMALL = [
    (1, 1, 1), (3, 1, 5), (5, 7, 1), (1, 9, 6), (6, 8, 16), (7, 17, 33), (8, 33, 17), (16, 16, 16),
    (33, 6, 8), (0, 3, 4), (3, 4, 0), (3, 0, 4), (0, 0, 0),
]  # fmt: skip
LARGE = [
    (9, 30, 33), (65, 17, 9), (8, 70, 17), (1, 300, 33), (3, 350, 8), (100, 100, 1),  # just not small to Numba
    (4, 130, 1030), (3, 784, 50), (257, 300, 131), (100, 500, 96), (513, 65, 9), (2, 700, 400), (400, 31, 1),
]  # fmt: skip
LONG = [(1, 1100, 2053), (8, 1025, 2049), (3, 5, 500_000), (5, 120_001, 19), (2, 40, 70_003)]  # b is read from memory


def problem(m, k, n):
    return sample(m, k, seed=1), sample(k, n, seed=2), sample(n, seed=3)


@pytest.mark.parametrize("size", SMALL)
@pytest.mark.parametrize("with_bias", [True, False])
@pytest.mark.parametrize("a_layout", LAYOUTS)
@pytest.mark.parametrize("b_layout", LAYOUTS)
def test_small(run, dtype, size, with_bias, a_layout, b_layout):
    a, b, bias = problem(*size)
    bias = bias if with_bias else None
    expected = naive.gemm(a, b, bias)
    magnitude = naive.gemm(abs(a), abs(b), abs(bias) if with_bias else None)
    a, b = LAYOUTS[a_layout](a.astype(dtype)), LAYOUTS[b_layout](b.astype(dtype))
    out = run("gemm", a, b, bias.astype(dtype) if with_bias else None, outputs=[expected.shape])
    assert_close(out, expected, sum_bound(size[1] + 1, magnitude, dtype))


@pytest.mark.parametrize("size", LARGE)
@pytest.mark.parametrize("layouts", [("rows", "rows"), ("transposed", "rows"), ("rows", "transposed")])
def test_large(run, dtype, size, layouts):
    a, b, bias = problem(*size)
    expected = a.astype(np.longdouble) @ b + bias  # NumPy's own loops: no BLAS for long double
    magnitude = abs(a) @ abs(b) + abs(bias)
    a, b = (LAYOUTS[layout](matrix.astype(dtype)) for layout, matrix in zip(layouts, (a, b), strict=True))
    out = run("gemm", a, b, bias.astype(dtype), outputs=[expected.shape])
    assert_close(out, expected, sum_bound(size[1] + 1, magnitude, dtype))


@pytest.mark.parametrize("size", LONG)
def test_few_rows_times_a_matrix_larger_than_the_caches(run, size):
    a, b, bias = problem(*size)
    expected, magnitude = a @ b + bias, abs(a) @ abs(b) + abs(bias)
    a, b, bias = (x.astype(np.float32) for x in (a, b, bias))
    out = run("gemm", a, b, bias, outputs=[expected.shape])
    assert_close(out, expected, sum_bound(size[1] + 1, magnitude, np.float32))


def test_rows_repeated_by_a_zero_stride(run, dtype):
    row, b = sample(1, 9), sample(9, 7)
    a = np.broadcast_to(row.astype(dtype), (20, 9))
    out = run("gemm", a, b.astype(dtype), None, outputs=[(20, 7)])
    expected = naive.gemm(np.repeat(row, 20, axis=0), b, None)
    assert_close(out, expected, sum_bound(9, abs(row) @ abs(b), dtype))


@pytest.mark.filterwarnings("ignore::RuntimeWarning")  # inf - inf
def test_nan_and_inf_stay_in_their_row_and_column(run, dtype):
    a, b, bias = (x.astype(dtype) for x in problem(20, 11, 19))
    a[3, 4], b[10, 18] = np.nan, np.inf
    out = run("gemm", a, b, bias, outputs=[(20, 19)])
    expected = np.zeros((20, 19), bool)
    expected[3], expected[:, 18] = True, True
    np.testing.assert_array_equal(~np.isfinite(out), expected)


@pytest.mark.parametrize("shape", [(1, 1), (7, 3), (5000, 17), (33, 1), (40, 700), (0, 5), (3, 0)])
def test_bias_backward(run, dtype, shape):
    dout = sample(*shape, offset=10)
    dbias = run("bias_backward", dout.astype(dtype), outputs=[shape[1:]])
    assert_close(dbias, naive.column_sums(dout), sum_bound(shape[0], abs(dout).sum(axis=0), dtype))
