from __future__ import annotations

import gradient_check
import numpy as np
import pytest

from fastconv.layers import Affine


def layer_of(rng, D, M, dtype=np.float64):
    return Affine(rng.normal(0.3, 1, (D, M)).astype(dtype), rng.normal(-2, 1, M).astype(dtype))


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("N, D, M", [(5, 7, 3), (1, 1, 1), (1, 130, 17), (67, 2, 1), (16, 33, 31)])
def test_results_are_matrix_products(rng, dtype, N, D, M):
    layer = layer_of(rng, D, M, dtype)
    x, dout = rng.normal(0.5, 1, (N, D)).astype(dtype), rng.normal(0.5, 1, (N, M)).astype(dtype)
    W, b, wide_x, wide_dout = (a.astype(np.float64) for a in (layer.W, layer.b, x, dout))
    tolerance = {"rtol": 0, "atol": 500 * np.finfo(dtype).eps}
    np.testing.assert_allclose(layer.forward(x), np.einsum("nd,dm->nm", wide_x, W) + b, **tolerance)
    np.testing.assert_allclose(layer.backward(dout), np.einsum("nm,dm->nd", wide_dout, W), **tolerance)
    np.testing.assert_allclose(layer.dW, np.einsum("nd,nm->dm", wide_x, wide_dout), **tolerance)
    np.testing.assert_allclose(layer.db, wide_dout.sum(axis=0), **tolerance)
    assert layer.dW.flags.c_contiguous


@pytest.mark.parametrize("shape", [(3, 8), (3, 2, 4), (2, 2, 1, 4), (1, 2, 2, 2, 1)])
def test_gradients(rng, shape):
    gradient_check.check(layer_of(rng, 8, 5), rng.normal(0.5, 1, shape), ("W", "b"))


def test_images_are_flattened_in_the_order_channel_row_column(rng):
    x = rng.normal(size=(2, 3, 4, 5)).astype(np.float32)
    layer = layer_of(rng, 60, 7, np.float32)
    expected = layer.forward(x.reshape(2, 60))
    channels_last = np.ascontiguousarray(x.transpose(0, 2, 3, 1)).transpose(0, 3, 1, 2)
    np.testing.assert_array_equal(layer.forward(channels_last), expected)
    assert layer.original_x_shape == (2, 3, 4, 5)
    np.testing.assert_array_equal(layer.x, x.reshape(2, 60))
    assert layer.backward(expected).shape == (2, 3, 4, 5)


@pytest.mark.parametrize("b", [None, 0.5, np.ones(1), np.arange(5.0)[None]])
def test_bias_may_be_missing_or_broadcast(rng, b):
    x = rng.normal(size=(3, 8))
    layer = layer_of(rng, 8, 5)
    layer.b = b
    out = layer.forward(x)
    np.testing.assert_allclose(out, x @ layer.W + (0 if b is None else b))
    layer.backward(np.ones_like(out))
    if b is None:
        assert layer.db is None
    else:
        assert np.shape(layer.db) == np.shape(b) and np.sum(layer.db) == 15


def test_need_dx_false_skips_the_data_gradient(rng):
    layer = layer_of(rng, 8, 5)
    out = layer.forward(rng.normal(size=(3, 8)))
    layer.backward(out)
    dW = layer.dW
    layer.dW = None
    assert layer.backward(out, need_dx=False) is None
    np.testing.assert_array_equal(layer.dW, dW)


def test_parameters_are_read_at_every_forward(rng):
    layer, x = layer_of(rng, 8, 5), rng.normal(size=(3, 8))
    before = layer.forward(x)
    layer.W *= 2
    layer.b = layer.b * 2
    np.testing.assert_allclose(layer.forward(x), 2 * before)


def test_the_book_s_attributes():
    layer = Affine(np.ones((2, 3)), np.ones(3))
    assert all(getattr(layer, name) is None for name in ("x", "original_x_shape", "dW", "db"))


@pytest.mark.parametrize("shape, words", [
    ((9, 1, 28, 28), r"x has shape \(9, 1, 28, 28\), so 784 values a sample, expected 50: W has"),
    ((50,), r"for one sample: x\[None\]"),
    ((3, 10), "W looks transposed: W.T"),
    ((), "x is a scalar"),
])
def test_a_wrong_x_is_refused_with_the_likely_cause(shape, words):
    with pytest.raises(ValueError, match="Affine.forward: .*" + words):
        Affine(np.ones((50, 10)), np.ones(10)).forward(np.ones(shape))


def test_wrong_parameters_are_refused():
    with pytest.raises(ValueError, match=r"Affine.forward: W has shape \(3,\), expected \(D, M\)"):
        Affine(np.ones(3), None).forward(np.ones((2, 3)))
    with pytest.raises(ValueError, match=r"b has shape \(2, 2\), expected \(4,\) or a scalar"):
        Affine(np.ones((3, 4)), np.ones((2, 2))).forward(np.ones((2, 3)))
