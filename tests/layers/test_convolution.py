from __future__ import annotations

import gradient_check
import naive
import numpy as np
import pytest

from fastconv.layers import Convolution
from fastconv.util import im2col

# x, filters, stride, pad, dilation, groups
GEOMETRIES = {
    "as in the book": ((2, 3, 7, 7), (4, 3, 3, 3), 1, 1, 1, 1),
    "stride does not divide": ((2, 1, 8, 7), (3, 1, 3, 2), 3, 0, 1, 1),
    "different in h and w": ((1, 2, 6, 9), (3, 2, 2, 4), (2, 3), (0, 2), (3, 1), 1),
    "pad above the filter": ((2, 2, 3, 2), (2, 2, 2, 2), 1, 3, 1, 1),
    "filter as large as the image": ((3, 2, 5, 4), (7, 2, 5, 4), 1, 0, 1, 1),
    "1 x 1": ((2, 5, 3, 3), (6, 5, 1, 1), 1, 0, 1, 1),
    "groups": ((2, 6, 5, 4), (9, 2, 3, 2), (1, 2), 1, 1, 3),
    "depthwise, dilated": ((1, 5, 7, 6), (5, 1, 3, 2), 1, (2, 1), 2, 5),
    "one pixel": ((1, 1, 1, 1), (1, 1, 1, 1), 2, 0, 1, 1),
}
every_geometry = pytest.mark.parametrize("geometry", GEOMETRIES.values(), ids=GEOMETRIES)


def layer_and_x(rng, geometry, dtype=np.float64):
    x_shape, w_shape, stride, pad, dilation, groups = geometry
    W = rng.normal(0.3, 1, w_shape).astype(dtype)
    b = rng.normal(-2, 1, w_shape[0]).astype(dtype)
    layer = Convolution(W, b, stride, pad, dilation=dilation, groups=groups)
    return layer, rng.normal(0.7, 1, x_shape).astype(dtype)


def pairs(layer):
    settings = (layer.stride, layer.pad, layer.dilation)
    return [*(v if isinstance(v, tuple) else (v, v) for v in settings), layer.groups]


@every_geometry
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_all_results_are_the_textbook_sums(rng, geometry, dtype):
    layer, x = layer_and_x(rng, geometry, dtype)
    out = layer.forward(x)
    nhwc = x.transpose(0, 2, 3, 1)
    expected = naive.convolution_forward(nhwc, layer.W, layer.b, *pairs(layer))
    tolerance = {"rtol": 0, "atol": 300 * np.finfo(dtype).eps}
    np.testing.assert_allclose(out, expected.transpose(0, 3, 1, 2), **tolerance)

    dout = rng.normal(0.4, 1, out.shape).astype(dtype)
    dx = layer.backward(dout)
    rows = dout.transpose(0, 2, 3, 1)
    expected = naive.convolution_backward_data(rows, layer.W, nhwc.shape, *pairs(layer))
    np.testing.assert_allclose(dx, expected.transpose(0, 3, 1, 2), **tolerance)
    dW, db = naive.convolution_backward_weight(nhwc, rows, layer.W.shape, *pairs(layer))
    np.testing.assert_allclose(layer.dW, dW, **tolerance)
    np.testing.assert_allclose(layer.db, db, **tolerance)
    assert layer.dW.flags.c_contiguous


@every_geometry
def test_gradients(rng, geometry):
    layer, x = layer_and_x(rng, geometry)
    gradient_check.check(layer, x, ("W", "b"))


@pytest.mark.parametrize("b", [None, 0.5, 2, np.float64(-1), np.array(3.0), np.ones(1), np.arange(4.0)[None]])
def test_bias_may_be_missing_or_broadcast(rng, b):
    layer, x = layer_and_x(rng, GEOMETRIES["as in the book"])
    layer.b = np.zeros(4)
    plain = layer.forward(x)
    layer.backward(np.ones_like(plain))
    expected = layer.db

    layer.b = b
    np.testing.assert_allclose(layer.forward(x), plain + np.reshape(0.0 if b is None else b, (1, -1, 1, 1)))
    layer.backward(np.ones_like(plain))
    if b is None:
        assert layer.db is None
    else:
        assert np.shape(layer.db) == np.shape(b)
        np.testing.assert_allclose(np.sum(layer.db), expected.sum())


