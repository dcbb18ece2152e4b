"""Batch normalization (Ioffe and Szegedy, 2015) of the columns of (M, D).

The variance is the mean square of the centred values (two passes): the one-pass formula E[x^2] - E[x]^2
cancels when the mean is large. Sums run in float64 at least. With M = 0 every sum and mean is 0.
"""

from __future__ import annotations

import numpy as np


def batch_normalization_forward(x, gamma, beta, eps, out, mean, var, n_threads):
    """Normalize by the statistics of the batch: ``out = gamma * (x - mean) / sqrt(var + eps) + beta``.

    Parameters
    ----------
    x : (M, D)
    gamma, beta : (D,)
    eps : float
    out : (M, D), overwritten
    mean, var : (D,), overwritten
        `var` is biased: divided by M.
    n_threads : int, ignored
    """
    samples = max(len(x), 1)
    mean[...] = _sum(x) / samples
    var[...] = _sum(np.square(x - mean)) / samples
    batch_normalization_inference(x, gamma, beta, mean, var, eps, out, n_threads)


def batch_normalization_inference(x, gamma, beta, mean, var, eps, out, n_threads):
    """Normalize by given statistics.

    Parameters
    ----------
    x : (M, D)
    gamma, beta, mean, var : (D,)
    eps : float
    out : (M, D), overwritten
    n_threads : int, ignored
    """
    out[...] = (x - mean) * (gamma / np.sqrt(var + eps)) + beta


def batch_normalization_backward(dout, x, gamma, mean, var, eps, dx, dgamma, dbeta, n_threads):
    """Gradients of `batch_normalization_forward`, through the statistics too.

    With ``xn = (x - mean) / std``: ``dx = gamma / std * (dout - (dbeta + xn * dgamma) / M)``.

    Parameters
    ----------
    dout, x : (M, D)
    gamma, mean, var : (D,)
    eps : float
    dx : (M, D), overwritten
    dgamma, dbeta : (D,), overwritten
    n_threads : int, ignored
    """
    std = np.sqrt(var + eps)
    xn = (x - mean) / std
    dbeta[...] = _sum(dout)
    dgamma[...] = _sum(dout * xn)
    dx[...] = gamma / std * (dout - (dbeta + xn * dgamma) / max(len(x), 1))


def _sum(a):
    """Sum the columns in float64 at least."""
    return a.sum(axis=0, dtype=np.result_type(a, np.float64))
