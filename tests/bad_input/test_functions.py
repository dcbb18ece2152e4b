"""fastconv.functions, fastconv.util and fastconv.gradient with what they cannot take."""
from __future__ import annotations

import numpy as np
import pytest
from bad_input.values import NO_NUMBERS, WORDS, images

from fastconv import functions, util
from fastconv.gradient import numerical_gradient, numerical_gradient_2d

pytestmark = pytest.mark.usefixtures("backend")
rows = np.ones((5, 7), np.float32)
wrong = pytest.mark.parametrize("value", NO_NUMBERS.values(), ids=NO_NUMBERS)

CALLS = {
    **{name: getattr(functions, name) for name in ("sigmoid", "sigmoid_grad", "relu", "relu_grad", "softmax",
                                                   "step_function")},
    "sum_squared_error y": lambda v: functions.sum_squared_error(v, rows),
    "sum_squared_error t": lambda v: functions.sum_squared_error(rows, v),
    "cross_entropy_error y": lambda v: functions.cross_entropy_error(v, [0]),
    "cross_entropy_error t": lambda v: functions.cross_entropy_error(rows, v),
    "softmax_loss X": lambda v: functions.softmax_loss(v, [0]),
    "softmax_loss t": lambda v: functions.softmax_loss(rows, v),
    "smooth_curve": util.smooth_curve,
    "im2col": lambda v: util.im2col(v, 2, 2),
    "col2im": lambda v: util.col2im(v, (1, 1, 2, 2), 2, 2),
    "numerical_gradient": lambda v: numerical_gradient(float, v),
    "numerical_gradient_2d": lambda v: numerical_gradient_2d(float, v),
    "numerical_gradient f": lambda v: numerical_gradient(lambda x: v, np.ones(3)),
}


@wrong
@pytest.mark.parametrize("name", CALLS)
def test_no_numbers(name, value):
    if name.startswith("numerical_gradient") and isinstance(value, np.ma.MaskedArray) and not name.endswith("f"):
        pytest.skip("a gradient leaves what is masked as it is")
    place = name.split()[0].removesuffix("_2d").removesuffix("_grad").replace("softmax_loss", "(softmax|cross_entropy)")
    with pytest.raises((TypeError, ValueError), match=rf"^{place}\w*: .*({WORDS}|must be)"):
        CALLS[name](value)


@pytest.mark.parametrize("call, words", [
    (lambda: functions.softmax(3.0), r"softmax: x has shape \(\)"),
    (lambda: functions.softmax(np.ones((3, 0))), r"softmax: x has shape \(3, 0\)"),
    (lambda: functions.sum_squared_error(np.ones(5), np.ones((5, 1))), "sum_squared_error: .* nothing is broadcast"),
    (lambda: functions.cross_entropy_error(rows, [0, 1, 2, 3, 7]), "labels from 0 to 7, expected 0 to 6"),
    (lambda: functions.cross_entropy_error(rows, [0, 1, 2, 3, -1]), "labels from -1 to 3, expected 0 to 6"),
    (lambda: functions.cross_entropy_error(rows, np.ones(5)), "the labels are floating-point"),
    (lambda: functions.cross_entropy_error(np.ones((1, 2, 3)), [0]), "y has shape"),
    (lambda: functions.cross_entropy_error(images(5, 2**31), [2**31] * 5), "expected 0 to 2147483647"),
    (lambda: util.smooth_curve(rows), "smooth_curve: x has shape"),
    (lambda: util.shuffle_dataset(rows, [1]), "the same number of samples"),
    (lambda: util.shuffle_dataset(1.0, 1.0), "the same number of samples"),
    (lambda: util.im2col(rows, 2, 2), r"im2col: x has shape \(5, 7\)"),
    (lambda: util.im2col(images(1, 1, 3, 3), 4, 3), "a window of 4 x 3 does not fit"),
    (lambda: util.col2im(rows, (1, 1, 3, 3), 2, 2), r"col2im: col has shape \(5, 7\), expected \(4, 4\)"),
    (lambda: util.col2im(rows, (1, 3, 3), 2, 2), "col2im: input_shape is"),
    (lambda: util.col2im(rows, None, 2, 2), "col2im: input_shape is"),
    (lambda: util.col2im(rows, (1, 1, -3, 3), 2, 2), "each of input_shape must be at least 0"),
    (lambda: util.conv_output_size(-1, 1), "conv_output_size: input_size must be at least 0"),
    (lambda: util.conv_output_size(3, 1, 0), "conv_output_size: stride must be at least 1"),
    (lambda: util.conv_output_size(3, 5), "a window of 5 does not fit"),
])
def test_shapes_that_do_not_fit(call, words):
    with pytest.raises(ValueError, match=words):
        call()


@pytest.mark.parametrize("call, words", [
    (lambda: util.conv_output_size(True, 1), "input_size must be an integer"),
    (lambda: util.conv_output_size(3.0, 1), "input_size must be an integer"),
    (lambda: util.conv_output_size(3, 1, "1"), "stride must be an integer"),
    (lambda: util.col2im(rows, (1, 1, 3.0, 3), 2, 2), "each of input_shape must be an integer"),
    (lambda: util.shuffle_dataset(rows, rows, rng=3), "shuffle_dataset: rng must be"),
    (lambda: util.shuffle_dataset([[1], [1, 2]], rows), "makes no array"),
])
def test_kinds_that_do_not_fit(call, words):
    with pytest.raises((TypeError, ValueError), match=words):
        call()


def test_empty_arrays_are_arrays():
    for function in (functions.sigmoid, functions.relu, functions.relu_grad, functions.step_function):
        assert function(np.ones((0, 3))).shape == (0, 3)
    assert functions.softmax(np.ones((0, 3))).shape == (0, 3)
    assert functions.cross_entropy_error(np.ones((0, 3)), np.ones(0, int)) == 0
    assert util.smooth_curve([]).shape == (0,)
    assert [a.shape for a in util.shuffle_dataset(np.ones((0, 3)), [])] == [(0, 3), (0,)]


@pytest.mark.parametrize("shape", [(2**42,), (2**21, 2**21)])
@pytest.mark.parametrize("name", ["sigmoid", "relu", "relu_grad", "softmax", "step_function"])
def test_more_than_this_memory(name, shape):
    with pytest.raises(MemoryError, match="Unable to allocate"):
        getattr(functions, name)(images(*shape))
