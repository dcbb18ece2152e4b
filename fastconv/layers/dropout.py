"""Dropout (Srivastava et al., 2014), not inverted."""
from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from ..arrays import FLOAT64, Array, Layout, as_array, dense, result_dtype
from ..dispatch import kernels
from ..shapes import Shape, check_dout


class Dropout:
    """Drop a share of the values in training; scale all of them down by that share otherwise.

    As in the book this is not the inverted dropout of later frameworks: training does not scale the values
    that are kept. Parameters that were trained one way don't fit the other.

    Parameters
    ----------
    dropout_ratio : float
        The share that is dropped, 0 to 1.
    rng : numpy.random.Generator, optional
        Where the masks come from; without it, NumPy's global generator (``numpy.random.seed``).

    Attributes
    ----------
    mask : bool array or None
        Where the last training pass kept x.
    """

    _mask: Array
    _layout: Layout
    _dtype: np.dtype[Any]

    def __init__(self, dropout_ratio: float = 0.5, *, rng: np.random.Generator | None = None) -> None:
        try:
            is_share = 0 <= dropout_ratio <= 1
        except TypeError:
            raise TypeError(f"Dropout: dropout_ratio must be a number from 0 to 1, got {dropout_ratio!r}") from None
        if not is_share:
            raise ValueError(f"Dropout: dropout_ratio must be from 0 to 1, got {dropout_ratio!r}")
        if rng is not None and not hasattr(rng, "random"):
            raise TypeError(f"Dropout: rng must be a numpy.random.Generator, got {rng!r}")
        self.dropout_ratio = dropout_ratio
        self.rng = rng
        self._shape: Shape | None = None

    def forward(self, x: ArrayLike, train_flg: bool = True) -> Array:
        """Return ``x * mask`` in training, else ``x * (1 - dropout_ratio)``, in the memory layout of `x`."""
        x = as_array("Dropout.forward", "x", x)
        dtype, compute = result_dtype("Dropout.forward", x=x)
        shape = x.shape
        x, layout = dense(x, compute)
        if not train_flg:
            return layout(np.asarray(x * compute.type(1.0 - self.dropout_ratio)), dtype)
        random = layout.dense(np.asarray((self.rng or np.random).random(shape)), FLOAT64)
        out, mask = np.empty_like(x), np.empty(x.shape, bool)
        kernels.dropout_forward(x, random, self.dropout_ratio, mask, out)
        self._shape, self._dtype, self._layout, self._mask = shape, dtype, layout, mask
        return layout(out, dtype)

    def backward(self, dout: ArrayLike) -> Array:
        """Return ``dx = dout * mask`` with the mask of the last training pass."""
        dout = np.asarray(dout)
        check_dout("Dropout.backward", dout, self._shape)
        dtype, compute = result_dtype("Dropout.backward", dout=dout, x=self._dtype)
        dout = self._layout.dense(dout, compute)
        dx = np.empty_like(dout)
        kernels.dropout_backward(dout, self._mask, dx)
        return self._layout(dx, dtype)

    @property
    def mask(self) -> Array | None:
        return None if self._shape is None else self._layout(self._mask)
