"""Convolution of images with filters."""
from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from ..arrays import Array, as_array, channels_last, contiguous, from_channels_last, result_dtype
from ..buffers import empty
from ..dispatch import kernels
from ..shapes import ConvolutionGeometry, Pair, Shape, convolution_geometry, pair, whole
from .broadcast import by, to_parameter, to_vector
from .dout import as_dout
from .windows import windows


class Convolution:
    """``out[n, f, oh, ow] = b[f] + sum over c, fh, fw of x[n, c, h, w] * W[f, c, fh, fw]``.

    There ``h = oh * stride - pad + fh * dilation`` and w alike; outside of the image x is 0. This is the
    cross-correlation that the book calls convolution.

    Parameters
    ----------
    W : array (FN, C // groups, FH, FW)
    b : array (FN,), scalar or None
        Both are read by reference at every forward.
    stride, pad, dilation : int or (h, w)
    groups : int, keyword only
        Cuts the channels and the filters into this many blocks; the filters of a block see its channels only.

    Attributes
    ----------
    x : array (N, C, H, W), the last input
    dW, db : gradients in the shapes of W and b
    """

    _x: Array
    _weight: Array
    _dtype: np.dtype[Any]
    _geometry: ConvolutionGeometry

    def __init__(self, W: ArrayLike, b: ArrayLike | None, stride: int | Pair = 1, pad: int | Pair = 0, *,
                 dilation: int | Pair = 1, groups: int = 1) -> None:
        pair(stride, "Convolution: stride", 1)
        pair(pad, "Convolution: pad")
        pair(dilation, "Convolution: dilation", 1)
        whole(groups, "Convolution: groups", 1)
        self.W, self.b = W, b
        self.stride, self.pad, self.dilation, self.groups = stride, pad, dilation, groups
        self.x: Array | None = None
        self.dW: Array | None = None
        self.db: Array | None = None
        self._shape: Shape | None = None

    def __repr__(self) -> str:
        more = "".join(f", {name}={getattr(self, name)}" for name in ("dilation", "groups") if getattr(self, name) != 1)
        return f"{type(self).__name__}(W: {by(self.W)}, stride={self.stride}, pad={self.pad}{more})"

    def forward(self, x: ArrayLike) -> Array:
        """Return the convolution (N, FN, OH, OW) of the images `x` (N, C, H, W)."""
        where = "Convolution.forward"
        x, W, b = as_array(where, "x", x), as_array(where, "W", self.W), self.b
        dtype, compute = result_dtype(where, x=x, W=W, b=b)
        geometry = convolution_geometry(x.shape, W.shape, self.stride, self.pad, self.dilation, self.groups)
        stride, pad, dilation, groups, (N, OH, OW, FN) = geometry
        bias = None if b is None else to_vector(where, "b", b, FN, compute)
        images, weight, out = channels_last(x, compute), contiguous(W, compute), empty(geometry.out_shape, compute)
        kernels.convolution_forward(images, weight, bias, stride, pad, dilation, groups, out)
        self.x, self._x, self._weight = x, images, weight
        self._geometry, self._dtype, self._shape = geometry, dtype, (N, FN, OH, OW)
        return from_channels_last(out, dtype)

    def backward(self, dout: ArrayLike, *, need_dx: bool = True) -> Array | None:
        """Set dW and db from `dout` (N, FN, OH, OW); return dx (N, C, H, W), or None if it is not needed."""
        dout, dtype, compute = as_dout("Convolution.backward", dout, self)
        stride, pad, dilation, groups, _ = self._geometry
        dout, x = channels_last(dout, compute), contiguous(self._x, compute)
        weight = contiguous(self._weight, compute)
        dW, db = empty(weight.shape, compute), np.empty(len(weight), compute)
        kernels.convolution_backward_weight(x, dout, stride, pad, dilation, groups, dW, db)
        self.dW = dW.astype(dtype, copy=False)
        self.db = None if self.b is None else to_parameter(db, self.b, dtype)
        if not need_dx:
            return None
        dx = empty(x.shape, compute)
        kernels.convolution_backward_data(dout, weight, stride, pad, dilation, groups, dx)
        return from_channels_last(dx, dtype)

    @property
    def col(self) -> Array | None:
        """The book's column matrix (N * OH * OW, C * FH * FW) of the last input, built when asked for."""
        if self._shape is None:
            return None
        stride, pad, dilation, _, (N, OH, OW, _) = self._geometry
        FH, FW = self._weight.shape[2:]
        columns = windows(self._x, (FH, FW), stride, pad, dilation)
        return columns.reshape(N * OH * OW, self._x.shape[3] * FH * FW)

    @property
    def col_W(self) -> Array | None:
        """The filters of the last forward as the columns of a matrix (C // groups * FH * FW, FN)."""
        return None if self._shape is None else self._weight.reshape(len(self._weight), -1).T
