"""Local response normalization (Krizhevsky, Sutskever and Hinton, 2012, section 3.3) across the channels of a pixel.

With ``scale[c] = k + alpha / n * sum(x**2)`` over the n channels from c - n // 2 to c + (n - 1) // 2, as far as there
are any, ``out = x / scale**beta``. The paper's alpha is not divided by n; this one is, as in PyTorch.
"""

from __future__ import annotations

import numpy as np


def lrn_forward(x, n, k, alpha, beta, out, n_threads):
    """Divide each value by a power of the mean square around its channel.

    Parameters
    ----------
    x : (N, H, W, C)
    n : int
    k, alpha, beta : float
    out : (N, H, W, C), overwritten
    n_threads : int, ignored
    """
    out[...] = x / _scale(x, n, k, alpha) ** beta


def lrn_backward(dout, x, n, k, alpha, beta, dx, n_threads):
    """Gradient of `lrn_forward`: ``dx = dout / scale**beta - 2 * alpha / n * beta * x * sum(dout * out / scale)``.

    The sum runs over the channels in whose window the value lies.

    Parameters
    ----------
    dout, x : (N, H, W, C)
    n : int
    k, alpha, beta : float
    dx : (N, H, W, C), overwritten
    n_threads : int, ignored
    """
    scale = _scale(x, n, k, alpha)
    direct = dout / scale**beta
    dx[...] = direct - 2 * alpha / n * beta * x * _window_sums(direct * x / scale, (n - 1) // 2, n // 2)


def _scale(x, n, k, alpha):
    return k + alpha / n * _window_sums(np.square(x), n // 2, (n - 1) // 2)


def _window_sums(values, before, after):
    """Return for each channel the sum over the channels from so many before it to so many after it."""
    C = values.shape[-1]
    before, after = min(before, C), min(after, C)
    padded = np.pad(values, ((0, 0), (0, 0), (0, 0), (before, after)))
    return sum(padded[..., i : i + C] for i in range(before + after + 1))
