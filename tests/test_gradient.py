from __future__ import annotations

import numpy as np
import pytest

from fastconv.gradient import numerical_gradient, numerical_gradient_2d


@pytest.mark.parametrize("shape", [(), (1,), (5,), (2, 3), (2, 1, 3, 2), (0, 3)])
@pytest.mark.parametrize("dtype, tolerance", [(np.float64, 1e-8), (np.longdouble, 1e-8), (np.float32, 2e-2)])
def test_gradient_of_any_rank(shape, dtype, tolerance):
    x = np.random.default_rng(1).normal(size=shape).astype(dtype)
    x = np.asarray(x)
    before = x.copy()
    gradient = numerical_gradient(lambda v: float((v.astype(np.float64) ** 3).sum()), x)
    assert gradient.shape == shape and gradient.dtype == dtype
    np.testing.assert_allclose(gradient, 3 * x**2, rtol=tolerance, atol=2e-8)
    np.testing.assert_array_equal(x, before)


def test_f_may_read_the_array_elsewhere_and_views_are_changed_in_place():
    base = np.arange(12.0).reshape(3, 4)
    weights = base[::-2, 1::2]
    gradient = numerical_gradient(lambda _: float((base**2).sum()), weights)
    np.testing.assert_allclose(gradient, 2 * weights, rtol=1e-7)
    np.testing.assert_array_equal(base, np.arange(12.0).reshape(3, 4))


def test_x_is_restored_when_f_raises():
    x = np.ones(3)

    def f(v):
        if v[1] < 1:
            raise KeyError("on the way")
        return 0.0

    with pytest.raises(KeyError):
        numerical_gradient(f, x)
    assert x.tolist() == [1, 1, 1]


def test_2d_gives_f_one_row_at_a_time():
    x = np.arange(6.0).reshape(2, 3)
    gradient = numerical_gradient_2d(lambda row: float(row[0] * row[2]), x)
    np.testing.assert_allclose(gradient, [[2, 0, 0], [5, 0, 3]], atol=1e-8)
    np.testing.assert_allclose(numerical_gradient_2d(lambda row: float(row.sum()), x[0]), [1, 1, 1])
    np.testing.assert_array_equal(x, np.arange(6.0).reshape(2, 3))


@pytest.mark.parametrize("x, words", [
    (np.arange(3), "an array of dtype int64"),
    (np.ones(3, np.float16), "an array of dtype float16"),
    (np.ones(3, complex), "an array of dtype complex128"),
    ([1.0, 2.0], "a list"),
])
def test_what_cannot_be_stepped_is_refused(x, words):
    with pytest.raises(TypeError, match=f"numerical_gradient: x is {words}, expected a float32 or float64"):
        numerical_gradient(lambda v: 0.0, x)


def test_a_read_only_array_is_refused():
    x = np.broadcast_to(np.ones(1), 3)
    with pytest.raises(ValueError, match="x is read-only"):
        numerical_gradient(lambda v: 0.0, x)
