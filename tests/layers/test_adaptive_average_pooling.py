from __future__ import annotations

import math

import gradient_check
import numpy as np
import pytest

from fastconv.layers import AdaptiveAveragePooling

SIZES = [((5, 7), (2, 3)), ((14, 14), (4, 4)), ((6, 5), (6, 5)), ((1, 3), (4, 2)), ((9, 4), (1, 1)), ((2, 2), (7, 7))]


def naive(x, OH, OW):
    """Window by window, from the definition."""
    N, C, H, W = x.shape
    out = np.empty((N, C, OH, OW))
    for n, c, i, j in np.ndindex(out.shape):
        top, bottom = math.floor(i * H / OH), math.ceil((i + 1) * H / OH)
        left, right = math.floor(j * W / OW), math.ceil((j + 1) * W / OW)
        values = [float(x[n, c, h, w]) for h in range(top, bottom) for w in range(left, right)]
        out[n, c, i, j] = sum(values) / len(values)
    return out


@pytest.mark.parametrize("size, out", SIZES)
@pytest.mark.parametrize("dtype, rtol", [(np.float64, 1e-13), (np.float32, 1e-6), (np.float16, 1e-3)])
def test_averages(rng, size, out, dtype, rtol):
    x = rng.normal(3, 1, (2, 3, *size)).astype(dtype)
    y = AdaptiveAveragePooling(*out).forward(x)
    assert y.dtype == dtype
    np.testing.assert_allclose(y, naive(x, *out), rtol)


@pytest.mark.parametrize("size, out", SIZES)
def test_gradients(rng, size, out):
    gradient_check.check(AdaptiveAveragePooling(*out), rng.normal(size=(2, 3, *size)))


@pytest.mark.torch
@pytest.mark.parametrize("size, out", SIZES)
def test_is_pytorchs(rng, size, out):
    import torch
    x = rng.normal(size=(2, 3, *size))
    dout = rng.normal(size=(2, 3, *out))
    tx = torch.tensor(x, requires_grad=True)
    expected = torch.nn.functional.adaptive_avg_pool2d(tx, out)
    expected.backward(torch.tensor(dout))
    layer = AdaptiveAveragePooling(*out)
    np.testing.assert_allclose(layer.forward(x), expected.detach().numpy(), 1e-12)
    np.testing.assert_allclose(layer.backward(dout), tx.grad.numpy(), 1e-12, 1e-15)


def test_no_images():
    layer = AdaptiveAveragePooling(2, 2)
    assert layer.forward(np.ones((0, 3, 5, 5))).shape == (0, 3, 2, 2)
    assert layer.backward(np.ones((0, 3, 2, 2))).shape == (0, 3, 5, 5)


def test_not_finite_values_stay_in_their_windows():
    x = np.zeros((1, 1, 4, 4))
    x[0, 0, 0, 0], x[0, 0, 3, 3] = np.nan, np.inf
    out = AdaptiveAveragePooling(2, 2).forward(x)[0, 0]
    assert np.isnan(out[0, 0]) and out[1, 1] == np.inf and out[0, 1] == out[1, 0] == 0


def test_what_is_refused():
    with pytest.raises(ValueError, match="AdaptiveAveragePooling: out_h must be at least 1, got 0"):
        AdaptiveAveragePooling(0, 1)
    with pytest.raises(TypeError, match="AdaptiveAveragePooling: out_w must be an integer"):
        AdaptiveAveragePooling(1, 1.5)
    layer = AdaptiveAveragePooling(1, 1)
    with pytest.raises(ValueError, match=r"AdaptiveAveragePooling.forward: x has shape \(2, 3, 0, 4\)"):
        layer.forward(np.ones((2, 3, 0, 4)))
    with pytest.raises(ValueError, match="AdaptiveAveragePooling.forward: x has shape"):
        layer.forward(np.ones((2, 3)))
    with pytest.raises(RuntimeError, match="call forward first"):
        layer.backward(np.ones((1, 1, 1, 1)))
    assert repr(AdaptiveAveragePooling(2, 3)) == "AdaptiveAveragePooling(2x3)"
