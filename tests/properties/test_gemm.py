"""Matrix products of any sizes and strides, and column sums, against their definitions."""
from __future__ import annotations

import naive
import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from kernels.harness import assert_close, run, sum_bound
from kernels.test_gemm import LAYOUTS
from properties.strategies import arrays, columns, dtypes, every_backend, rows

matrices = st.tuples(rows, rows, rows).filter(lambda sizes: np.prod(sizes) < 3000)
orders = st.sampled_from(list(LAYOUTS))


@every_backend
@given(sizes=matrices, dtype=dtypes, a_layout=orders, b_layout=orders, data=st.data())
def test_gemm(backend, sizes, dtype, a_layout, b_layout, data):
    m, k, n = sizes
    a, b, bias = data.draw(arrays(m, k)), data.draw(arrays(k, n)), data.draw(st.none() | arrays(n))
    expected = naive.gemm(a, b, bias)
    most = naive.gemm(abs(a), abs(b), None if bias is None else abs(bias))
    a, b = LAYOUTS[a_layout](a.astype(dtype)), LAYOUTS[b_layout](b.astype(dtype))
    out = run(backend, "gemm", a, b, None if bias is None else bias.astype(dtype), outputs=[(m, n)])
    assert_close(out, expected, sum_bound(k + 1, most, dtype))


@every_backend
@given(m=rows, n=columns, dtype=dtypes, data=st.data())
def test_column_sums(backend, m, n, dtype, data):
    dout = data.draw(arrays(m, n))
    found = run(backend, "bias_backward", dout.astype(dtype), outputs=[(n,)])
    assert_close(found, naive.column_sums(dout), sum_bound(1, naive.column_sums(abs(dout)), dtype))
