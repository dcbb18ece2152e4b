"""Softmax with the cross entropy loss."""
from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from ..arrays import Array, as_array, contiguous, result_dtype
from ..buffers import empty, empty_like
from ..dispatch import kernels
from ..labels import are_finite, class_labels
from ..shapes import number


class SoftmaxWithLoss:
    """``loss = mean over n of -log(y[n, t[n]] + 1e-7)`` with ``y = softmax(x)``.

    Parameters
    ----------
    label_smoothing : float from 0 to 1
        Share of the target that is spread over all K classes (Szegedy et al., 2016):
        ``q = (1 - label_smoothing) * t + label_smoothing / K``, t one-hot or soft. The loss is then
        ``mean over n of -sum(q[n] * log(y[n]))``, as in PyTorch, without the book's 1e-7.

    Attributes
    ----------
    loss : float, the last loss
    y : array (N, K), the softmax of the last x
    t : the last labels, as they were given
    """

    _y: Array
    _labels: Array
    _soft: Array | None
    _dtype: np.dtype[Any]

    def __init__(self, label_smoothing: float = 0.0) -> None:
        if not 0 <= number(label_smoothing, "SoftmaxWithLoss: label_smoothing") <= 1:
            raise ValueError(f"SoftmaxWithLoss: label_smoothing must be from 0 to 1, got {label_smoothing!r}")
        self.label_smoothing = label_smoothing
        self.loss: float | None = None
        self.y: Array | None = None
        self.t: Array | None = None

    def __repr__(self) -> str:
        smoothing = f"label_smoothing={self.label_smoothing}" if self.label_smoothing else ""
        return f"{type(self).__name__}({smoothing})"

    def forward(self, x: ArrayLike, t: ArrayLike) -> float:
        """Return the loss of the scores `x` (N, K) for the labels `t`; 0 for an empty batch.

        Parameters
        ----------
        x : array_like (N, K)
        t : array_like
            Integers (N,) from 0 to K - 1, or one-hot rows (N, K). Soft rows are taken as in the book: the
            loss is that of the largest entry, the gradient is ``(y - t) / N``; with a nan or inf in them the loss
            is nan.

        Raises
        ------
        ValueError
            For any other shape and for labels out of range.
        """
        where = "SoftmaxWithLoss.forward"
        x, t = as_array(where, "x", x), as_array(where, "t", t)
        dtype, compute = result_dtype(where, x=x)
        if x.ndim != 2 or x.shape[1] == 0:
            cause = "; for one sample: x[None]" if x.ndim == 1 else ""
            raise ValueError(f"{where}: x has shape {x.shape}, expected (N, K), one column a class{cause}")
        N, K = x.shape
        labels, soft = self.targets(where, t, N, K)
        y, losses = empty((N, K), compute), np.empty(N, compute)
        kernels.softmax_loss_forward(contiguous(x, compute), labels, y, losses)
        loss = self.take(float(np.add.reduce(losses, dtype=np.float64)) / max(N, 1), y, t, labels, soft)
        self.y, self._dtype = y.astype(dtype, copy=False), dtype
        return loss

    def targets(self, where: str, t: ArrayLike, N: int, K: int) -> tuple[Array, Array | None]:
        """Return `class_labels`, the rows smoothed."""
        labels, soft = class_labels(where, t, N, K)
        if not self.label_smoothing:
            return labels, soft
        if soft is None:
            soft = np.zeros((N, K))
            soft[np.arange(N), labels] = 1
        return labels, (1 - self.label_smoothing) * soft + self.label_smoothing / K

    def take(self, loss: float, y: Array, t: Array, labels: Array, soft: Array | None) -> float:
        """Remember a forward pass, computed here or by an engine; return its loss. See the attributes and `targets`."""
        if self.label_smoothing and soft is not None:
            logarithms = np.log(np.maximum(y, np.finfo(y.dtype).tiny), dtype=np.float64)
            loss = float(-(soft * logarithms).sum()) / max(len(y), 1)
        elif soft is not None and not are_finite(soft):
            loss = math.nan
        self.loss, self.y, self.t = loss, y, t
        self._y, self._labels, self._soft, self._dtype = y, labels, soft, y.dtype
        return loss

    def backward(self, dout: float = 1) -> Array:
        """Return ``dx = (y - onehot(t)) / N``; `dout` is ignored, as in the book."""
        if self.y is None:
            raise RuntimeError("SoftmaxWithLoss.backward: there is no loss yet, call forward first")
        if self._soft is None:
            dx = empty_like(self._y)
            kernels.softmax_loss_backward(self._y, self._labels, dx)
        else:
            dx = (self._y - self._soft.astype(self._y.dtype)) / len(self._y)
        return dx.astype(self._dtype, copy=False)
