"""The book's im2col and col2im ("Deep Learning from Scratch", section 7.4) on any strides."""

from __future__ import annotations

from fastconv.kernels.reference.taps import taps


def im2col(x, filter_size, stride, pad, col, n_threads):
    """Unroll the windows of `x`: one row per window, the window in the order channel, row, column.

    Parameters
    ----------
    x : (N, C, H, W), any strides
    filter_size, stride, pad : (h, w)
    col : (N * OH * OW, C * FH * FW), overwritten; padding gives zeros
    n_threads : int, ignored
    """
    windows = _windows(col, x.shape, filter_size, stride, pad)
    windows[...] = 0
    image = x.transpose(0, 2, 3, 1)
    for fh, fw, o, i in taps(image.shape, windows.shape, filter_size, stride, pad):
        windows[..., fh, fw][o] = image[i]


def col2im(col, filter_size, stride, pad, dx, n_threads):
    """Fold the windows back: the transpose of `im2col`, overlapping windows add up.

    Parameters
    ----------
    col : (N * OH * OW, C * FH * FW)
    filter_size, stride, pad : (h, w)
    dx : (N, C, H, W), overwritten
    n_threads : int, ignored
    """
    windows = _windows(col, dx.shape, filter_size, stride, pad)
    dx[...] = 0
    image = dx.transpose(0, 2, 3, 1)
    for fh, fw, o, i in taps(image.shape, windows.shape, filter_size, stride, pad):
        image[i] += windows[..., fh, fw][o]


def _windows(col, image_shape, filter_size, stride, pad):
    """View the rows of `col` as (N, OH, OW, C, FH, FW)."""
    N, C, H, W = image_shape
    OH = (H + 2 * pad[0] - filter_size[0]) // stride[0] + 1
    OW = (W + 2 * pad[1] - filter_size[1]) // stride[1] + 1
    return col.reshape(N, OH, OW, C, *filter_size)
