"""Samples of any shape as rows."""
from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from ..arrays import Array, as_operand, channels_last, from_channels_last
from ..shapes import Shape
from .dout import as_dout


class Flatten:
    """Everything after the first axis as one, in the order of the axes: images (N, C, H, W) to (N, C * H * W).

    `Affine` does so by itself.
    """

    _x_shape: Shape
    _dtype: np.dtype[Any]

    def __init__(self) -> None:
        self._shape: Shape | None = None

    def __repr__(self) -> str:
        return f"{type(self).__name__}()"

    def forward(self, x: ArrayLike) -> Array:
        """Return (N, D) for `x` (N, ...) of D values a sample: a view on x where its memory and dtype allow it."""
        x, dtype, _ = as_operand("Flatten.forward", "x", x)
        if not x.ndim:
            raise ValueError("Flatten.forward: x is a scalar, expected (N, ...)")
        shape = len(x), math.prod(x.shape[1:])
        self._x_shape, self._shape, self._dtype = x.shape, shape, dtype
        return x.reshape(shape).astype(dtype, copy=False)

    def backward(self, dout: ArrayLike) -> Array:
        """Return `dout` (N, D) in the shape of x."""
        dout, dtype, _ = as_dout("Flatten.backward", dout, self)
        dx = dout.reshape(self._x_shape)
        if dx.ndim == 4:
            return from_channels_last(channels_last(dx, dtype), dtype)
        return dx.astype(dtype, copy=False)
