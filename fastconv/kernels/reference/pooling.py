"""Pooling over NHWC images, one strided rectangle per tap of the window. Needs pad < window.

The last windows may stick out over the end of the padded images; each has at least one pixel of its image.
"""

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
    """Sum of each window over its area: padding counts as zeros, what is behind the padding does not count.

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
    out /= _areas(x.shape, out, window, stride, pad)


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
    shares = dout / _areas(dx.shape, dout, window, stride, pad)
    for _, _, o, i in taps(dx.shape, dout.shape, window, stride, pad):
        dx[i] += shares[o]


def _areas(x_shape, out, window, stride, pad):
    """Return the pixels (OH, OW, 1) of the windows that lie in the padded image, in the dtype of `out`."""
    rows, columns = (np.minimum(window[a], x_shape[1 + a] + 2 * pad[a] - np.arange(out.shape[1 + a]) * stride[a])
                     for a in (0, 1))
    return np.multiply.outer(rows, columns)[..., None].astype(out.dtype)
