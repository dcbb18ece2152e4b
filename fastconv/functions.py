"""The book's functions. Arrays, lists and numbers are taken; integers count as float32 in all but the relus."""
from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from .arrays import Array, as_array, contiguous, dense, result_dtype
from .dispatch import kernels
from .labels import are_finite, class_numbers

__all__ = [
    "cross_entropy_error",
    "identity_function",
    "mean_squared_error",
    "relu",
    "relu_grad",
    "sigmoid",
    "sigmoid_grad",
    "softmax",
    "softmax_loss",
    "step_function",
    "sum_squared_error",
]


def identity_function(x: Any) -> Any:
    """Return `x`."""
    return x


def step_function(x: ArrayLike) -> Array:
    """Return 1 where `x` is positive, else 0, as integers."""
    x = as_array("step_function", "x", x)
    result_dtype("step_function", x=x)
    return np.array(x > 0, dtype=int)


def sigmoid(x: ArrayLike) -> Any:
    """Return ``1 / (1 + exp(-x))``; a number for a number."""
    x = as_array("sigmoid", "x", x)
    dtype, compute = result_dtype("sigmoid", x=x)
    x, layout = dense(x, compute)
    out = np.empty_like(x)
    kernels.sigmoid_forward(x, out)
    return layout(out, dtype)[()]


def sigmoid_grad(x: ArrayLike) -> Any:
    """Return the derivative of the sigmoid at `x`."""
    y = sigmoid(x)
    return (1 - y) * y


def relu(x: ArrayLike) -> Any:
    """Return ``max(x, 0)`` in the dtype of `x`."""
    x = as_array("relu", "x", x)
    result_dtype("relu", x=x)
    return np.maximum(x, x.dtype.type(0))


def relu_grad(x: ArrayLike) -> Any:
    """Return 1 where ``x >= 0``, else 0, in the dtype of `x`: the book's, at 0 unlike the layer's."""
    x = as_array("relu_grad", "x", x)
    result_dtype("relu_grad", x=x)
    return (x >= 0).astype(x.dtype)


def softmax(x: ArrayLike) -> Array:
    """Return ``exp(x) / sum(exp(x))`` along the last axis of `x` (K,) or (N, K)."""
    x = as_array("softmax", "x", x)
    dtype, compute = result_dtype("softmax", x=x)
    if x.ndim == 0 or x.shape[-1] == 0:
        raise ValueError(f"softmax: x has shape {x.shape}, expected (K,) or (N, K)")
    rows = contiguous(x, compute).reshape(math.prod(x.shape[:-1]), x.shape[-1])
    out = np.empty_like(rows)
    kernels.softmax_forward(rows, out)
    return out.reshape(x.shape).astype(dtype, copy=False)


def sum_squared_error(y: ArrayLike, t: ArrayLike) -> float:
    """Return half the sum of the squared differences, ``0.5 * sum((y - t)**2)``."""
    y, t = as_array("sum_squared_error", "y", y), as_array("sum_squared_error", "t", t)
    _, compute = result_dtype("sum_squared_error", y=y, t=t)
    if y.shape != t.shape and y.ndim and t.ndim:
        raise ValueError(f"sum_squared_error: y has shape {y.shape} and t {t.shape}, expected one shape: nothing is "
                         "broadcast")
    return 0.5 * float(np.square(np.subtract(y, t, dtype=compute, order="C")).sum(dtype=np.float64))


mean_squared_error = sum_squared_error  # the name in the book's first editions; there too it is half the sum


def cross_entropy_error(y: ArrayLike, t: ArrayLike) -> float:
    """Return the mean of ``-log(y[n, t[n]] + 1e-7)``.

    Parameters
    ----------
    y : array_like (N, K) or (K,)
        Probabilities.
    t : array_like
        Integer labels (N,) or one-hot rows (N, K); for `y` of one axis a single label or a row (K,). With a nan or
        inf in rows the loss is nan.

    Raises
    ------
    ValueError
        For any other shape and for labels out of range.
    """
    where = "cross_entropy_error"
    y, t = as_array(where, "y", y), as_array(where, "t", t)
    _, compute = result_dtype(where, y=y)
    if y.ndim == 1:
        y = y[None]
        t = t.reshape(1, *t.shape) if t.shape == y.shape[1:] else t.reshape(t.size)
    if y.ndim != 2:
        raise ValueError(f"{where}: y has shape {y.shape}, expected (N, K) or (K,)")
    N, K = y.shape
    if not are_finite(t):
        return math.nan
    chosen = y[np.arange(N), class_numbers(where, t, N, K)].astype(compute, copy=False)
    return (0.0 - float(np.add.reduce(np.log(chosen + compute.type(1e-7)), dtype=np.float64))) / max(N, 1)


def softmax_loss(X: ArrayLike, t: ArrayLike) -> float:
    """Return the cross entropy of ``softmax(X)`` for the labels `t`."""
    return cross_entropy_error(softmax(X), t)
