"""Check what `backward` returns against differences of what `forward` returns, in float64."""

from __future__ import annotations

import numpy as np

STEP = 1e-3  # truncation and rounding errors of the stencil are both near 1e-12 here


def numerical(f, x):
    """Derivative of the number ``f()`` by each entry of `x`, changed in place: the five-point stencil."""
    gradient = np.zeros(x.shape)
    for index in np.ndindex(x.shape):
        value, total = x[index], 0.0
        for steps, weight in ((-2, 1), (-1, -8), (1, 8), (2, -1)):
            x[index] = value + steps * STEP
            total += weight * f()
        x[index] = value
        gradient[index] = total / (12 * STEP)
    return gradient


def relative_error(actual, expected):
    """Largest difference, relative to the largest entry."""
    assert np.shape(actual) == np.shape(expected)
    largest = np.abs(expected).max(initial=0.0)
    return np.abs(np.asarray(actual) - expected).max(initial=0.0) / (largest or 1.0)


def check(layer, x, parameters=(), *, forward=None, tolerance=1e-9):
    """Assert that dx and the gradients ``d<name>`` of the parameters are those of ``sum(forward(x) * dout)``.

    `x` and the parameters are float64 arrays; `dout` is random with an offset, so that a sum that is dropped
    shows. `forward` stands in for ``layer.forward`` where that takes more than `x`.
    """
    forward = forward or layer.forward
    x = np.array(x, dtype=np.float64)
    dout = np.random.default_rng(7).normal(0.5, 1.0, np.shape(forward(x)))

    def loss():
        return float((forward(x) * dout).sum())

    expected = {"x": numerical(loss, x)}
    for name in parameters:
        expected[name] = numerical(loss, getattr(layer, name))
    forward(x)
    actual = {"x": layer.backward(dout)} | {name: getattr(layer, "d" + name) for name in parameters}
    for name, gradient in expected.items():
        assert np.abs(gradient).max() > 1e-3, f"d{name} is zero, so the check says nothing"
        assert relative_error(actual[name], gradient) < tolerance, f"d{name}"
