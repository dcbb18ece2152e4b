"""Gradient clipping: the norm of all gradients together, for every dtype and the largest and smallest values."""
from __future__ import annotations

import math
from fractions import Fraction

import numpy as np
import pytest
from toy_network import toy_trainer

from fastconv.training.clip import PIECE, clipped
from fastconv.training.finite import NotFinite


def norm(grads):
    """The exact norm, rounded once."""
    values = [float(value) for g in grads.values() for value in np.ravel(g)]
    exponent = math.frexp(max(map(abs, values)))[1]
    return math.ldexp(math.sqrt(sum((Fraction(value) / Fraction(2) ** exponent) ** 2 for value in values)), exponent)


CLOSE = {"f2": 2e-3, "f4": 1e-6, "f8": 1e-14}


@pytest.mark.parametrize("dtype", CLOSE)
@pytest.mark.parametrize("size", ["large", "usual", "small"])
@pytest.mark.parametrize("most", [0.37, 5.0])
def test_the_norm_is_at_most_what_was_asked(dtype, size, most):
    info = np.finfo(dtype)
    rng = np.random.default_rng(0)
    scale = {"large": float(info.max) * 0.4, "usual": 3.0, "small": float(info.smallest_normal)}[size]
    grads = {"W": (scale * rng.uniform(-1, 1, (7, 5, 3)[::-1])).astype(dtype).T, "b": np.array(scale / 3, dtype),
             "none": np.zeros((0, 4), dtype), "other": np.full(3, 9, dtype)}
    before = {key: g.copy() for key, g in grads.items()}
    result = clipped(grads, ["W", "b", "none"], most)
    assert list(result) == ["W", "b", "none"]
    for key, g in result.items():
        assert g.dtype == dtype and g.shape == grads[key].shape
        np.testing.assert_array_equal(grads[key], before[key])
    used = {key: grads[key] for key in result}
    if size == "small":
        assert all(result[key] is grads[key] for key in result)
        return
    assert norm(result) == pytest.approx(most, rel=CLOSE[dtype])
    factor = most / float(np.float64(scale)) / norm({key: np.float64(g) / scale for key, g in used.items()})
    np.testing.assert_allclose(np.float64(result["W"]), np.float64(grads["W"]) * factor, CLOSE[dtype] * 5,
                               CLOSE[dtype] * most / 10)


def test_a_smaller_norm_stays_as_it_is():
    grads = {"W": np.array([3.0, 4.0]), "b": 12.0}
    assert clipped(grads, grads, 13.0)["W"] is grads["W"] and clipped(grads, grads, 13.0)["b"] == 12
    result = clipped(grads, grads, 6.5)
    np.testing.assert_allclose(result["W"], [1.5, 2])
    assert result["b"] == pytest.approx(6)
    zeros = {"W": np.zeros(3)}
    assert clipped(zeros, zeros, 1.0)["W"] is zeros["W"]


def test_many_values():
    g = np.random.default_rng(1).standard_normal(2 * PIECE + 17).astype(np.float32)
    result = clipped({"W": g}, ["W"], 2.0)["W"]
    assert np.linalg.norm(result.astype(np.float64)) == pytest.approx(2, rel=1e-6)
    np.testing.assert_allclose(result, g * (2 / np.linalg.norm(g.astype(np.float64))), 1e-5)


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_a_gradient_that_is_not_finite(value):
    with pytest.raises(NotFinite, match="the gradient of b has"):
        clipped({"W": np.ones(3), "b": np.array([1, value])}, ["W", "b"], 1.0)


def test_the_trainer_clips():
    network, trainer = toy_trainer(epochs=1, clip=0.5)  # the gradient is (1, 1), in five steps of lr 0.01
    trainer.train()
    np.testing.assert_allclose(network.params["w"], -0.05 * 0.5 / math.sqrt(2))
    network, trainer = toy_trainer(epochs=1, clip=2)
    trainer.train()
    np.testing.assert_allclose(network.params["w"], -0.05)


def test_the_trainer_stops_where_a_gradient_is_not_finite():
    network, trainer = toy_trainer(clip=1.0)
    network.gradient = lambda x, t: {"w": np.array([1, np.inf])}
    with pytest.raises(FloatingPointError, match="gradient of w has a value that is not finite at step 1, in epoch 1"):
        trainer.train()
    np.testing.assert_array_equal(network.params["w"], 0)


@pytest.mark.parametrize("clip, error", [
    (0, ValueError), (-1, ValueError), (math.inf, ValueError), (math.nan, ValueError), ("1", TypeError)])
def test_wrong_limits(clip, error):
    with pytest.raises(error, match="Trainer: clip must be"):
        toy_trainer(clip=clip)
