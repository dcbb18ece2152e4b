from __future__ import annotations

import gradient_check
import naive
import numpy as np
import pytest

from fastconv.layers import SoftmaxWithLoss


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("N, K", [(1, 1), (1, 10), (7, 3), (100, 10), (3, 67)])
def test_loss_and_gradient(rng, dtype, N, K):
    x, t = rng.normal(5, 3, (N, K)).astype(dtype), rng.integers(0, K, N)
    layer = SoftmaxWithLoss()
    loss = layer.forward(x, t)
    y, losses = naive.softmax_loss(x.astype(np.float64), t)
    tolerance = {"rtol": 20 * np.finfo(dtype).eps, "atol": 20 * np.finfo(dtype).eps}
    assert type(loss) is float and loss == layer.loss
    np.testing.assert_allclose(loss, losses.mean(), **tolerance)
    np.testing.assert_allclose(layer.y, y, **tolerance)
    np.testing.assert_allclose(layer.backward(), naive.softmax_loss_backward(y, t), **tolerance)


def test_gradient_is_that_of_the_loss_without_its_1e_7(rng):
    x, t = rng.normal(0, 1, (4, 5)), np.array([0, 4, 2, 2])
    layer = SoftmaxWithLoss()

    def logarithms():
        rows = np.exp(x)
        return float(-np.log(rows[np.arange(4), t] / rows.sum(1)).mean())

    layer.forward(x, t)
    assert gradient_check.relative_error(layer.backward(), gradient_check.numerical(logarithms, x)) < 1e-10


def test_backward_ignores_dout(rng):
    layer = SoftmaxWithLoss()
    layer.forward(rng.normal(size=(3, 4)), [0, 1, 2])
    np.testing.assert_array_equal(layer.backward(5), layer.backward())


@pytest.mark.parametrize("dtype", [np.uint8, np.int32, np.int64, np.uint64, ">i8"])
def test_labels_of_any_integer_dtype(rng, dtype):
    x, t = rng.normal(size=(5, 4)), np.array([3, 0, 2, 2, 1])
    layer = SoftmaxWithLoss()
    expected = layer.forward(x, t), layer.backward()
    labels = t.astype(dtype)
    assert layer.forward(x, labels) == expected[0]
    assert layer.t is labels
    np.testing.assert_array_equal(layer.backward(), expected[1])


@pytest.mark.parametrize("dtype", [np.uint8, np.float32, np.float64, bool])
def test_one_hot_rows_are_the_same_as_labels(rng, dtype):
    x, t = rng.normal(size=(5, 4)), np.array([3, 0, 2, 2, 1])
    layer = SoftmaxWithLoss()
    expected = layer.forward(x, t), layer.backward()
    assert layer.forward(x, np.eye(4)[t].astype(dtype)) == expected[0]
    np.testing.assert_array_equal(layer.backward(), expected[1])


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_soft_rows_are_taken_as_in_the_book(rng, dtype):
    x, t = rng.normal(size=(5, 4)).astype(dtype), np.array([3, 0, 2, 2, 1])
    soft = np.eye(4)[t] * 0.9 + 0.025
    layer = SoftmaxWithLoss()
    expected = layer.forward(x, t)
    assert layer.forward(x, soft) == expected
    dx = layer.backward()
    assert dx.dtype == dtype
    np.testing.assert_allclose(dx, (layer.y - soft) / 5, rtol=1e-5, atol=1e-7)


@pytest.mark.parametrize("soft", [False, True])
@pytest.mark.parametrize("smoothing", [0.1, 0.75, 1.0])
def test_label_smoothing_is_the_cross_entropy_of_smoothed_rows(rng, smoothing, soft):
    x, t = rng.normal(1, 2, (4, 5)), np.array([0, 4, 2, 2])
    rows = rng.dirichlet(np.ones(5), 4) if soft else np.eye(5)[t]
    layer = SoftmaxWithLoss(label_smoothing=smoothing)

    def cross_entropy():
        total = 0.0
        for n in range(4):
            logarithm = np.log(np.exp(x[n]).sum())
            total -= sum(((1 - smoothing) * rows[n, k] + smoothing / 5) * (x[n, k] - logarithm) for k in range(5))
        return total / 4

    for labels in (rows,) if soft else (rows, t):
        assert layer.forward(x, labels) == layer.loss == pytest.approx(cross_entropy(), rel=1e-13)
        assert gradient_check.relative_error(layer.backward(), gradient_check.numerical(cross_entropy, x)) < 1e-10


def test_label_smoothing_in_float32_has_a_loss_where_probabilities_underflow():
    layer = SoftmaxWithLoss(0.5)
    assert 0.25 * 87 < layer.forward(np.array([[0.0, 1e4]], np.float32), [1]) < 0.25 * 88
    dx = layer.backward()
    assert dx.dtype == np.float32
    np.testing.assert_array_equal(dx, [[-0.25, 0.25]])


