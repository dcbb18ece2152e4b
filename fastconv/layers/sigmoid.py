"""Logistic sigmoid."""
from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from ..arrays import Array, Layout, as_operand, contiguous, dense
from ..buffers import empty_like
from ..dispatch import kernels
from ..shapes import Shape
from .dout import as_dout


class Sigmoid:
    """``out = 1 / (1 + exp(-x))``.

    Attributes
    ----------
    out : array or None
        The result of the last forward.
    """

    _out: Array
    _layout: Layout
    _dtype: np.dtype[Any]

    def __init__(self) -> None:
        self.out: Array | None = None
        self._shape: Shape | None = None

    def __repr__(self) -> str:
        return f"{type(self).__name__}()"

    def forward(self, x: ArrayLike) -> Array:
        """Return the sigmoid of `x` of any shape, in the memory layout of `x`."""
        x, dtype, compute = as_operand("Sigmoid.forward", "x", x)
        values, layout = dense(x, compute)
        out = empty_like(values)
        kernels.sigmoid_forward(values, out)
        self._out, self._layout, self._dtype, self._shape = out, layout, dtype, x.shape
        self.out = result = layout(out, dtype)
        return result

    def backward(self, dout: ArrayLike) -> Array:
        """Return ``dx = dout * (1 - out) * out``."""
        dout, dtype, compute = as_dout("Sigmoid.backward", dout, self)
        dout = self._layout.dense(dout, compute)
        dx = empty_like(dout)
        kernels.sigmoid_backward(dout, contiguous(self._out, compute), dx)
        return self._layout(dx, dtype)
