from __future__ import annotations

import math

import gradient_check
import numpy as np
import pytest

from fastconv.layers import GlobalAveragePooling

shapes = pytest.mark.parametrize("shape", [(2, 3, 5, 4), (1, 17, 1, 7), (3, 1, 2, 1), (2, 33, 1, 1), (1, 2, 40, 3)])


@shapes
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_results_are_those_of_the_definition(rng, shape, dtype):
    x, layer = rng.normal(4, 1, shape).astype(dtype), GlobalAveragePooling()
    N, C, H, W = shape
    out = layer.forward(x)
    expected = [[math.fsum(x[n, c].ravel().tolist()) / (H * W) for c in range(C)] for n in range(N)]
    np.testing.assert_allclose(out, expected, rtol=H * W * np.finfo(dtype).eps)
    dout = rng.normal(0.5, 1, (N, C)).astype(dtype)
    dx = layer.backward(dout)
    assert dx.shape == shape
    for n, c, h, w in np.ndindex(shape):
        assert dx[n, c, h, w] == pytest.approx(float(dout[n, c]) / (H * W), rel=1e-6 if dtype == np.float32 else 1e-15)


@shapes
def test_gradients(rng, shape):
    gradient_check.check(GlobalAveragePooling(), rng.normal(0.5, 1, shape))


def test_nan_and_inf_stay_in_their_channel():
    x = np.ones((1, 4, 3, 2), np.float32)
    x[0, 1, 2, 0], x[0, 2, 0, 1] = np.nan, -np.inf
    np.testing.assert_array_equal(GlobalAveragePooling().forward(x), [[1, np.nan, -np.inf, 1]])


@pytest.mark.parametrize("shape, words", [
    ((3, 4), r"x has shape \(3, 4\), expected \(N, C, H, W\)"),
    ((2, 3, 0, 4), r"x has shape \(2, 3, 0, 4\), so no pixels"),
])
def test_a_wrong_x_is_refused(shape, words):
    with pytest.raises(ValueError, match="GlobalAveragePooling.forward: " + words):
        GlobalAveragePooling().forward(np.ones(shape))
