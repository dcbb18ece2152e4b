"""Convolution in NumPy: one matrix product per filter tap, after Chellapilla et al. (2006), unrolled by tap.

The column matrix of im2col is never built: its columns that belong to one tap (fh, fw) are a strided
rectangle of the image, and the product is the sum over the taps.
"""

from __future__ import annotations

from fastconv.kernels.reference.gemm import bias_backward
from fastconv.kernels.reference.taps import taps


def convolution_forward(x, weight, bias, stride, pad, dilation, groups, out, n_threads):
    """Cross-correlation: ``out[n, oh, ow] = bias + sum of x[n, h, w, c] * weight[:, c, fh, fw]``.

    Parameters
    ----------
    x : (N, H, W, C)
    weight : (FN, C // groups, FH, FW)
    bias : (FN,) or None
    stride, pad, dilation : (h, w)
    groups : int
        FN and C are cut into this many blocks; the filters of a block see the channels of that block only.
    out : (N, OH, OW, FN), overwritten
    n_threads : int, ignored
    """
    out[...] = 0 if bias is None else bias
    for fh, fw, o, i in taps(x.shape, out.shape, weight.shape[2:], stride, pad, dilation):
        tap = _by_group(weight[:, :, fh, fw], groups)  # (groups, FN / groups, C / groups)
        product = _pixels_by_group(x[i], groups) @ tap.transpose(0, 2, 1)
        out[o] += product.transpose(1, 0, 2).reshape(out[o].shape)


def convolution_backward_data(dout, weight, stride, pad, dilation, groups, dx, n_threads):
    """Gradient of the images: each tap of `convolution_forward` transposed.

    Parameters
    ----------
    dout : (N, OH, OW, FN)
    weight : (FN, C // groups, FH, FW)
    stride, pad, dilation : (h, w)
    groups : int
    dx : (N, H, W, C), overwritten
    n_threads : int, ignored
    """
    dx[...] = 0
    for fh, fw, o, i in taps(dx.shape, dout.shape, weight.shape[2:], stride, pad, dilation):
        tap = _by_group(weight[:, :, fh, fw], groups)
        product = _pixels_by_group(dout[o], groups) @ tap
        dx[i] += product.transpose(1, 0, 2).reshape(dx[i].shape)


def convolution_backward_weight(x, dout, stride, pad, dilation, groups, dweight, dbias, n_threads):
    """Gradients of the filters and of the bias.

    Parameters
    ----------
    x : (N, H, W, C)
    dout : (N, OH, OW, FN)
    stride, pad, dilation : (h, w)
    groups : int
    dweight : (FN, C // groups, FH, FW), overwritten
    dbias : (FN,), overwritten
    n_threads : int, ignored
    """
    FN, CG, FH, FW = dweight.shape
    dweight[...] = 0
    for fh, fw, o, i in taps(x.shape, dout.shape, (FH, FW), stride, pad, dilation):
        product = _pixels_by_group(dout[o], groups).transpose(0, 2, 1) @ _pixels_by_group(x[i], groups)
        dweight[:, :, fh, fw] = product.reshape(FN, CG)
    bias_backward(dout.reshape(-1, FN), dbias, n_threads)


def _by_group(tap, groups):
    """View one tap of the filters, (FN, C / groups), as (groups, FN / groups, C / groups)."""
    return tap.reshape(groups, -1, tap.shape[1])


def _pixels_by_group(image, groups):
    """View or copy (N, OH, OW, C) as (groups, N * OH * OW, C / groups)."""
    return image.reshape(-1, groups, image.shape[-1] // groups).transpose(1, 0, 2)
