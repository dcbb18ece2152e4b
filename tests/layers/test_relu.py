from __future__ import annotations

import gradient_check
import numpy as np
import pytest

from fastconv.layers import Relu


def test_negative_values_become_zero_and_nan_passes():
    x = np.array([-np.inf, -1, -0.0, 0, 1e-40, 2, np.inf, np.nan])
    layer = Relu()
    np.testing.assert_array_equal(layer.forward(x), [0, 0, 0, 0, 1e-40, 2, np.inf, np.nan])
    np.testing.assert_array_equal(layer.backward(np.full(8, 5.0)), [0, 0, 0, 0, 5, 5, 5, 5])
    assert layer.mask.tolist() == [True] * 4 + [False] * 4


@pytest.mark.parametrize("shape", [(), (1,), (7,), (3, 5), (2, 3, 4, 5), (1, 2, 1, 2, 3)])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_any_shape(rng, shape, dtype):
    x = np.asarray(rng.normal(size=shape), dtype)
    layer = Relu()
    out = layer.forward(x)
    np.testing.assert_array_equal(out, np.maximum(x, 0))
    np.testing.assert_array_equal(layer.backward(x), np.where(x > 0, x, 0))
    assert out.shape == shape and out.dtype == dtype


def test_gradients(rng):
    x = rng.normal(size=(2, 3, 4, 2))
    gradient_check.check(Relu(), np.where(np.abs(x) < 0.1, 0.5, x))


def test_dout_is_not_overwritten_as_in_the_book():
    layer = Relu()
    layer.forward(np.array([-1.0, 1.0]))
    dout = np.ones(2)
    layer.backward(dout)
    assert dout.tolist() == [1, 1]


def test_the_mask_has_the_layout_of_x(rng):
    layer = Relu()
    assert layer.mask is None
    x = rng.normal(size=(2, 4, 5, 3)).transpose(0, 3, 1, 2)
    layer.forward(x)
    np.testing.assert_array_equal(layer.mask, x <= 0)
