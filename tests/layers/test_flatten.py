from __future__ import annotations

import gradient_check
import numpy as np
import pytest

from fastconv.layers import Affine, Flatten


@pytest.mark.parametrize("shape", [(2, 3, 5, 4), (1, 1, 2, 3), (4, 7), (3,), (2, 3, 4), (2, 2, 1, 3, 2)])
def test_rows_hold_the_values_in_the_order_of_the_axes(rng, shape):
    x, layer = rng.normal(size=shape), Flatten()
    out = layer.forward(x)
    assert out.shape == (shape[0], np.prod(shape[1:], dtype=int))
    for n in range(shape[0]):
        assert out[n].tolist() == [x[index] for index in np.ndindex(shape) if index[0] == n]
    dout = rng.normal(size=out.shape)
    dx = layer.backward(dout)
    assert dx.shape == shape and dx.ravel().tolist() == dout.ravel().tolist()


def test_the_order_is_that_of_affine(rng):
    x, W = rng.normal(size=(3, 4, 5, 2)), rng.normal(size=(40, 6))
    x = np.ascontiguousarray(x.transpose(0, 2, 3, 1)).transpose(0, 3, 1, 2)
    np.testing.assert_array_equal(Affine(W, None).forward(Flatten().forward(x)), Affine(W, None).forward(x))


def test_gradients(rng):
    gradient_check.check(Flatten(), rng.normal(size=(2, 3, 2, 4)))


def test_an_empty_batch_keeps_its_features():
    layer = Flatten()
    assert layer.forward(np.ones((0, 3, 2, 2))).shape == (0, 12)
    assert layer.backward(np.ones((0, 12))).shape == (0, 3, 2, 2)


def test_a_scalar_is_refused():
    with pytest.raises(ValueError, match=r"Flatten.forward: x is a scalar, expected \(N, ...\)"):
        Flatten().forward(3.0)
