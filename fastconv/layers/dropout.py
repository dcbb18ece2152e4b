"""Dropout (Srivastava et al., 2014), the book's and the inverted form."""
from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, DTypeLike

from ..arrays import Array, as_operand, channels_last, contiguous, dense, from_channels_last
from ..buffers import empty, empty_like
from ..dispatch import kernels
from ..shapes import Shape, number
from .dout import as_dout


class Dropout:
    """Drop a share of the values in training; scale all of them down by that share otherwise.

    As in the book this is not the inverted dropout of later frameworks, unless `inverted` says so: training does not
    scale the values that are kept. Parameters that were trained one way don't fit the other.

    The masks come from a counter-based generator, Philox4x32-10: each training pass draws one key, and the key
    alone decides about each value, by its place. So masks are the same on any number of threads and in any
    memory layout. For one ``numpy.random.seed`` they repeat, but differ from the book's, which draws a number
    for each value.

    Parameters
    ----------
    dropout_ratio : float
        The share that is dropped, 0 to 1.
    rng : numpy.random.Generator, optional
        Where the keys come from; without it, NumPy's global generator (``numpy.random.seed``).
    inverted : bool, keyword only
        Scale the values that are kept up in training, by ``1 / (1 - dropout_ratio)``, and do nothing otherwise, as
        PyTorch does.

    Attributes
    ----------
    mask : bool array or None
        Where the last training pass kept x.
    """

    _mask: Array
    _dtype: np.dtype[Any]

    def __init__(self, dropout_ratio: float = 0.5, *, rng: np.random.Generator | None = None,
                 inverted: bool = False) -> None:
        if not 0 <= number(dropout_ratio, "Dropout: dropout_ratio") <= 1:
            raise ValueError(f"Dropout: dropout_ratio must be from 0 to 1, got {dropout_ratio!r}")
        if rng is not None and not hasattr(rng, "integers"):
            raise TypeError(f"Dropout: rng must be a numpy.random.Generator, got {rng!r}")
        self.dropout_ratio = dropout_ratio
        self.rng = rng
        self.inverted = bool(inverted)
        self._shape: Shape | None = None

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.dropout_ratio}{', inverted=True' if self.inverted else ''})"

    @property
    def scale(self) -> float:
        """What training multiplies the values by that it keeps; 1 where not even one of them is kept."""
        kept = 1.0 - max(self.dropout_ratio, 0.0)
        return 1.0 / kept if self.inverted and kept else 1.0

    def draw_key(self) -> int:
        """Return the key of the next mask, 0 to 2**64 - 1, from `rng` or NumPy's global generator."""
        if self.rng is None:
            return int(np.random.randint(0, 2**64, dtype=np.uint64))
        return int(self.rng.integers(2**64, dtype=np.uint64))

    def forward(self, x: ArrayLike, train_flg: bool = True) -> Array:
        """Return ``x * mask`` in training, else ``x * (1 - dropout_ratio)`` in the memory layout of `x`.

        Inverted: ``x * mask / (1 - dropout_ratio)`` in training, else `x` itself.
        """
        x, dtype, compute = as_operand("Dropout.forward", "x", x)
        if not train_flg and self.inverted:
            return x.astype(dtype, copy=False)
        if not train_flg:
            x, layout = dense(x, compute)
            return layout(np.asarray(x * compute.type(1.0 - self.dropout_ratio)), dtype)
        shape, x = x.shape, _in_order(x, compute)
        out, mask = empty_like(x), empty(x.shape, np.dtype(bool))
        kernels.dropout_forward(x, self.draw_key(), self.dropout_ratio, mask, out)
        self._scale(out)
        self._shape, self._dtype, self._mask = shape, dtype, mask
        return _restored(out, dtype)

    def backward(self, dout: ArrayLike) -> Array:
        """Return ``dx = dout * mask`` with the mask of the last training pass, scaled as its output was."""
        dout, dtype, compute = as_dout("Dropout.backward", dout, self)
        dout = _in_order(dout, compute)
        dx = empty_like(dout)
        kernels.dropout_backward(dout, self._mask, dx)
        self._scale(dx)
        return _restored(dx, dtype)

    def _scale(self, out: Array) -> None:
        """Scale what was kept, in place."""
        if self.scale != 1.0:
            np.multiply(out, out.dtype.type(self.scale), out=out)

    @property
    def mask(self) -> Array | None:
        return None if self._shape is None else _restored(self._mask, bool)


def _in_order(x: Array, dtype: DTypeLike) -> Array:
    """Return `x` contiguous, its values in the masks' order: images (N, H, W, C), anything else as its shape says."""
    return channels_last(x, dtype) if x.ndim == 4 else contiguous(x, dtype)


def _restored(x: Array, dtype: DTypeLike) -> Array:
    return from_channels_last(x, dtype) if x.ndim == 4 else x.astype(dtype, copy=False)