def test_no_label_smoothing_changes_nothing(rng):
    x, t = rng.normal(size=(5, 4)).astype(np.float32), np.array([3, 0, 2, 2, 1])
    plain, layer = SoftmaxWithLoss(), SoftmaxWithLoss(label_smoothing=0)
    for labels in (t, np.eye(4)[t], np.eye(4)[t] * 0.9 + 0.025):
        assert plain.forward(x, labels) == layer.forward(x, labels)
        assert plain.backward().tobytes() == layer.backward().tobytes()
    assert repr(layer) == "SoftmaxWithLoss()" and repr(SoftmaxWithLoss(0.1)) == "SoftmaxWithLoss(label_smoothing=0.1)"


def test_an_empty_batch_has_no_loss_with_label_smoothing():
    layer = SoftmaxWithLoss(0.1)
    assert layer.forward(np.zeros((0, 4)), []) == 0.0
    assert layer.backward().shape == (0, 4)


@pytest.mark.parametrize("wrong, error", [(-0.1, ValueError), (1.5, ValueError), (np.nan, ValueError),
                                          ("a", TypeError)])
def test_a_wrong_label_smoothing_is_refused(wrong, error):
    with pytest.raises(error, match="SoftmaxWithLoss: label_smoothing must be"):
        SoftmaxWithLoss(wrong)


def test_rows_that_merely_count_like_one_hot_rows_are_soft():
    layer = SoftmaxWithLoss()
    layer.forward(np.zeros((2, 2)), np.array([[2.0, 0.0], [0.0, 1.0]]))
    np.testing.assert_allclose(layer.backward(), [[-0.75, 0.25], [0.25, -0.25]])


def test_one_label_for_one_sample_may_have_two_axes_as_in_the_book_s_gradient_check(rng):
    x = rng.normal(size=(1, 10))
    layer = SoftmaxWithLoss()
    expected = layer.forward(x, [3]), layer.backward()
    assert layer.forward(x, np.array([[3]])) == expected[0]
    np.testing.assert_array_equal(layer.backward(), expected[1])
    with pytest.raises(ValueError, match="t has labels from 10 to 10, expected 0 to 9"):
        layer.forward(x, [[10]])


def test_one_row_of_one_class_is_one_hot_and_no_label():
    assert SoftmaxWithLoss().forward(np.zeros((1, 1)), [[1]]) == pytest.approx(0, abs=1e-6)


@pytest.mark.parametrize("t", [[], np.zeros(0, int), np.zeros((0, 4))])
def test_an_empty_batch_has_no_loss(t):
    layer = SoftmaxWithLoss()
    assert layer.forward(np.zeros((0, 4)), t) == 0.0
    assert layer.backward().shape == (0, 4)


def test_large_scores_do_not_overflow():
    layer = SoftmaxWithLoss()
    assert layer.forward(np.array([[1e4, -1e4]], np.float32), [0]) == pytest.approx(0, abs=1e-6)
    assert layer.forward(np.array([[1e4, -1e4]], np.float32), [1]) == pytest.approx(-np.log(1e-7), rel=1e-5)


@pytest.mark.parametrize("t, words", [
    (np.zeros((3, 1), int), r"t has shape \(3, 1\) .*integer labels of shape \(3,\) from 0 to 3, or one-hot "
                            r"rows of shape \(3, 4\); drop the second axis: t\[:, 0\]"),
    ([0, 1, 4], r"t has labels from 0 to 4, expected 0 to 3"),
    ([0, -1, 2], r"t has labels from -1 to 2, expected 0 to 3"),
    ([0.0, 1.0, 2.0], r"the labels are floating-point: t.astype\(int\)"),
    ([0, 1], r"x has 3 rows and t has 2"),
    ([0, 1, 2, 3], r"x has 3 rows and t has 4"),
    (np.zeros((3, 5)), r"t has shape \(3, 5\)"),
    (2, r"t has shape \(\)"),
])
def test_labels_that_do_not_fit_are_refused(t, words):
    with pytest.raises(ValueError, match="SoftmaxWithLoss.forward: .*" + words):
        SoftmaxWithLoss().forward(np.zeros((3, 4)), t)


@pytest.mark.parametrize("t", [["a", "b", "c"], np.zeros((3, 4), complex), np.zeros(3, object)])
def test_labels_that_are_no_numbers_are_refused(t):
    with pytest.raises(TypeError, match="SoftmaxWithLoss.forward: t has dtype"):
        SoftmaxWithLoss().forward(np.zeros((3, 4)), t)


@pytest.mark.parametrize("shape", [(4,), (2, 4, 1, 1), (3, 0)])
def test_scores_of_another_shape_are_refused(shape):
    with pytest.raises(ValueError, match=r"SoftmaxWithLoss.forward: x has shape .*, expected \(N, K\)"):
        SoftmaxWithLoss().forward(np.zeros(shape), [0])


def test_the_book_s_attributes():
    layer = SoftmaxWithLoss()
    assert layer.loss is None and layer.y is None and layer.t is None