def test_a_python_number_as_bias_leaves_float32_alone(rng):
    layer, x = layer_and_x(rng, GEOMETRIES["as in the book"], np.float32)
    layer.b = 0.25
    out = layer.forward(x)
    layer.backward(out)
    assert out.dtype == layer.dW.dtype == layer.db.dtype == np.float32


@pytest.mark.parametrize("dtypes, expected", [
    ((np.float16, np.float16, np.float16), np.float16),
    ((np.float16, np.float32, np.float16), np.float32),
    ((np.float32, np.float32, np.float64), np.float64),
    ((np.uint8, np.float32, np.float32), np.float32),
    ((np.uint8, np.float64, np.float64), np.float64),
    ((np.uint8, np.int64, np.int64), np.float32),
    ((np.float32, np.float64, np.float64), np.float64),
    ((">f4", "<f4", ">f4"), np.float32),
])
def test_dtype_promotion(dtypes, expected):
    shapes = (1, 2, 3, 3), (3, 2, 2, 2), (3,)
    x, W, b = (np.ones(shape, dtype) for shape, dtype in zip(shapes, dtypes, strict=True))
    layer = Convolution(W, b)
    out = layer.forward(x)
    dx = layer.backward(out)
    assert out.dtype == dx.dtype == layer.dW.dtype == layer.db.dtype == np.dtype(expected)
    np.testing.assert_array_equal(out, np.full((1, 3, 2, 2), 9))


def test_need_dx_false_skips_the_data_gradient(rng):
    layer, x = layer_and_x(rng, GEOMETRIES["as in the book"])
    out = layer.forward(x)
    layer.backward(out)
    dW, db = layer.dW, layer.db
    layer.dW = layer.db = None
    assert layer.backward(out, need_dx=False) is None
    np.testing.assert_array_equal(layer.dW, dW)
    np.testing.assert_array_equal(layer.db, db)


def test_parameters_are_read_at_every_forward(rng):
    layer, x = layer_and_x(rng, GEOMETRIES["as in the book"])
    before = layer.forward(x)
    layer.W *= 2
    layer.b *= 2
    np.testing.assert_allclose(layer.forward(x), 2 * before)
    layer.W, layer.b = layer.W * 2, layer.b * 2
    np.testing.assert_allclose(layer.forward(x), 4 * before)
    layer.stride = (2, 3)
    np.testing.assert_allclose(layer.forward(x), 4 * before[:, :, ::2, ::3])


def test_a_channels_last_input_is_not_copied(rng):
    x = np.zeros((2, 5, 6, 3), np.float32).transpose(0, 3, 1, 2)
    layer = Convolution(np.zeros((4, 3, 2, 2), np.float32), np.zeros(4, np.float32))
    out = layer.forward(x)
    assert np.shares_memory(layer._x, x)
    assert layer.x is x
    following = Convolution(np.zeros((2, 4, 1, 1), np.float32), None)
    following.forward(out)
    assert np.shares_memory(following._x, out)


def test_the_books_attributes(rng):
    layer, x = layer_and_x(rng, ((2, 3, 7, 5), (4, 3, 3, 2), 2, 1, 1, 1))
    assert all(getattr(layer, name) is None for name in ("x", "col", "col_W", "dW", "db"))
    out = layer.forward(x)
    np.testing.assert_array_equal(layer.col, im2col(x, 3, 2, 2, 1))
    product = layer.col @ layer.col_W + layer.b
    np.testing.assert_allclose(out, product.reshape(2, 4, 3, 4).transpose(0, 3, 1, 2))
    assert (layer.stride, layer.pad) == (2, 1)


