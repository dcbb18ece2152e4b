"""Average pooling to maps of a given size."""
from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from ..arrays import Array, as_operand, channels_last, from_channels_last
from ..shapes import LARGEST, Shape, check_addressable, check_images, whole
from .dout import as_dout


class AdaptiveAveragePooling:
    """The averages of OH x OW windows that cover maps of any size, as ``torch.nn.AdaptiveAvgPool2d``.

    Along an axis of length H, window i goes from ``i * H // OH`` up to but not including ``ceil((i + 1) * H / OH)``:
    windows overlap where OH does not divide H, and repeat values where H is smaller than OH.

    Parameters
    ----------
    out_h, out_w : int
    """

    _shape: Shape | None
    _x_shape: Shape
    _dtype: np.dtype[Any]

    def __init__(self, out_h: int, out_w: int) -> None:
        self.out_h = whole(out_h, "AdaptiveAveragePooling: out_h", 1, LARGEST)
        self.out_w = whole(out_w, "AdaptiveAveragePooling: out_w", 1, LARGEST)
        self._shape = None

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.out_h}x{self.out_w})"

    def forward(self, x: ArrayLike) -> Array:
        """Return the pooled images (N, C, out_h, out_w) of `x` (N, C, H, W)."""
        where = "AdaptiveAveragePooling.forward"
        x, dtype, compute = as_operand(where, "x", x)
        check_images(where, x.shape)
        if 0 in x.shape[1:]:
            raise ValueError(f"{where}: x has shape {x.shape}, expected images with at least one pixel")
        N, C, H, W = x.shape
        x = channels_last(x, compute)
        check_addressable(where, "the result", (N, self.out_h, self.out_w, C))
        out = np.empty((N, self.out_h, self.out_w, C), compute)
        for i, rows in enumerate(_windows(H, self.out_h) if N else []):
            for j, columns in enumerate(_windows(W, self.out_w)):
                out[:, i, j] = x[:, rows, columns].mean(axis=(1, 2))
        self._x_shape, self._dtype, self._shape = x.shape, dtype, (N, C, self.out_h, self.out_w)
        return from_channels_last(out, dtype)

    def backward(self, dout: ArrayLike) -> Array:
        """Return dx (N, C, H, W): each gradient of `dout` (N, C, out_h, out_w), shared among its window's pixels."""
        dout, dtype, compute = as_dout("AdaptiveAveragePooling.backward", dout, self)
        dout = channels_last(dout, compute)
        dx = np.zeros(self._x_shape, compute)
        N, H, W, _ = dx.shape
        for i, rows in enumerate(_windows(H, self.out_h) if N else []):
            for j, columns in enumerate(_windows(W, self.out_w)):
                pixels = (rows.stop - rows.start) * (columns.stop - columns.start)
                dx[:, rows, columns] += dout[:, i, j][:, None, None] / compute.type(pixels)
        return from_channels_last(dx, dtype)


def _windows(size: int, count: int) -> list[slice]:
    return [slice(i * size // count, -(-(i + 1) * size // count)) for i in range(count)]
