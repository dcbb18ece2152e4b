"""Fully connected layer."""
from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from ..arrays import Array, as_array, channels_last, contiguous, from_channels_last, native, result_dtype
from ..buffers import empty
from ..dispatch import kernels
from ..shapes import Shape
from .broadcast import by, to_parameter, to_vector
from .dout import as_dout

CONVERTED = 1 << 19  # values of x that are brought to another dtype at a time


class Affine:
    """``out = x @ W + b``, with everything after the first axis of x taken as one.

    Parameters
    ----------
    W : array (D, M)
    b : array (M,), scalar or None
        Both are read by reference at every forward.

    Attributes
    ----------
    x : array (N, D), the last input
    original_x_shape : its shape before it was flattened
    dW, db : gradients in the shapes of W and b
    """

    _x: Array
    _weight: Array
    _dtype: np.dtype[Any]

    def __init__(self, W: ArrayLike, b: ArrayLike | None) -> None:
        self.W, self.b = W, b
        self.x: Array | None = None
        self.original_x_shape: Shape | None = None
        self.dW: Array | None = None
        self.db: Array | None = None
        self._shape: Shape | None = None

    def __repr__(self) -> str:
        return f"{type(self).__name__}(W: {by(self.W)})"

    def forward(self, x: ArrayLike) -> Array:
        """Return (N, M) for `x` (N, ...) of D values a sample."""
        where = "Affine.forward"
        x, W, b = as_array(where, "x", x), as_array(where, "W", self.W), self.b
        dtype, compute = result_dtype(where, x=x, W=W, b=b)
        if x.ndim != 2 or x.shape[1:] != W.shape[:-1]:
            _check(where, x.shape, W.shape)
        (D, M), N = W.shape, len(x)
        bias = None if b is None else to_vector(where, "b", b, M, compute)
        rows, weight, out = x if x.ndim == 2 else x.reshape(N, D), native(W, compute), empty((N, M), compute)
        kept = rows
        if rows.dtype == compute or rows.size <= CONVERTED:
            kept = contiguous(rows, compute)
            kernels.gemm(kept, weight, bias, out)
        else:
            count = max(1, CONVERTED // D)
            for start in range(0, N, count):
                part = slice(start, start + count)
                kernels.gemm(contiguous(rows[part], compute), weight, bias, out[part])
        self.x, self._x, self._weight = rows, kept, weight
        self.original_x_shape, self._dtype, self._shape = x.shape, dtype, (N, M)
        return out.astype(dtype, copy=False)

    def backward(self, dout: ArrayLike, *, need_dx: bool = True) -> Array | None:
        """Set ``dW = x.T @ dout`` and db; return ``dx = dout @ W.T`` in x's shape, or None if not needed."""
        dout, dtype, compute = as_dout("Affine.backward", dout, self)
        assert self.original_x_shape is not None
        dout, x, weight = contiguous(dout, compute), self._x, self._weight
        if x.dtype is not compute:
            x, weight = contiguous(x, compute), native(weight, compute)
        dW, db = empty(weight.shape, compute), np.empty(weight.shape[1], compute)
        kernels.gemm(x.T, dout, None, dW)
        kernels.bias_backward(dout, db)
        self.dW = dW.astype(dtype, copy=False)
        self.db = None if self.b is None else to_parameter(db, self.b, dtype)
        if not need_dx:
            return None
        dx = empty(x.shape, compute)
        kernels.gemm(dout, weight.T, None, dx)
        shape = self.original_x_shape
        if len(shape) == 2 and dtype is compute:
            return dx
        if len(shape) == 4:
            return from_channels_last(channels_last(dx.reshape(shape), dtype), dtype)
        if len(shape) != 2:
            dx = dx.reshape(shape)
        return dx.astype(dtype, copy=False)


def _check(where: str, x_shape: Shape, w_shape: Shape) -> None:
    if len(w_shape) != 2:
        raise ValueError(f"{where}: W has shape {w_shape}, expected (D, M)")
    D, M = w_shape
    if not x_shape:
        raise ValueError(f"{where}: x is a scalar, expected (N, ...) with {D} values a sample")
    values = math.prod(x_shape[1:])
    if values != D:
        cause = ""
        if x_shape == (D,):
            cause = "; for one sample: x[None]"
        elif values == M:
            cause = "; W looks transposed: W.T"
        raise ValueError(f"{where}: x has shape {x_shape}, so {values} values a sample, expected {D}: "
                         f"W has shape {w_shape}{cause}")
