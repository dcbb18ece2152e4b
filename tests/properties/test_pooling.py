"""Pooling with any window, stride and pad, with ties, nan and inf, against its definition."""
from __future__ import annotations

import naive
import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from kernels.harness import assert_close, run, sum_bound
from properties.strategies import arrays, dtypes, every_backend, windows

small = windows().filter(lambda drawn: np.prod(drawn[0]) < 1500)


@every_backend
@given(pooling=small, dtype=dtypes, data=st.data())
def test_max_pooling(backend, pooling, dtype, data):
    shape, *geometry, ceil_mode = pooling
    x = data.draw(arrays(*shape))
    special = data.draw(st.sampled_from([None, np.nan, np.inf, -np.inf]))
    if special is not None:
        x[data.draw(arrays(*shape)) > 1] = special
    expected = naive.max_pooling_forward(x, *geometry, ceil_mode)
    out = run(backend, "max_pooling_forward", x.astype(dtype), *geometry, outputs=[expected.shape])
    np.testing.assert_array_equal(out, expected)
    dout = data.draw(arrays(*expected.shape))
    dx = run(backend, "max_pooling_backward", dout.astype(dtype), x.astype(dtype), out, *geometry, outputs=[shape])
    most = naive.max_pooling_backward(abs(dout), x, *geometry, ceil_mode)
    assert_close(dx, naive.max_pooling_backward(dout, x, *geometry, ceil_mode), sum_bound(16, most, dtype))


@every_backend
@given(pooling=small, dtype=dtypes, data=st.data())
def test_average_pooling(backend, pooling, dtype, data):
    shape, *geometry, ceil_mode = pooling
    x = data.draw(arrays(*shape))
    expected = naive.average_pooling_forward(x, *geometry, ceil_mode)
    out = run(backend, "average_pooling_forward", x.astype(dtype), *geometry, outputs=[expected.shape])
    most = naive.average_pooling_forward(abs(x), *geometry, ceil_mode)
    assert_close(out, expected, sum_bound(17, most, dtype))
    dout = data.draw(arrays(*expected.shape))
    dx = run(backend, "average_pooling_backward", dout.astype(dtype), *geometry, outputs=[shape])
    most = naive.average_pooling_backward(abs(dout), shape, *geometry, ceil_mode)
    assert_close(dx, naive.average_pooling_backward(dout, shape, *geometry, ceil_mode), sum_bound(17, most, dtype))
