"""Relu, sigmoid and dropout of arrays of any shape, with special values, against their definitions."""
from __future__ import annotations

import naive
import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from kernels.harness import assert_close, run
from properties.strategies import arrays, dtypes, every_backend

shapes = st.lists(st.integers(0, 7), max_size=4).map(tuple) | st.sampled_from([(1001,), (3, 333), (2, 3, 5, 67)])


def each(function, *given_arrays):
    values = [function(*numbers) for numbers in zip(*(a.ravel().tolist() for a in given_arrays), strict=True)]
    return np.array(values, np.float64).reshape(given_arrays[0].shape)


@every_backend
@given(shape=shapes, dtype=dtypes, data=st.data())
def test_relu(backend, shape, dtype, data):
    x, dout = data.draw(arrays(*shape, dtype=dtype)), data.draw(arrays(*shape, dtype=dtype))
    if x.size:
        x.flat[data.draw(st.integers(0, x.size - 1))] = data.draw(st.sampled_from([np.nan, np.inf, -np.inf, -0.0]))
    out = run(backend, "relu_forward", x, outputs=[shape])
    np.testing.assert_array_equal(out, each(naive.relu_forward, x))
    np.testing.assert_array_equal(run(backend, "relu_backward", dout, out, outputs=[shape]),
                                  each(naive.relu_backward, dout, out))


@every_backend
@given(shape=shapes, dtype=dtypes, scale=st.sampled_from([1, 30, 200]), data=st.data())
def test_sigmoid(backend, shape, dtype, scale, data):
    x = np.asarray(data.draw(arrays(*shape, dtype=dtype)) * dtype(scale))
    dout = data.draw(arrays(*shape, dtype=dtype))
    out, eps = run(backend, "sigmoid_forward", x, outputs=[shape]), np.finfo(dtype).eps
    expected = each(naive.sigmoid_forward, x)
    assert_close(out, expected, (8 + abs(x.astype(np.float64))) * eps * expected)
    dx = run(backend, "sigmoid_backward", dout, out, outputs=[shape])
    expected = each(naive.sigmoid_backward, dout, out)
    assert_close(dx, expected, 4 * eps * abs(expected))


@every_backend
@given(shape=shapes, dtype=dtypes, ratio=st.floats(0, 1), key=st.integers(0, 2**64 - 1), data=st.data())
def test_dropout(backend, shape, dtype, ratio, key, data):
    x = data.draw(arrays(*shape, dtype=dtype))
    mask, out = run(backend, "dropout_forward", x, key, ratio, outputs=[np.zeros(shape, bool), shape])
    kept = [word > ratio * 2.0**32 for word in naive.dropout_words(key, 0, x.size)]
    np.testing.assert_array_equal(mask, np.reshape(kept, shape).astype(bool))
    np.testing.assert_array_equal(out, x * mask)
    np.testing.assert_array_equal(run(backend, "dropout_backward", x, mask, outputs=[shape]), x * mask)
