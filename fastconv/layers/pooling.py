"""Maximum and average pooling."""
from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from ..arrays import Array, as_operand, channels_last, contiguous, from_channels_last
from ..buffers import empty
from ..dispatch import kernels
from ..shapes import Pair, PoolingGeometry, Shape, pair, pooling_geometry
from .dout import as_dout
from .windows import windows


class Pooling:
    """The maximum, or the average, of each window of each channel.

    Padding never is the maximum; in the average it counts as zeros. The gradient of a maximum goes to the
    first value of the window that has it.

    Parameters
    ----------
    pool_h, pool_w : int
    stride, pad : int or (h, w)
        The padding must be smaller than the window.
    mode : "max" or "average", keyword only
    ceil_mode : bool, keyword only
        Where the stride does not divide, have a last window that sticks out over the end, if it begins in the image
        or the padding before it. What is behind the padding does not count in an average, as in PyTorch.

    Attributes
    ----------
    x : array (N, C, H, W), the last input
    """

    _x: Array
    _out: Array
    _dtype: np.dtype[Any]
    _geometry: PoolingGeometry

    def __init__(self, pool_h: int, pool_w: int, stride: int | Pair = 2, pad: int | Pair = 0, *,
                 mode: str = "max", ceil_mode: bool = False) -> None:
        pair((pool_h, pool_w), "Pooling: (pool_h, pool_w)", 1)
        pair(stride, "Pooling: stride", 1)
        pair(pad, "Pooling: pad")
        if not isinstance(mode, str) or mode not in ("max", "average"):
            raise ValueError(f"Pooling: mode must be 'max' or 'average', got {mode!r}")
        self.pool_h, self.pool_w, self.stride, self.pad, self.mode = pool_h, pool_w, stride, pad, mode
        self.ceil_mode = bool(ceil_mode)
        self.x: Array | None = None
        self._shape: Shape | None = None

    def __repr__(self) -> str:
        mode = "" if self.mode == "max" else f", mode={self.mode!r}"
        ceil_mode = ", ceil_mode=True" if self.ceil_mode else ""
        return (f"{type(self).__name__}({self.pool_h}x{self.pool_w}, stride={self.stride}, pad={self.pad}{mode}"
                f"{ceil_mode})")

    def forward(self, x: ArrayLike) -> Array:
        """Return the pooled images (N, C, OH, OW) of `x` (N, C, H, W)."""
        x, dtype, compute = as_operand("Pooling.forward", "x", x)
        geometry = pooling_geometry(x.shape, self.pool_h, self.pool_w, self.stride, self.pad, self.ceil_mode)
        window, stride, pad, (N, OH, OW, C) = geometry
        images, out = channels_last(x, compute), empty(geometry.out_shape, compute)
        pool = kernels.max_pooling_forward if self.mode == "max" else kernels.average_pooling_forward
        pool(images, window, stride, pad, out)
        self.x, self._x, self._out = x, images, out
        self._geometry, self._dtype, self._shape = geometry, dtype, (N, C, OH, OW)
        return from_channels_last(out, dtype)

    def backward(self, dout: ArrayLike) -> Array:
        """Return dx (N, C, H, W) for `dout` (N, C, OH, OW)."""
        dout, dtype, compute = as_dout("Pooling.backward", dout, self)
        window, stride, pad, _ = self._geometry
        dout = channels_last(dout, compute)
        dx = empty(self._x.shape, compute)
        if self.mode == "max":
            x, out = contiguous(self._x, compute), contiguous(self._out, compute)
            kernels.max_pooling_backward(dout, x, out, window, stride, pad, dx)
        else:
            kernels.average_pooling_backward(dout, window, stride, pad, dx)
        return from_channels_last(dx, dtype)

    @property
    def arg_max(self) -> Array | None:
        """Where in its window each maximum lies, flat in the order (N, OH, OW, C); built when asked for."""
        if self._shape is None or self.mode != "max":
            return None
        window, stride, pad, out_shape = self._geometry
        values = windows(self._x, window, stride, pad, out=out_shape[1:3])
        inside = windows(np.ones_like(self._x, bool), window, stride, pad, out=out_shape[1:3])
        hits = inside & ((values == self._out[..., None, None]) | np.isnan(values))
        return hits.reshape(int(np.prod(out_shape)), window[0] * window[1]).argmax(axis=1)
