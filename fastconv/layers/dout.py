"""The gradient that a layer's `backward` is given."""
from __future__ import annotations

from typing import Any, Protocol

import numpy as np
from numpy.typing import ArrayLike

from ..arrays import Array, as_array, as_operand
from ..shapes import Shape, check_dout


class Remembers(Protocol):
    """A layer that knows the shape and the dtype of its last result."""

    _shape: Shape | None
    _dtype: np.dtype[Any]


def as_dout(where: str, dout: ArrayLike, layer: Remembers) -> tuple[Array, np.dtype[Any], np.dtype[Any]]:
    """Return the gradient as an array, and `result_dtype` of it and the layer's result.

    Raises
    ------
    RuntimeError, ValueError, TypeError
        If there was no forward, or `dout` has another shape than its result, or holds no real numbers.
    """
    shape = layer._shape
    if type(dout) is not np.ndarray or dout.shape != shape:
        dout = as_array(where, "dout", dout)
        check_dout(where, dout, shape)
    return as_operand(where, "dout", dout, layer._dtype)
