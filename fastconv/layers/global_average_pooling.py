"""The average of each channel (Lin, Chen and Yan, 2014)."""
from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from ..arrays import Array, as_operand, channels_last, contiguous, from_channels_last
from ..dispatch import kernels
from ..shapes import Shape, check_images
from .dout import as_dout


class GlobalAveragePooling:
    """``out[n, c] = mean of x[n, c]``: images (N, C, H, W) of any size to rows (N, C)."""

    _x_shape: Shape
    _dtype: np.dtype[Any]

    def __init__(self) -> None:
        self._shape: Shape | None = None

    def __repr__(self) -> str:
        return f"{type(self).__name__}()"

    def forward(self, x: ArrayLike) -> Array:
        """Return the averages (N, C) of `x` (N, C, H, W)."""
        where = "GlobalAveragePooling.forward"
        x, dtype, compute = as_operand(where, "x", x)
        check_images(where, x.shape)
        N, C, H, W = x.shape
        if not H * W:
            raise ValueError(f"{where}: x has shape {x.shape}, so no pixels to take the average of")
        self._x_shape, self._shape, self._dtype = x.shape, (N, C), dtype
        out = np.empty((N, 1, 1, C), compute)
        kernels.average_pooling_forward(channels_last(x, compute), (H, W), (1, 1), (0, 0), out)
        return out.reshape(N, C).astype(dtype, copy=False)

    def backward(self, dout: ArrayLike) -> Array:
        """Return dx (N, C, H, W) for `dout` (N, C): an equal share for each pixel."""
        dout, dtype, compute = as_dout("GlobalAveragePooling.backward", dout, self)
        N, C, H, W = self._x_shape
        dx = np.empty((N, H, W, C), compute)
        rows = contiguous(dout, compute).reshape(N, 1, 1, C)
        kernels.average_pooling_backward(rows, (H, W), (1, 1), (0, 0), dx)
        return from_channels_last(dx, dtype)
