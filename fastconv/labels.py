"""The labels of a classification: class numbers or one-hot rows."""
from __future__ import annotations

import math
from typing import Any

import numpy as np

from .arrays import Array, as_array, contiguous


def class_labels(where: str, t: Any, N: int, K: int) -> tuple[Array, Array | None]:
    """Return `class_numbers`, and the rows (N, K) where they are not one-hot, else None."""
    t = as_array(where, "t", t)
    labels = class_numbers(where, t, N, K)
    if t.shape != (N, K):
        return labels, None
    one_hot = np.count_nonzero(t) == N == np.count_nonzero(t[np.arange(N), labels] == 1)
    return labels, None if one_hot else t


def are_finite(t: Array) -> bool:
    """Say whether labels are; a loss or an accuracy of others is nan: the largest entry of such a row is no class."""
    if t.dtype.kind != "f" or math.isfinite(np.vdot(t, t)):  # of a few numbers five times as fast as to ask for each
        return True
    return bool(np.isfinite(t).all())


def class_numbers(where: str, t: Any, N: int, K: int) -> Array:
    """Return labels as class numbers.

    Parameters
    ----------
    where : str
        The call, for the error message.
    t : array_like
        Integers (N,) from 0 to K - 1, for a single sample (1, 1) too, or rows (N, K): one-hot, or soft as in
        label smoothing.
    N, K : int
        Number of samples and of classes.

    Returns
    -------
    int64 array (N,)
        For rows the class of the largest entry.

    Raises
    ------
    ValueError
        For any other shape, labels out of range, and labels (N,) that are no integers.
    TypeError
        If `t` does not hold real numbers.
    """
    t = as_array(where, "t", t)
    if t.dtype.kind not in "biuf":
        raise TypeError(f"{where}: t has dtype {t.dtype}, expected integer labels or one-hot rows")
    if t.shape == (N, 1) == (1, 1) and K > 1:  # one label for one sample, as in the book's ch07/gradient_check.py
        t = t[0]
    if t.shape == (N,) and (t.dtype.kind in "biu" or N == 0):
        labels = contiguous(t, np.int64)
        if N and np.maximum.reduce(labels.view(np.uint64)) >= K:  # a negative label is a huge one here
            raise ValueError(f"{where}: t has labels from {t.min()} to {t.max()}, expected 0 to {K - 1}: "
                             f"x has {K} columns, one a class")
        return labels
    if t.shape == (N, K):
        return contiguous(t.argmax(axis=1), np.int64)
    raise ValueError(f"{where}: t has shape {t.shape} and dtype {t.dtype}, expected integer labels of shape "
                     f"({N},) from 0 to {K - 1}, or one-hot rows of shape ({N}, {K}){_likely_cause(t, N)}")


def _likely_cause(t: Array, N: int) -> str:
    if t.shape == (N, 1):
        return "; drop the second axis: t[:, 0]"
    if t.shape == (N,) and t.dtype.kind == "f":
        return "; the labels are floating-point: t.astype(int)"
    if t.ndim and len(t) != N:
        return f"; x has {N} rows and t has {len(t)}"
    return ""
