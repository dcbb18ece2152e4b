"""The book's helpers: the column matrix of a convolution, shuffling, and a smooth curve for plots."""
from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from .arrays import Array, as_array, contiguous, native, result_dtype
from .dispatch import kernels
from .shapes import Pair, check_addressable, check_images, conv_output_size, output_size, pair, whole

__all__ = ["col2im", "conv_output_size", "im2col", "shuffle_dataset", "smooth_curve"]


def smooth_curve(x: ArrayLike) -> Array:
    """Return `x` (n,) smoothed over 11 points with a Kaiser window (beta 2) and mirrored ends; (n,) again."""
    x = as_array("smooth_curve", "x", x)
    result_dtype("smooth_curve", x=x)
    if x.ndim != 1:
        raise ValueError(f"smooth_curve: x has shape {x.shape}, expected one axis")
    if not x.size:
        return x.astype(float)
    window = np.kaiser(11, 2)
    # the book repeats the last point and not the first
    mirrored = np.pad(np.pad(x, (5, 0), "reflect"), (0, 5), "symmetric")
    return np.convolve(window / window.sum(), mirrored, mode="valid")


def shuffle_dataset(x: ArrayLike, t: ArrayLike, *,
                    rng: np.random.Generator | None = None) -> tuple[Array, Array]:
    """Return the samples and the labels in one random order, as new arrays.

    `rng` gives the order; without it, NumPy's global generator does (``numpy.random.seed``).
    """
    x, t = as_array("shuffle_dataset", "x", x), as_array("shuffle_dataset", "t", t)
    if x.shape[:1] != t.shape[:1] or not x.ndim:
        raise ValueError(f"shuffle_dataset: x has shape {x.shape} and t {t.shape}, "
                         "expected the same number of samples")
    if rng is not None and not hasattr(rng, "permutation"):
        raise TypeError(f"shuffle_dataset: rng must be a numpy.random.Generator, got {rng!r}")
    permutation = (np.random if rng is None else rng).permutation(len(x))
    return x[permutation], t[permutation]


def im2col(input_data: ArrayLike, filter_h: int, filter_w: int, stride: int | Pair = 1,
           pad: int | Pair = 0) -> Array:
    """Unroll the windows of images into the rows of a matrix.

    Parameters
    ----------
    input_data : array_like (N, C, H, W)
    filter_h, filter_w : int
    stride, pad : int or (h, w)

    Returns
    -------
    array (N * OH * OW, C * filter_h * filter_w)
        A window lies in its row in the order channel, row, column; padding is 0.
    """
    x = as_array("im2col", "input_data", input_data)
    dtype, compute = result_dtype("im2col", input_data=x)
    check_images("im2col", x.shape)
    shape, geometry = _geometry("im2col", x.shape, filter_h, filter_w, stride, pad)
    col = np.empty(shape, compute)
    kernels.im2col(native(x, compute), *geometry, col)
    return col.astype(dtype, copy=False)


def col2im(col: ArrayLike, input_shape: tuple[int, int, int, int], filter_h: int, filter_w: int,
           stride: int | Pair = 1, pad: int | Pair = 0) -> Array:
    """Fold the rows of a matrix back into images, the transpose of `im2col`: overlapping windows add up.

    Parameters
    ----------
    col : array_like (N * OH * OW, C * filter_h * filter_w)
    input_shape : (N, C, H, W)
    filter_h, filter_w : int
    stride, pad : int or (h, w)

    Returns
    -------
    array (N, C, H, W)
    """
    rows = as_array("col2im", "col", col)
    dtype, compute = result_dtype("col2im", col=rows)
    if np.shape(input_shape) != (4,):
        raise ValueError(f"col2im: input_shape is {input_shape!r}, expected (N, C, H, W)")
    image_shape = tuple(whole(n, "col2im: each of input_shape") for n in input_shape)
    check_addressable("col2im", "input_shape", image_shape)
    shape, geometry = _geometry("col2im", image_shape, filter_h, filter_w, stride, pad)
    if rows.size != shape[0] * shape[1]:
        raise ValueError(f"col2im: col has shape {rows.shape}, expected {shape} for images {image_shape}")
    dx = np.empty(image_shape, compute)
    kernels.col2im(contiguous(rows, compute).reshape(shape), *geometry, dx)
    return dx.astype(dtype, copy=False)


def _geometry(where: str, shape: tuple[int, ...], filter_h: int, filter_w: int, stride: Any,
              pad: Any) -> tuple[tuple[int, int], tuple[Pair, Pair, Pair]]:
    """Return the shape of the column matrix, and filter size, stride and pad as pairs."""
    N, C, H, W = shape
    size = pair((filter_h, filter_w), f"{where}: (filter_h, filter_w)", 1)
    stride, pad = pair(stride, f"{where}: stride", 1), pair(pad, f"{where}: pad")
    OH, OW = output_size(where, (H, W), size, stride, pad, (1, 1))
    check_addressable(where, "the column matrix", (N, OH, OW, C, *size))
    return (N * OH * OW, C * size[0] * size[1]), (size, stride, pad)
