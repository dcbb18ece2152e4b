"""Pooling over NHWC images, one strided rectangle per tap of the window. Needs pad < window."""

from __future__ import annotations

import numpy as np

from fastconv.kernels.reference.taps import taps


def max_pooling_forward(x, window, stride, pad, out, n_threads):
    """Maximum of each window; padding never wins, nan always does.

    Parameters
    ----------
    x : (N, H, W, C)
    window, stride, pad : (h, w)
    out : (N, OH, OW, C), overwritten
    n_threads : int, ignored
    """
    out[...] = -np.inf
    for _, _, o, i in taps(x.shape, out.shape, window, stride, pad):
        np.maximum(out[o], x[i], out=out[o])


def max_pooling_backward(dout, x, out, window, stride, pad, dx, n_threads):
    """Send each `dout` to the first maximum of its window (to the first nan, where there is one).

    Parameters
    ----------
    dout, out : (N, OH, OW, C)
        `out` is what `max_pooling_forward` made of `x`.
    x : (N, H, W, C)
    window, stride, pad : (h, w)
    dx : (N, H, W, C), overwritten
    n_threads : int, ignored
    """
    dx[...] = 0
    waiting = np.ones(out.shape, bool)  # windows whose maximum has not come yet
    for _, _, o, i in taps(x.shape, out.shape, window, stride, pad):
        first = waiting[o] & ((x[i] == out[o]) | np.isnan(x[i]))
        dx[i] += np.where(first, dout[o], 0)
        waiting[o] &= ~first


def average_pooling_forward(x, window, stride, pad, out, n_threads):
    """Sum of each window over the window's whole area: padding counts as zeros.

    Parameters
    ----------
    x : (N, H, W, C)
    window, stride, pad : (h, w)
    out : (N, OH, OW, C), overwritten
    n_threads : int, ignored
    """
    out[...] = 0
    for _, _, o, i in taps(x.shape, out.shape, window, stride, pad):
        out[o] += x[i]
    out /= window[0] * window[1]


def average_pooling_backward(dout, window, stride, pad, dx, n_threads):
    """Spread each `dout` evenly over its window; the padding's share is lost.

    Parameters
    ----------
    dout : (N, OH, OW, C)
    window, stride, pad : (h, w)
    dx : (N, H, W, C), overwritten
    n_threads : int, ignored
    """
    dx[...] = 0
    for _, _, o, i in taps(dx.shape, dout.shape, window, stride, pad):
        dx[i] += dout[o]
    dx /= window[0] * window[1]
