from __future__ import annotations

import numpy as np
import pytest

from fastconv import dispatch, functions
from fastconv.functions import (
    cross_entropy_error,
    identity_function,
    mean_squared_error,
    relu,
    relu_grad,
    sigmoid,
    sigmoid_grad,
    softmax,
    softmax_loss,
    step_function,
    sum_squared_error,
)


@pytest.fixture(autouse=True, params=dispatch.backends())
def backend(request):
    with dispatch.use(request.param):
        yield


@pytest.fixture
def x():
    return np.random.default_rng(1).normal(0.5, 2, (4, 5))


def test_identity_function(x):
    assert identity_function(x) is x


def test_step_function(x):
    np.testing.assert_array_equal(step_function([-1, 0, 0.5]), [0, 0, 1])
    assert step_function(x).dtype == np.dtype(int)


def test_sigmoid(x):
    np.testing.assert_allclose(sigmoid(x), 1 / (1 + np.exp(-x)), rtol=1e-14)
    np.testing.assert_allclose(sigmoid_grad(x), (1 - sigmoid(x)) * sigmoid(x))
    assert sigmoid(0.0) == 0.5 and np.ndim(sigmoid(0.0)) == 0
    np.testing.assert_allclose(sigmoid([-1000, 0, 1000]), [0, 0.5, 1])


def test_relu_keeps_the_dtype(x):
    np.testing.assert_array_equal(relu(x), np.maximum(0, x))
    np.testing.assert_array_equal(relu([-2, 0, 3]), [0, 0, 3])
    np.testing.assert_array_equal(relu_grad([-2, 0, 3]), [0, 1, 1])
    for dtype in (np.int32, np.float16, np.float32):
        assert relu(x.astype(dtype)).dtype == relu_grad(x.astype(dtype)).dtype == dtype


def test_softmax(x):
    powers = np.exp(x)
    expected = powers / powers.sum(axis=1, keepdims=True)
    np.testing.assert_allclose(softmax(x), expected, rtol=1e-13)
    np.testing.assert_allclose(softmax(x[0]), expected[0], rtol=1e-13)
    np.testing.assert_allclose(softmax(x.tolist()), expected, rtol=1e-13)
    np.testing.assert_allclose(softmax(np.asfortranarray(x)), expected, rtol=1e-13)
    np.testing.assert_allclose(softmax([1010, 1000, 990]), softmax([20, 10, 0]), rtol=1e-5)
    assert softmax(x[:0]).shape == (0, 5)
    with pytest.raises(ValueError, match=r"softmax: x has shape \(\)"):
        softmax(1.0)


def test_squared_error_is_half_the_sum():
    y, t = np.array([0.1, 0.05, 0.6]), np.array([0, 0, 1])
    assert mean_squared_error(y, t) == pytest.approx(0.5 * (0.01 + 0.0025 + 0.16))
    assert sum_squared_error is mean_squared_error
    assert mean_squared_error(np.array([3], np.uint8), np.array([250], np.uint8)) == 0.5 * 247**2


def test_cross_entropy_error(x):
    y, t = softmax(x), np.array([0, 4, 2, 2])
    expected = -np.log(y[np.arange(4), t] + 1e-7).mean()
    assert cross_entropy_error(y, t) == pytest.approx(expected, rel=1e-14)
    assert cross_entropy_error(y, np.eye(5)[t]) == cross_entropy_error(y, t)
    assert cross_entropy_error(y, t.tolist()) == cross_entropy_error(y, t)
    assert softmax_loss(x, t) == pytest.approx(expected, rel=1e-13)


def test_cross_entropy_error_of_one_sample(x):
    y = softmax(x)[0]
    expected = -np.log(y[3] + 1e-7)
    for t in (3, [3], np.array(3), np.eye(5)[3], [0, 0, 0, 1, 0]):
        assert cross_entropy_error(y, t) == pytest.approx(expected)


@pytest.mark.parametrize("huge", [1e200, np.finfo(float).max])
def test_rows_of_huge_numbers_are_labels(huge):
    y, rows = np.array([[0.25, 0.5, 0.25]]), np.array([[1.0, huge, -huge]])
    assert cross_entropy_error(y, rows) == cross_entropy_error(y, np.array([1]))
    for wrong in (np.inf, -np.inf, np.nan):
        rows[0, 2] = wrong
        assert np.isnan(cross_entropy_error(y, rows))


def test_cross_entropy_error_of_nothing_and_of_a_zero():
    assert cross_entropy_error(np.zeros((0, 3)), np.zeros(0, int)) == 0.0
    assert cross_entropy_error(np.array([0.0, 1.0]), 0) == pytest.approx(-np.log(1e-7))


@pytest.mark.parametrize("t", [[0, 1, 2, 5], [0, 1, 2, -1], [[0], [1], [2], [3]], [0, 1]])
def test_labels_that_do_not_fit_are_refused(x, t):
    with pytest.raises(ValueError, match="cross_entropy_error: t has "):
        cross_entropy_error(softmax(x), t)


def test_probabilities_of_another_shape_are_refused():
    with pytest.raises(ValueError, match=r"cross_entropy_error: y has shape \(2, 3, 4\)"):
        cross_entropy_error(np.zeros((2, 3, 4)), [0, 1])


@pytest.mark.parametrize("function", [step_function, sigmoid, relu, relu_grad, softmax])
def test_complex_numbers_and_strings_are_refused(function):
    for wrong in ([1j], ["a"], np.array([1], object)):
        with pytest.raises(TypeError, match=f"{function.__name__}: x has dtype"):
            function(wrong)


@pytest.mark.parametrize("function", [sigmoid, sigmoid_grad, softmax])
@pytest.mark.parametrize("dtype, result", [("f2", "f2"), ("f4", "f4"), ("f8", "f8"), ("i8", "f4")])
def test_dtype(x, function, dtype, result):
    assert function(x.astype(dtype)).dtype == result


def test_arguments_are_not_changed(x):
    before, t = x.copy(), x.argmax(axis=1)
    for function in (identity_function, step_function, sigmoid, sigmoid_grad, relu, relu_grad, softmax):
        function(x)
    for function in (cross_entropy_error, softmax_loss):
        function(np.abs(x), t)
        function(np.abs(x), np.eye(5)[t])
    mean_squared_error(x, x)
    np.testing.assert_array_equal(x, before)


def test_all_names_the_book_s_functions():
    tested = {n for n, value in globals().items() if getattr(value, "__module__", "") == functions.__name__}
    assert tested == set(functions.__all__)
