from __future__ import annotations

import gradient_check
import numpy as np
import pytest

from fastconv.layers import BatchNormalization

EPS = 1e-6
# x, entries of gamma and beta, axes over which the statistics run, shape in which gamma broadcasts to x
CASES = {
    "rows": ((6, 5), 5, (0,), (5,)),
    "one feature": ((7, 1), 1, (0,), (1,)),
    "per feature, as in the book": ((5, 3, 2, 4), 24, (0,), (3, 2, 4)),
    "per channel": ((3, 4, 5, 2), 4, (0, 2, 3), (4, 1, 1)),
    "one channel": ((3, 1, 5, 2), 1, (0, 2, 3), (1, 1, 1)),
    "one pixel": ((5, 3, 1, 1), 3, (0, 2, 3), (3, 1, 1)),
}
every_case = pytest.mark.parametrize("case", CASES.values(), ids=CASES)


def layer_and_x(rng, case, dtype=np.float64):
    shape, size, *_ = case
    gamma, beta = rng.normal(2, 1, size).astype(dtype), rng.normal(-1, 1, size).astype(dtype)
    return BatchNormalization(gamma, beta), rng.normal(50, 3, shape).astype(dtype)


@every_case
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_training_normalizes_by_the_batch(rng, case, dtype):
    _, _, axes, broadcast = case
    layer, x = layer_and_x(rng, case, dtype)
    wide = x.astype(np.float64)
    mean, var = wide.mean(axes, keepdims=True), wide.var(axes, keepdims=True)
    gamma, beta = (p.astype(np.float64).reshape(broadcast) for p in (layer.gamma, layer.beta))
    expected = gamma * (wide - mean) / np.sqrt(var + EPS) + beta
    tolerance = 400 * np.finfo(dtype).eps
    np.testing.assert_allclose(layer.forward(x), expected, rtol=0, atol=tolerance)
    np.testing.assert_allclose(layer.running_mean, 0.1 * mean.ravel(), rtol=tolerance)
    np.testing.assert_allclose(layer.running_var, 0.1 * var.ravel(), rtol=tolerance)
    np.testing.assert_allclose(layer.std, np.sqrt(var + EPS).ravel(), rtol=tolerance)


@every_case
def test_inference_uses_the_running_statistics(rng, case):
    _, size, _, broadcast = case
    layer, x = layer_and_x(rng, case)
    layer.running_mean, layer.running_var = rng.normal(50, 1, size), rng.uniform(1, 9, size)
    before = layer.running_mean.copy(), layer.running_var.copy()
    gamma, beta, mean, var = (p.reshape(broadcast) for p in (layer.gamma, layer.beta, *before))
    out = layer.forward(x, train_flg=False)
    np.testing.assert_allclose(out, gamma * (x - mean) / np.sqrt(var + EPS) + beta, rtol=1e-12, atol=1e-12)
    np.testing.assert_array_equal(layer.running_mean, before[0])
    np.testing.assert_array_equal(layer.running_var, before[1])


@every_case
def test_gradients(rng, case):
    layer, x = layer_and_x(rng, case)
    gradient_check.check(layer, (x - 50) / 3, ("gamma", "beta"), tolerance=1e-7)


def test_running_statistics_start_at_zero_and_are_blended(rng):
    layer = BatchNormalization(np.ones(3), np.zeros(3), momentum=0.8)
    assert layer.running_mean is None and layer.running_var is None
    x = rng.normal(2, 1, (4, 3))
    np.testing.assert_allclose(layer.forward(x, train_flg=False), x / np.sqrt(EPS))
    layer.forward(x)
    layer.forward(x + 1)
    np.testing.assert_allclose(layer.running_mean, 0.8 * 0.2 * x.mean(0) + 0.2 * (x.mean(0) + 1))
    np.testing.assert_allclose(layer.running_var, (0.8 * 0.2 + 0.2) * x.var(0))


@every_case
def test_eps_is_a_part_of_every_formula(rng, case):
    _, size, axes, broadcast = case
    layer, x = layer_and_x(rng, case)
    layer = BatchNormalization(layer.gamma, layer.beta, eps=7.0)
    mean, var = x.mean(axes, keepdims=True), x.var(axes, keepdims=True)
    gamma, beta = layer.gamma.reshape(broadcast), layer.beta.reshape(broadcast)
    np.testing.assert_allclose(layer.forward(x), gamma * (x - mean) / np.sqrt(var + 7) + beta, rtol=0, atol=1e-11)
    np.testing.assert_allclose(layer.std, np.sqrt(var.ravel() + 7))
    np.testing.assert_allclose(layer.xn.std(axis=0), np.sqrt(var / (var + 7)).ravel())
    out, mean, var = layer.forward(x, train_flg=False), *(layer.running_mean, layer.running_var)
    expected = gamma * (x - mean.reshape(broadcast)) / np.sqrt(var.reshape(broadcast) + 7) + beta
    np.testing.assert_allclose(out, expected, rtol=0, atol=1e-11)
    gradient_check.check(layer, (x - 50) / 3, ("gamma", "beta"), tolerance=1e-7)


@every_case
def test_unbiased_variances_are_followed_but_not_divided_by(rng, case):
    _, _, axes, _ = case
    layer, x = layer_and_x(rng, case)
    other = BatchNormalization(layer.gamma, layer.beta, unbiased=True)
    np.testing.assert_array_equal(other.forward(x), layer.forward(x))
    np.testing.assert_array_equal(other.running_mean, layer.running_mean)
    np.testing.assert_allclose(other.running_var, 0.1 * x.var(axes, ddof=1).ravel(), rtol=1e-12)
    assert other.running_var.dtype == layer.running_var.dtype


