from __future__ import annotations

import gradient_check
import naive
import numpy as np
import pytest

from fastconv.layers import Sigmoid


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_values(rng, dtype):
    x = np.append(rng.normal(0, 5, 100), [-1000, -90, -0.0, 0, 90, 1000, -np.inf, np.inf]).astype(dtype)
    layer = Sigmoid()
    assert layer.out is None
    out = layer.forward(x)
    expected = np.array([naive.sigmoid_forward(float(v)) for v in x])
    tolerance = {"rtol": 8 * np.finfo(dtype).eps, "atol": np.finfo(dtype).tiny}
    np.testing.assert_allclose(out, expected, **tolerance)
    assert layer.out is out
    dout = rng.normal(0.5, 1, x.shape).astype(dtype)
    wide = out.astype(np.float64)
    np.testing.assert_allclose(layer.backward(dout), dout * (1 - wide) * wide, **tolerance)


def test_nan_stays_nan():
    assert np.isnan(Sigmoid().forward(np.array([np.nan]))).all()


def test_gradients(rng):
    gradient_check.check(Sigmoid(), rng.normal(size=(2, 3, 4, 2)))