def test_col_of_a_dilated_convolution(rng):
    layer, x = layer_and_x(rng, GEOMETRIES["different in h and w"])
    out = layer.forward(x)
    product = layer.col @ layer.col_W + layer.b
    np.testing.assert_allclose(out.transpose(0, 2, 3, 1).reshape(product.shape), product)


@pytest.mark.parametrize("shape, words", [
    ((8, 28, 28, 1), r"x has shape \(8, 28, 28, 1\), expected \(N, C, H, W\) with C = 1; it looks NHWC: "
                     r"x.transpose\(0, 3, 1, 2\)"),
    ((8, 28, 28), r"add the channel axis: x\[:, None\]"),
    ((8, 784), r"flattened: x.reshape\(-1, 1, 28, 28\)"),
    ((28, 29), r"one gray image: x\[None, None\]"),
    ((8, 3, 28, 28), r"with C = 1; W has shape \(2, 1, 5, 5\)$"),
    ((784,), r"x has shape \(784,\)"),
    ((8, 1, 4, 28), r"a window of 5 x 5 does not fit an input of 4 x 28 with pad 0 x 0"),
])
def test_a_wrong_x_is_refused_with_the_likely_cause(shape, words):
    with pytest.raises(ValueError, match="Convolution.forward: .*" + words):
        Convolution(np.ones((2, 1, 5, 5)), np.ones(2)).forward(np.ones(shape))


def test_a_missing_batch_axis_is_named():
    with pytest.raises(ValueError, match=r"with C = 3; add the batch axis: x\[None\]"):
        Convolution(np.ones((2, 3, 5, 5)), np.ones(2)).forward(np.ones((3, 8, 8)))


@pytest.mark.parametrize("arguments, error, words", [
    ({"stride": 0}, ValueError, "stride must be at least 1, got 0"),
    ({"stride": (1, -1)}, ValueError, r"stride must be at least 1, got \(1, -1\)"),
    ({"stride": 1.5}, TypeError, r"stride must be an integer or a tuple \(h, w\) of integers, got 1.5"),
    ({"pad": -1}, ValueError, "pad must be at least 0, got -1"),
    ({"pad": (1, 1, 1)}, ValueError, r"pad must be an integer or a tuple \(h, w\), got \(1, 1, 1\)"),
    ({"dilation": 0}, ValueError, "dilation must be at least 1"),
    ({"groups": 0}, ValueError, "groups must be at least 1"),
    ({"groups": (1, 2)}, TypeError, r"groups must be an integer, got \(1, 2\)"),
])
def test_a_wrong_setting_is_refused_when_it_is_made(arguments, error, words):
    with pytest.raises(error, match="Convolution: " + words):
        Convolution(np.ones((2, 1, 5, 5)), np.ones(2), **arguments)


def test_a_setting_is_checked_again_when_it_was_changed():
    layer = Convolution(np.ones((2, 1, 5, 5)), np.ones(2))
    layer.stride = 0
    with pytest.raises(ValueError, match="Convolution: stride must be at least 1"):
        layer.forward(np.ones((1, 1, 9, 9)))


def test_wrong_parameters_are_refused():
    x = np.ones((1, 2, 5, 5))
    with pytest.raises(ValueError, match=r"3 filters cannot be cut into 2 equal groups"):
        Convolution(np.ones((3, 1, 2, 2)), None, groups=2).forward(x)
    with pytest.raises(ValueError, match=r"with C = 4; W has shape \(2, 2, 2, 2\) and groups is 2"):
        Convolution(np.ones((2, 2, 2, 2)), None, groups=2).forward(x)
    with pytest.raises(ValueError, match=r"W has shape \(3, 2, 2\), expected \(FN, C, FH, FW\)"):
        Convolution(np.ones((3, 2, 2)), None).forward(x)
    with pytest.raises(ValueError, match=r"b has shape \(2,\), expected \(3,\) or a scalar"):
        Convolution(np.ones((3, 2, 2, 2)), np.ones(2)).forward(x)
    with pytest.raises(TypeError, match="W has dtype complex128"):
        Convolution(np.ones((3, 2, 2, 2), complex), None).forward(x)
