"""Local response normalization of any images and settings against its definition."""
from __future__ import annotations

import naive
import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from kernels.harness import run
from properties.strategies import arrays, channels, dtypes, every_backend


@every_backend
@given(shape=st.tuples(st.integers(0, 2), st.integers(0, 3), st.integers(1, 3), channels), n=st.integers(1, 20),
       k=st.sampled_from([1.0, 2.0]), alpha=st.sampled_from([1e-4, 0.5]), beta=st.sampled_from([0.5, 0.6, 0.75, 1.0]),
       dtype=dtypes, data=st.data())
def test_lrn(backend, shape, n, k, alpha, beta, dtype, data):
    x, dout = data.draw(arrays(*shape)), data.draw(arrays(*shape))
    tolerance = {"rtol": 1e-4, "atol": 1e-4} if dtype == np.float32 else {"rtol": 1e-9, "atol": 1e-9}
    out = run(backend, "lrn_forward", x.astype(dtype), n, k, alpha, beta, outputs=[shape])
    np.testing.assert_allclose(out, naive.lrn_forward(x, n, k, alpha, beta), **tolerance)
    dx = run(backend, "lrn_backward", dout.astype(dtype), x.astype(dtype), n, k, alpha, beta, outputs=[shape])
    np.testing.assert_allclose(dx, naive.lrn_backward(dout, x, n, k, alpha, beta), **tolerance)
