"""Parameters that NumPy would broadcast: one value for all outputs instead of one for each."""
from __future__ import annotations

from typing import Any

import numpy as np

from ..arrays import Array, as_array, contiguous


def to_vector(where: str, name: str, parameter: Any, size: int, dtype: np.dtype[Any]) -> Array:
    """Return a parameter as a vector (size,): a scalar is repeated, axes of length 1 are dropped.

    Raises
    ------
    ValueError
        If it has neither 1 nor `size` entries.
    TypeError
        If they are no real numbers.
    """
    if type(parameter) is np.ndarray and parameter.dtype is dtype and parameter.shape == (size,) \
            and parameter.flags.carray:
        return parameter
    values = as_array(where, name, parameter)
    if values.dtype.kind not in "biuf":
        raise TypeError(f"{where}: {name} has dtype {values.dtype}, expected real numbers")
    if values.shape == (size,):
        return contiguous(values, dtype)
    if values.size == 1:
        return np.full(size, values.reshape(()), dtype)
    if values.size != size or max(values.shape) != size:
        raise ValueError(f"{where}: {name} has shape {values.shape}, expected ({size},) or a scalar")
    return contiguous(values.reshape(size), dtype)


def to_parameter(gradient: Array, parameter: Any, dtype: np.dtype[Any]) -> Array:
    """Return the gradient of `to_vector`'s result as that of the parameter, in the parameter's shape."""
    if type(parameter) is np.ndarray and parameter.shape == gradient.shape:
        return gradient if gradient.dtype is dtype else gradient.astype(dtype)
    shape = np.shape(parameter)
    if shape != gradient.shape and np.size(parameter) == 1:
        gradient = gradient.sum(dtype=np.float64, keepdims=True)
    return gradient.reshape(shape).astype(dtype, copy=False)


def by(parameter: Any) -> str:
    """Return a parameter's shape for people: ``16x1x3x3``."""
    return "x".join(map(str, np.shape(parameter))) or "a number"