def test_one_row_has_the_unbiased_variance_0():
    layer = BatchNormalization(np.ones(3), np.zeros(3), 0.5, np.zeros(3), np.ones(3), unbiased=True)
    layer.forward(np.ones((1, 3)))
    assert layer.running_var.tolist() == [0.5, 0.5, 0.5]


@pytest.mark.parametrize("wrong, error", [(-1e-5, ValueError), (np.nan, ValueError), ("a", TypeError)])
def test_a_wrong_eps_is_refused(wrong, error):
    with pytest.raises(error, match="BatchNormalization: eps must be"):
        BatchNormalization(np.ones(3), np.zeros(3), eps=wrong)


def test_repr_says_what_is_not_the_default():
    assert repr(BatchNormalization(np.ones(3), np.zeros(3))) == "BatchNormalization(gamma: 3, momentum=0.9)"
    layer = BatchNormalization(np.ones(3), np.zeros(3), eps=1e-5, unbiased=True)
    assert repr(layer) == "BatchNormalization(gamma: 3, momentum=0.9, eps=1e-05, unbiased=True)"


def test_running_statistics_that_are_given_stay_unchanged(rng):
    mean, var = np.ones(3), np.full(3, 2.0)
    layer = BatchNormalization(np.ones(3), np.zeros(3), 0.9, mean, var)
    layer.forward(rng.normal(size=(4, 3)))
    assert mean.tolist() == [1, 1, 1] and var.tolist() == [2, 2, 2]
    assert (layer.running_mean != mean).all()


def test_a_batch_of_one_gives_beta(rng):
    layer, x = layer_and_x(rng, ((1, 4), 4, None, None))
    np.testing.assert_allclose(layer.forward(x), layer.beta[None])
    dx = layer.backward(np.ones((1, 4)))
    np.testing.assert_array_equal(dx, 0)


def test_an_empty_batch_leaves_the_running_statistics(rng):
    layer, x = layer_and_x(rng, CASES["rows"])
    layer.forward(x)
    before = layer.running_mean.copy(), layer.running_var.copy()
    layer.forward(x[:0])
    np.testing.assert_array_equal(layer.running_mean, before[0])
    np.testing.assert_array_equal(layer.running_var, before[1])


@pytest.mark.parametrize("shape", [(6, 5), (4, 3, 2, 2)])
def test_scalar_parameters_serve_every_feature(rng, shape):
    x = rng.normal(1, 2, shape)
    D = int(np.prod(shape[1:]))
    dout = rng.normal(0.5, 1, shape)
    vectors = BatchNormalization(np.full(D, 1.5), np.full(D, 0.5))
    scalars = BatchNormalization(1.5, 0.5)
    np.testing.assert_array_equal(scalars.forward(x), vectors.forward(x))
    np.testing.assert_array_equal(scalars.backward(dout), vectors.backward(dout))
    assert np.shape(scalars.dgamma) == np.shape(scalars.dbeta) == ()
    np.testing.assert_allclose(scalars.dgamma, vectors.dgamma.sum())
    np.testing.assert_allclose(scalars.dbeta, vectors.dbeta.sum())


def test_per_feature_statistics_of_images_are_those_of_the_flattened_images(rng):
    layer, x = layer_and_x(rng, CASES["per feature, as in the book"])
    flat = BatchNormalization(layer.gamma, layer.beta)
    dout = rng.normal(0.5, 1, x.shape)
    np.testing.assert_array_equal(layer.forward(x), flat.forward(x.reshape(5, 24)).reshape(x.shape))
    np.testing.assert_array_equal(layer.backward(dout), flat.backward(dout.reshape(5, 24)).reshape(x.shape))
    for name in ("dgamma", "dbeta", "running_mean", "running_var", "xc", "std"):
        np.testing.assert_array_equal(getattr(layer, name), getattr(flat, name), err_msg=name)


def test_the_book_s_attributes(rng):
    layer, x = layer_and_x(rng, CASES["rows"])
    names = ("input_shape", "batch_size", "xc", "std", "dgamma", "dbeta")
    assert layer.momentum == 0.9 and all(getattr(layer, name) is None for name in names)
    layer.forward(x)
    assert layer.input_shape == (6, 5) and layer.batch_size == 6
    np.testing.assert_allclose(layer.xc, x - x.mean(0), atol=1e-12)


@pytest.mark.parametrize("shape, gamma, beta, words", [
    ((4, 5, 2), 5, 5, r"x has shape \(4, 5, 2\), expected \(N, D\) or \(N, C, H, W\)"),
    ((4, 5), 4, 4, r"gamma has shape \(4,\) and beta \(4,\), expected 5 entries, one a feature"),
    ((4, 5), 5, 4, r"gamma has shape \(5,\) and beta \(4,\), expected 5 entries"),
    ((2, 3, 4, 5), 12, 12, r"expected 60 entries, one a feature .*, or 3, one a channel"),
    ((2, 3, 4, 5), 60, 3, r"expected 60 entries, one a feature .*, or 3, one a channel"),
])
def test_sizes_that_do_not_fit_are_refused(shape, gamma, beta, words):
    with pytest.raises(ValueError, match="BatchNormalization.forward: .*" + words):
        BatchNormalization(np.ones(gamma), np.ones(beta)).forward(np.ones(shape))


def test_running_statistics_of_another_size_are_refused():
    with pytest.raises(ValueError, match=r"running_mean has shape \(3,\), expected \(5,\)"):
        BatchNormalization(np.ones(5), np.ones(5), 0.9, np.ones(3), np.ones(3)).forward(np.ones((2, 5)))
