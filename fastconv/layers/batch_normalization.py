"""Batch normalization (Ioffe and Szegedy, 2015)."""
from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from ..arrays import Array, as_array, contiguous, result_dtype
from ..buffers import empty_like
from ..dispatch import kernels
from ..shapes import Shape, number
from .broadcast import by, to_parameter, to_vector
from .dout import as_dout
from .rows import Rows

EPS = 1e-6


class BatchNormalization:
    """``out = gamma * (x - mean) / sqrt(var + eps) + beta`` with the batch's own statistics in training.

    Parameters
    ----------
    gamma, beta : array (D,)
        For images (C * H * W,), each feature by itself as in the book, or (C,), each channel. A scalar serves
        all features.
    momentum : float
        ``running = momentum * running + (1 - momentum) * batch``
    running_mean, running_var : array in the shape of the statistics, optional
        What is used outside training; they start at zero.
    eps : float, keyword only
    unbiased : bool, keyword only
        Let `running_var` follow the variances divided by M - 1, for M values a feature, as in PyTorch; with M = 1 they
        are 0. What a batch is normalized by is divided by M in any case.

    Attributes
    ----------
    dgamma, dbeta : gradients in the shapes of gamma and beta
    input_shape, batch_size : of the last input
    """

    _rows: Array
    _gamma: Array
    _mean: Array
    _var: Array
    _dtype: np.dtype[Any]
    _frame: Rows
    _eps: float

    def __init__(self, gamma: ArrayLike, beta: ArrayLike, momentum: float = 0.9,
                 running_mean: Array | None = None, running_var: Array | None = None, *, eps: float = EPS,
                 unbiased: bool = False) -> None:
        if not number(eps, "BatchNormalization: eps") >= 0:
            raise ValueError(f"BatchNormalization: eps must be at least 0, got {eps!r}")
        number(momentum, "BatchNormalization: momentum")
        self.eps, self.unbiased = eps, bool(unbiased)
        self.gamma, self.beta, self.momentum = gamma, beta, momentum
        self.running_mean, self.running_var = running_mean, running_var
        self.input_shape: Shape | None = None
        self.batch_size: int | None = None
        self.dgamma: Array | None = None
        self.dbeta: Array | None = None
        self._shape: Shape | None = None

    def __repr__(self) -> str:
        eps = "" if self.eps == EPS else f", eps={self.eps}"
        unbiased = ", unbiased=True" if self.unbiased else ""
        return f"{type(self).__name__}(gamma: {by(self.gamma)}, momentum={self.momentum}{eps}{unbiased})"

    def forward(self, x: ArrayLike, train_flg: bool = True) -> Array:
        """Return the normalized `x`, (N, D) or (N, C, H, W); training updates the running statistics too."""
        where = "BatchNormalization.forward"
        x = as_array(where, "x", x)
        dtype, compute = result_dtype(where, x=x, gamma=self.gamma, beta=self.beta)
        frame = Rows(x.shape, _features(where, x.shape, self.gamma, self.beta))
        self.input_shape = x.shape
        if self.running_mean is None:
            self.running_mean = np.zeros(frame.features, compute)
        if self.running_var is None:
            self.running_var = np.zeros(frame.features, compute)
        rows = frame.rows(x, compute)
        gamma, beta, running_mean, running_var = (
            frame.columns(to_vector(where, name, getattr(self, name), frame.features, compute))
            for name in ("gamma", "beta", "running_mean", "running_var"))
        out = empty_like(rows)
        if not train_flg:
            kernels.batch_normalization_inference(rows, gamma, beta, running_mean, running_var, self.eps, out)
            return frame.restore(out, dtype)
        mean, var = empty_like(gamma), empty_like(gamma)
        kernels.batch_normalization_forward(rows, gamma, beta, self.eps, out, mean, var)
        if len(rows):
            self.follow(frame.features_of(mean), frame.features_of(var), len(rows))
        self._eps, self._rows, self._gamma, self._mean, self._var, self._frame = self.eps, rows, gamma, mean, var, frame
        self._shape, self._dtype, self.batch_size = x.shape, dtype, len(x)
        return frame.restore(out, dtype)

    def follow(self, mean: Array, var: Array, rows: int) -> None:
        """Move the running statistics by those of a batch of so many values a feature; `var` is divided by `rows`."""
        m = self.momentum
        if self.unbiased:
            var = var * (rows / max(rows - 1, 1))
        self.running_mean = m * np.asarray(self.running_mean) + (1 - m) * mean
        self.running_var = m * np.asarray(self.running_var) + (1 - m) * var

    def backward(self, dout: ArrayLike) -> Array:
        """Set dgamma and dbeta for the last training pass; return dx in the shape of x."""
        dout, dtype, compute = as_dout("BatchNormalization.backward", dout, self)
        frame = self._frame
        dout, x = frame.rows(dout, compute), contiguous(self._rows, compute)
        gamma, mean, var = (contiguous(a, compute) for a in (self._gamma, self._mean, self._var))
        dx, dgamma, dbeta = empty_like(x), empty_like(gamma), empty_like(gamma)
        kernels.batch_normalization_backward(dout, x, gamma, mean, var, self._eps, dx, dgamma, dbeta)
        self.dgamma = to_parameter(frame.features_of(dgamma), self.gamma, dtype)
        self.dbeta = to_parameter(frame.features_of(dbeta), self.beta, dtype)
        return frame.restore(dx, dtype)

    @property
    def std(self) -> Array | None:
        """The standard deviation (features,) that the last training pass divided by."""
        return None if self._shape is None else self._frame.features_of(np.sqrt(self._var + self._eps))

    @property
    def xc(self) -> Array | None:
        """The centred input of the last training pass (M, features): M images, or M pixels (per channel)."""
        return None if self._shape is None else self._frame.features_of(self._rows - self._mean)

    @property
    def xn(self) -> Array | None:
        """The normalized input of the last training pass (M, features)."""
        if self._shape is None:
            return None
        return self._frame.features_of((self._rows - self._mean) / np.sqrt(self._var + self._eps))


def _features(where: str, x_shape: Shape, gamma: ArrayLike, beta: ArrayLike) -> int:
    """Return how many features have statistics of their own, going by the sizes of the parameters."""
    if len(x_shape) not in (2, 4) or 0 in x_shape[1:]:
        raise ValueError(f"{where}: x has shape {x_shape}, expected (N, D) or (N, C, H, W)")
    channels, every = x_shape[1], math.prod(x_shape[1:])
    sizes = {np.size(p) for p in (gamma, beta)
             if np.ndim(p) and (np.size(p) > 1 or channels == 1)} or {every}
    if len(sizes) > 1 or not sizes <= {channels, every}:
        raise ValueError(f"{where}: gamma has shape {np.shape(gamma)} and beta {np.shape(beta)}, expected "
                         f"{every} entries, one a feature of x with shape {x_shape}"
                         + (f", or {channels}, one a channel" if len(x_shape) == 4 else ""))
    return sizes.pop()
