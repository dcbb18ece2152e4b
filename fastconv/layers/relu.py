"""Rectified linear unit."""
from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from ..arrays import Array, Layout, as_operand, contiguous, dense
from ..buffers import empty_like
from ..dispatch import kernels
from ..shapes import Shape
from .dout import as_dout


class Relu:
    """``out = max(x, 0)``; the gradient at 0 is 0, nan passes.

    Attributes
    ----------
    mask : bool array or None
        Where the last x was not positive.
    """

    _out: Array
    _layout: Layout
    _dtype: np.dtype[Any]

    def __init__(self) -> None:
        self._shape: Shape | None = None

    def __repr__(self) -> str:
        return f"{type(self).__name__}()"

    def forward(self, x: ArrayLike) -> Array:
        """Return max(x, 0) for `x` of any shape, in the memory layout of `x`."""
        x, dtype, compute = as_operand("Relu.forward", "x", x)
        values, layout = dense(x, compute)
        out = empty_like(values)
        kernels.relu_forward(values, out)
        self._out, self._layout, self._dtype, self._shape = out, layout, dtype, x.shape
        return layout(out, dtype)

    def backward(self, dout: ArrayLike) -> Array:
        """Return dx: `dout` where x was positive, else 0; `dout` is left as it is."""
        dout, dtype, compute = as_dout("Relu.backward", dout, self)
        dout = self._layout.dense(dout, compute)
        dx = empty_like(dout)
        kernels.relu_backward(dout, contiguous(self._out, compute), dx)
        return self._layout(dx, dtype)

    @property
    def mask(self) -> Array | None:
        return None if self._shape is None else self._layout(self._out <= 0)
