"""Softmax, loss and batch normalization of matrices of any size against their definitions."""
from __future__ import annotations

import naive
import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from kernels.harness import run
from properties.strategies import arrays, columns, dtypes, every_backend, rows

matrices = st.tuples(rows, columns).filter(lambda shape: np.prod(shape) < 2000)


def close(dtype):
    return {"rtol": 1e-4, "atol": 2e-5} if dtype == np.float32 else {"rtol": 1e-9, "atol": 1e-11}


@every_backend
@given(shape=matrices, dtype=dtypes, scale=st.sampled_from([1, 50]), data=st.data())
def test_softmax_and_loss(backend, shape, dtype, scale, data):
    x = data.draw(arrays(*shape)) * scale
    t = np.random.default_rng(shape[0]).integers(0, shape[1], shape[0])
    y, losses = naive.softmax_loss(x, t)
    out = run(backend, "softmax_forward", x.astype(dtype), outputs=[shape])
    np.testing.assert_allclose(out, y, **close(dtype))
    found, found_losses = run(backend, "softmax_loss_forward", x.astype(dtype), t, outputs=[shape, shape[:1]])
    np.testing.assert_array_equal(found, out)
    np.testing.assert_allclose(found_losses, losses, **close(dtype))
    dx = run(backend, "softmax_loss_backward", out, t, outputs=[shape])
    np.testing.assert_allclose(dx, naive.softmax_loss_backward(out, t), **close(dtype))


@every_backend
@given(shape=matrices, dtype=dtypes, eps=st.sampled_from([1e-6, 1e-2]), data=st.data())
def test_batch_normalization(backend, shape, dtype, eps, data):
    M, D = shape
    x, dout = data.draw(arrays(M, D)), data.draw(arrays(M, D))
    x += np.arange(D)[None] + np.arange(M)[:, None] % 5  # no column is constant, if there are two rows
    gamma, beta = data.draw(arrays(D)), data.draw(arrays(D))
    x32 = x.astype(np.float32).astype(np.float64)
    mean, var = naive.batch_statistics(x32) if M else (np.zeros(D), np.zeros(D))
    a, b, c, d = (v.astype(dtype) for v in (x32, gamma, beta, dout))
    out, found_mean, found_var = run(backend, "batch_normalization_forward", a, b, c, eps,
                                     outputs=[(M, D), (D,), (D,)])
    tolerance = {"rtol": 1e-3, "atol": 1e-3} if dtype == np.float32 else {"rtol": 1e-7, "atol": 1e-9}
    np.testing.assert_allclose(found_mean, mean, **close(dtype))
    np.testing.assert_allclose(found_var, var, **close(dtype))
    mean, var = found_mean.astype(np.float64), found_var.astype(np.float64)
    wanted = naive.batch_normalization(x32, gamma, beta, mean, var, eps)
    if M != 1:  # where the statistics' rounding is all there is, a small variance makes it large
        np.testing.assert_allclose(out, wanted, **tolerance)
    inference = run(backend, "batch_normalization_inference", a, b, c, found_mean, found_var, eps, outputs=[(M, D)])
    if M != 1:
        np.testing.assert_allclose(inference, wanted, **tolerance)
    if M > 1:
        found = run(backend, "batch_normalization_backward", d, a, b, found_mean, found_var, eps,
                    outputs=[(M, D), (D,), (D,)])
        for one, other in zip(found, naive.batch_normalization_backward(dout, x32, gamma, mean, var, eps), strict=True):
            scale = max(1.0, abs(other).max())
            np.testing.assert_allclose(one / scale, other / scale, **tolerance)
