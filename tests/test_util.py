from __future__ import annotations

import naive
import numpy as np
import pytest
from layers.layouts import layouts

from fastconv import dispatch, shapes, util
from fastconv.util import col2im, im2col, shuffle_dataset, smooth_curve


@pytest.fixture(autouse=True, params=dispatch.backends())
def backend(request):
    with dispatch.use(request.param):
        yield


GEOMETRIES = [
    ((2, 3, 7, 5), (3, 3), 1, 0),
    ((1, 1, 28, 28), (5, 5), 2, 1),
    ((2, 2, 6, 9), (2, 4), (3, 2), (2, 1)),
    ((3, 1, 4, 4), (4, 4), 1, 0),
    ((2, 3, 5, 4), (1, 1), 3, 0),
    ((0, 3, 5, 4), (2, 2), 1, 0),
]
every_geometry = pytest.mark.parametrize("shape, size, stride, pad", GEOMETRIES)


def pairs(size, stride, pad):
    return [v if isinstance(v, tuple) else (v, v) for v in (size, stride, pad)]


@every_geometry
@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64, np.uint8])
def test_im2col(shape, size, stride, pad, dtype):
    x = np.random.default_rng(1).integers(1, 200, shape).astype(dtype)
    expected = naive.im2col(x, *pairs(size, stride, pad))
    for name, other in layouts(x).items():
        before = other.tobytes()
        col = im2col(other, *size, stride, pad)
        np.testing.assert_array_equal(col, expected, err_msg=name)
        assert col.dtype == (np.float32 if dtype == np.uint8 else dtype)
        assert other.tobytes() == before


@every_geometry
@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
def test_col2im(shape, size, stride, pad, dtype):
    columns = naive.im2col(np.zeros(shape), *pairs(size, stride, pad)).shape
    col = np.random.default_rng(1).integers(1, 20, columns).astype(dtype)
    expected = naive.col2im(col, shape, *pairs(size, stride, pad))
    for name, other in layouts(col).items():
        dx = col2im(other, shape, *size, stride, pad)
        np.testing.assert_array_equal(dx, expected, err_msg=name)
        assert dx.dtype == dtype and dx.flags.c_contiguous


def test_col2im_takes_the_rows_in_any_shape_as_in_the_book():
    col = np.arange(2 * 2 * 2 * 9.0).reshape(8, 9)
    expected = col2im(col, (2, 1, 4, 4), 3, 3)
    np.testing.assert_array_equal(col2im(col.reshape(2, 2, 2, 9), [2, 1, 4, 4], 3, 3), expected)


@pytest.mark.parametrize("call, error, words", [
    (lambda: im2col(np.ones((3, 4, 4)), 2, 2), ValueError, r"im2col: x has shape \(3, 4, 4\)"),
    (lambda: im2col(np.ones((1, 1, 4, 4)), 5, 3), ValueError,
     "im2col: a window of 5 x 3 does not fit an input of 4 x 4"),
    (lambda: im2col(np.ones((1, 1, 4, 4)), 2, 2, 0), ValueError, "im2col: stride must be at least 1"),
    (lambda: im2col(np.ones((1, 1, 4, 4), complex), 2, 2), TypeError, "im2col: input_data has dtype complex"),
    (lambda: col2im(np.ones((9, 5)), (1, 1, 4, 4), 2, 2), ValueError,
     r"col2im: col has shape \(9, 5\), expected \(9, 4\) for images \(1, 1, 4, 4\)"),
    (lambda: col2im(np.ones((9, 4)), (1, 4, 4), 2, 2), ValueError,
     r"col2im: input_shape is \(1, 4, 4\), expected \(N, C, H, W\)"),
    (lambda: col2im(np.ones((9, 4)), (1, 1, 4.0, 4), 2, 2), TypeError,
     "col2im: each of input_shape must be an integer, got 4.0"),
])
def test_wrong_arguments_are_refused(call, error, words):
    with pytest.raises(error, match=words):
        call()


def test_conv_output_size_is_here_too():
    assert util.conv_output_size is shapes.conv_output_size


@pytest.mark.parametrize("n", [0, 1, 2, 3, 5, 6, 11, 12, 200])
def test_smooth_curve_is_a_weighted_mean_over_eleven_mirrored_points(n):
    x = np.random.default_rng(2).normal(3, 1, n)
    smooth = smooth_curve(x)
    assert smooth.shape == (n,)
    if n < 6:  # short curves are mirrored more than once: the weights still add up to one
        np.testing.assert_allclose(smooth_curve(np.full(n, 7)), np.full(n, 7.0))
        return
    weights = np.kaiser(11, 2)
    mirrored = [*x[5:0:-1], *x, *x[:-6:-1]]
    expected = [np.dot(weights, mirrored[i : i + 11]) / weights.sum() for i in range(n)]
    np.testing.assert_allclose(smooth, expected)


def test_smooth_curve_takes_lists_and_refuses_tables():
    np.testing.assert_allclose(smooth_curve([2] * 20), np.full(20, 2.0))
    with pytest.raises(ValueError, match=r"smooth_curve: x has shape \(2, 2\), expected one axis"):
        smooth_curve(np.ones((2, 2)))


@pytest.mark.parametrize("shape", [(9,), (9, 4), (9, 1, 2, 2), (9, 3, 2)])
def test_shuffle_dataset_moves_samples_and_labels_together(shape):
    x, t = np.arange(np.prod(shape)).reshape(shape), np.arange(9)
    np.random.seed(4)
    shuffled, labels = shuffle_dataset(x, t)
    np.random.seed(4)
    np.testing.assert_array_equal(labels, np.random.permutation(9))
    np.testing.assert_array_equal(shuffled, x[labels])
    assert t.tolist() == list(range(9))
    again = shuffle_dataset(x, t, rng=np.random.default_rng(1))
    np.testing.assert_array_equal(again[1], np.random.default_rng(1).permutation(9))


def test_shuffle_dataset_refuses_unequal_numbers():
    with pytest.raises(ValueError, match=r"x has shape \(3, 2\) and t \(4,\), expected the same number"):
        shuffle_dataset(np.ones((3, 2)), np.ones(4))
