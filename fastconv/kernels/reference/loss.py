"""Softmax and the cross entropy of its rows."""

from __future__ import annotations

import numpy as np


def softmax_forward(x, out, n_threads):
    """``out = exp(x) / sum(exp(x))`` row by row, the row's maximum subtracted first.

    Parameters
    ----------
    x : (N, K)
    out : (N, K), overwritten
    n_threads : int, ignored
    """
    np.exp(x - x.max(axis=1, keepdims=True), out=out)
    out /= out.sum(axis=1, keepdims=True)


def softmax_loss_forward(x, t, y, loss, n_threads):
    """Softmax of each row and ``loss[n] = -log(y[n, t[n]] + 1e-7)``, not averaged.

    Parameters
    ----------
    x : (N, K)
    t : int64 (N,)
    y : (N, K), overwritten with the softmax
    loss : (N,), overwritten
    n_threads : int, ignored
    """
    softmax_forward(x, y, n_threads)
    loss[...] = -np.log(y[np.arange(len(t)), t] + 1e-7)


def softmax_loss_backward(y, t, dx, n_threads):
    """Gradient of the mean loss: ``dx = (y - onehot(t)) / N``.

    Parameters
    ----------
    y : (N, K), the softmax
    t : int64 (N,)
    dx : (N, K), overwritten
    n_threads : int, ignored
    """
    dx[...] = y
    dx[np.arange(len(t)), t] -= 1
    dx /= len(t)
