"""Numerical gradients, to check the analytic ones."""
from __future__ import annotations

from collections.abc import Callable

import numpy as np

from .arrays import Array
from .shapes import number

H = 1e-4


def numerical_gradient(f: Callable[[Array], float], x: Array) -> Array:
    """Return the gradient of `f` at `x` by central differences with a step of 1e-4.

    Parameters
    ----------
    f : callable
        Takes `x` itself and returns a number. It may as well read it elsewhere: `x` is changed in place, one
        entry at a time, and restored, also if `f` raises.
    x : float32 or float64 array of any shape, writeable

    Returns
    -------
    array in the shape and dtype of `x`

    Raises
    ------
    TypeError
        If `x` is no array of a floating dtype that can resolve the step.
    ValueError
        If `x` is read-only.
    """
    if not isinstance(x, np.ndarray) or x.dtype.kind != "f" or x.dtype.itemsize < 4:
        what = f"an array of dtype {x.dtype}" if isinstance(x, np.ndarray) else f"a {type(x).__name__}"
        raise TypeError(f"numerical_gradient: x is {what}, expected a float32 or float64 array, "
                        f"which a step of {H} changes: x.astype(float)")
    if not x.flags.writeable:
        raise ValueError("numerical_gradient: x is read-only, but is changed in place on the way: x.copy()")
    gradient = np.zeros_like(x)
    for index in np.ndindex(x.shape):
        value = x[index]
        try:
            x[index] = value + H
            above = number(f(x), "numerical_gradient: what f returns")
            x[index] = value - H
            below = number(f(x), "numerical_gradient: what f returns")
        finally:
            x[index] = value
        gradient[index] = (above - below) / (2 * H)
    return gradient


def numerical_gradient_2d(f: Callable[[Array], float], X: Array) -> Array:
    """Return the gradients of `f` at each row of `X` (n, d), or at `X` (d,); `f` takes a single row."""
    if not isinstance(X, np.ndarray) or X.ndim < 2:
        return numerical_gradient(f, X)
    gradients = np.zeros_like(X)
    for row, gradient in zip(X, gradients, strict=True):
        gradient[...] = numerical_gradient(f, row)
    return gradients
