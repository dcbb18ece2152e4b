from __future__ import annotations

import gradient_check
import naive
import numpy as np
import pytest

from fastconv.layers import Pooling

# x, (pool_h, pool_w), stride, pad, ceil_mode if it is one
GEOMETRIES = {
    "as in the book": ((2, 3, 8, 8), (2, 2), 2, 0),
    "a rest stays over": ((2, 2, 7, 9), (2, 2), 2, 0),
    "windows overlap": ((2, 3, 7, 6), (3, 2), 1, 0),
    "different in h and w": ((1, 2, 9, 5), (4, 2), (3, 1), (2, 1)),
    "padded": ((2, 3, 4, 5), (3, 3), 2, 1),
    "gaps between windows": ((1, 2, 9, 9), (2, 1), 4, 0),
    "one window": ((2, 1, 3, 5), (3, 5), 1, 0),
    "one pixel": ((1, 1, 1, 1), (1, 1), 1, 0),
    "the last windows stick out": ((2, 3, 6, 8), (3, 3), 2, 0, True),
    "they stick out differently in h and w": ((1, 2, 9, 5), (4, 2), (3, 3), (2, 1), True),
    "the window is larger than the image": ((2, 3, 2, 3), (3, 4), (2, 3), 0, True),
    "another window would begin behind the image": ((1, 3, 5, 4), (2, 2), (2, 3), 1, True),
}
every_geometry = pytest.mark.parametrize("geometry", GEOMETRIES.values(), ids=GEOMETRIES)
every_mode = pytest.mark.parametrize("mode", ["max", "average"])


def layer_of(geometry, mode):
    _, window, stride, pad, *ceil_mode = geometry
    return Pooling(*window, stride, pad, mode=mode, ceil_mode=bool(ceil_mode))


def nhwc(x):
    return x.transpose(0, 2, 3, 1)


@every_geometry
@every_mode
@pytest.mark.parametrize("ties", [False, True])
def test_results_are_those_of_the_definition(rng, geometry, mode, ties):
    x = rng.integers(-3, 0, geometry[0]).astype(float) if ties else rng.normal(-5, 1, geometry[0])
    layer = layer_of(geometry, mode)
    out = layer.forward(x)
    dout = rng.normal(0.5, 1, out.shape)
    dx = layer.backward(dout)
    window, stride, pad = (v if isinstance(v, tuple) else (v, v) for v in geometry[1:4])
    ceil_mode = layer.ceil_mode
    if mode == "max":
        expected = naive.max_pooling_forward(nhwc(x), window, stride, pad, ceil_mode)
        dexpected = naive.max_pooling_backward(nhwc(dout), nhwc(x), window, stride, pad, ceil_mode)
        np.testing.assert_array_equal(nhwc(out), expected)
    else:
        expected = naive.average_pooling_forward(nhwc(x), window, stride, pad, ceil_mode)
        dexpected = naive.average_pooling_backward(nhwc(dout), nhwc(x).shape, window, stride, pad, ceil_mode)
    np.testing.assert_allclose(nhwc(out), expected, rtol=0, atol=1e-14)
    np.testing.assert_allclose(nhwc(dx), dexpected, rtol=0, atol=1e-14)


@every_geometry
@every_mode
def test_gradients(rng, geometry, mode):
    x = rng.permutation(np.arange(np.prod(geometry[0])) * 0.1).reshape(geometry[0])  # no two near each other
    gradient_check.check(layer_of(geometry, mode), x)


def test_the_book_s_default_stride_and_attributes(rng):
    layer = Pooling(2, 2)
    assert (layer.pool_h, layer.pool_w, layer.stride, layer.pad) == (2, 2, 2, 0)
    assert layer.x is None and layer.arg_max is None
    x = rng.normal(size=(2, 3, 4, 6))
    out = layer.forward(x)
    assert layer.x is x
    columns = x.reshape(2, 3, 2, 2, 3, 2).transpose(0, 2, 4, 1, 3, 5).reshape(-1, 4)
    np.testing.assert_array_equal(layer.arg_max, columns.argmax(axis=1))
    np.testing.assert_array_equal(nhwc(out).ravel(), columns.max(axis=1))


@pytest.mark.parametrize("value", [0, -1, -np.inf])
def test_arg_max_is_inside_of_the_image(value):
    layer = Pooling(2, 2, 2, 1)
    layer.forward(np.full((1, 1, 2, 2), value))
    assert layer.arg_max.tolist() == [3, 2, 1, 0]  # the only entry of each window that is no padding


