"""Local response normalization (Krizhevsky, Sutskever and Hinton, 2012, section 3.3)."""
from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from ..arrays import Array, as_operand, channels_last, contiguous, from_channels_last
from ..dispatch import kernels
from ..shapes import LARGEST, Shape, check_images, number, whole
from .dout import as_dout


class LRN:
    """``out = x / (k + alpha / n * sum(x**2)) ** beta``, the sum over n channels around each value's own.

    They are the channels from ``c - n // 2`` to ``c + (n - 1) // 2``, as far as there are any. The paper's alpha is
    not divided by n; this one is, as in PyTorch, so the paper's 1e-4 is ``alpha=5e-4`` here.

    Parameters
    ----------
    n : int
    k, alpha, beta : float

    Attributes
    ----------
    n, k, alpha, exponent
        `exponent` is beta: a network takes an attribute `beta` for a parameter that it trains.
    """

    _x: Array
    _dtype: np.dtype[Any]
    _settings: tuple[int, float, float, float]

    def __init__(self, n: int = 5, k: float = 2.0, alpha: float = 1e-4, beta: float = 0.75) -> None:
        self.n, self.k, self.alpha, self.exponent = n, k, alpha, beta
        self.settings()
        self._shape: Shape | None = None

    def __repr__(self) -> str:
        return f"{type(self).__name__}(n={self.n}, k={self.k}, alpha={self.alpha}, beta={self.exponent})"

    def settings(self) -> tuple[int, float, float, float]:
        """Return n, k, alpha and beta as a kernel takes them.

        Raises
        ------
        TypeError, ValueError
            If n is no integer of at least 1, or another is no number.
        """
        return (whole(self.n, "LRN: n", 1, LARGEST), number(self.k, "LRN: k"), number(self.alpha, "LRN: alpha"),
                number(self.exponent, "LRN: beta"))

    def forward(self, x: ArrayLike) -> Array:
        """Return the normalized images (N, C, H, W) of `x` (N, C, H, W)."""
        where = "LRN.forward"
        x, dtype, compute = as_operand(where, "x", x)
        check_images(where, x.shape)
        images, settings = channels_last(x, compute), self.settings()
        out = np.empty_like(images)
        kernels.lrn_forward(images, *settings, out)
        self._x, self._dtype, self._shape, self._settings = images, dtype, x.shape, settings
        return from_channels_last(out, dtype)

    def backward(self, dout: ArrayLike) -> Array:
        """Return dx (N, C, H, W) for `dout` (N, C, H, W)."""
        dout, dtype, compute = as_dout("LRN.backward", dout, self)
        x = contiguous(self._x, compute)
        dx = np.empty_like(x)
        kernels.lrn_backward(channels_last(dout, compute), x, *self._settings, dx)
        return from_channels_last(dx, dtype)
