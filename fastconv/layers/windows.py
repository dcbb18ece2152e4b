"""The windows of an image as NumPy sees them, for the book's attributes that the kernels do without."""
from __future__ import annotations

import numpy as np

from ..arrays import Array
from ..shapes import Pair


def windows(x: Array, size: Pair, stride: Pair, pad: Pair, dilation: Pair = (1, 1), *,
            out: tuple[int, ...] = (1, 1)) -> Array:
    """View images (N, H, W, C), padded with zeros, as their windows (N, OH, OW, C, FH, FW).

    Behind the images there are as many zeros as it takes to have at least `out` windows along each axis.
    """
    extent = tuple(d * (f - 1) + 1 for f, d in zip(size, dilation, strict=True))
    last = ((o - 1) * s + e - p for o, s, e, p in zip(out, stride, extent, pad, strict=True))
    after = tuple(max(p, end - n) for p, end, n in zip(pad, last, x.shape[1:3], strict=True))
    padded = np.pad(x, ((0, 0), (pad[0], after[0]), (pad[1], after[1]), (0, 0)))
    every = np.lib.stride_tricks.sliding_window_view(padded, extent, axis=(1, 2))
    return every[:, ::stride[0], ::stride[1], :, ::dilation[0], ::dilation[1]]