def test_arg_max_finds_the_first_of_equals_and_nan():
    layer = Pooling(2, 2)
    layer.forward(np.array([[1.0, 5, 2, np.nan], [5, 5, 7, np.nan]])[None, None])
    assert layer.arg_max.tolist() == [1, 1]


@pytest.mark.parametrize("value", [1.0, -1.0, -np.inf])
def test_arg_max_of_windows_that_stick_out_is_inside_of_the_image(value):
    layer = Pooling(3, 2, 2, ceil_mode=True)
    assert layer.forward(np.full((1, 1, 4, 3), value)).shape == (1, 1, 2, 2)
    assert layer.arg_max.tolist() == [0, 0, 0, 0]
    x = np.arange(12.0).reshape(1, 1, 4, 3)
    layer.forward(x)
    assert layer.arg_max.tolist() == [5, 4, 3, 2]


def test_the_last_windows_stick_out_in_ceil_mode_only():
    x = np.arange(30.0).reshape(1, 1, 5, 6)
    np.testing.assert_array_equal(Pooling(2, 2).forward(x)[0, 0], [[7, 9, 11], [19, 21, 23]])
    np.testing.assert_array_equal(Pooling(2, 2, ceil_mode=True).forward(x)[0, 0],
                                  [[7, 9, 11], [19, 21, 23], [25, 27, 29]])
    average = Pooling(2, 4, (2, 3), mode="average", ceil_mode=True).forward(x)[0, 0]
    np.testing.assert_array_equal(average, [[4.5, 7.0], [16.5, 19.0], [25.5, 28.0]])  # what sticks out does not count


def test_repr_says_ceil_mode():
    assert repr(Pooling(3, 3, 2, ceil_mode=True)) == "Pooling(3x3, stride=2, pad=0, ceil_mode=True)"
    assert repr(Pooling(3, 3, 2, 1, mode="average")) == "Pooling(3x3, stride=2, pad=1, mode='average')"


def test_nan_is_the_maximum_and_takes_the_gradient():
    layer = Pooling(2, 2)
    x = np.array([[1.0, 9], [np.nan, np.nan]])[None, None]
    assert np.isnan(layer.forward(x)).all()
    np.testing.assert_array_equal(layer.backward(np.ones((1, 1, 1, 1))), [[[[0, 0], [1, 0]]]])


def test_average_counts_padding_as_zeros_and_has_no_arg_max():
    layer = Pooling(2, 2, 2, 1, mode="average")
    np.testing.assert_array_equal(layer.forward(np.full((1, 1, 2, 2), 4.0)), np.ones((1, 1, 2, 2)))
    assert layer.arg_max is None


def test_uint8_images(rng):
    x = rng.integers(0, 256, (2, 1, 6, 6), np.uint8)
    out = Pooling(3, 3, 3).forward(x)
    assert out.dtype == np.float32
    np.testing.assert_array_equal(out, x.reshape(2, 1, 2, 3, 2, 3).max(axis=(3, 5)))


@pytest.mark.parametrize("arguments, error, words", [
    ((2, 2, 0), ValueError, "Pooling: stride must be at least 1, got 0"),
    ((0, 2), ValueError, r"Pooling: \(pool_h, pool_w\) must be at least 1"),
    ((2.0, 2), TypeError, r"Pooling: \(pool_h, pool_w\) must be an integer"),
    ((2, 2, 2, -1), ValueError, "Pooling: pad must be at least 0"),
])
def test_a_wrong_setting_is_refused_when_it_is_made(arguments, error, words):
    with pytest.raises(error, match=words):
        Pooling(*arguments)


def test_a_wrong_mode_is_refused():
    with pytest.raises(ValueError, match="mode must be 'max' or 'average', got 'mean'"):
        Pooling(2, 2, mode="mean")


def test_a_wrong_x_is_refused():
    with pytest.raises(ValueError, match=r"Pooling.forward: x has shape \(4, 28, 28\), .* x\[:, None\]"):
        Pooling(2, 2).forward(np.ones((4, 28, 28)))
    with pytest.raises(ValueError, match="a window of 3 x 2 does not fit an input of 2 x 9"):
        Pooling(3, 2).forward(np.ones((1, 1, 2, 9)))
    with pytest.raises(ValueError, match="a window of 5 x 2 does not fit an input of 2 x 9 .* not even with ceil_mode, "
                                         "because the stride is 2 x 2"):
        Pooling(5, 2, ceil_mode=True).forward(np.ones((1, 1, 2, 9)))
    for pad in ((2, 0), (0, 3)):
        with pytest.raises(ValueError, match=r"pad \(\d, \d\) must be smaller than the window \(2, 3\)"):
            Pooling(2, 3, 2, pad).forward(np.ones((1, 1, 8, 9)))
