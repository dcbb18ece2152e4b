"""Which sizes fit together: geometry and checks, with errors that say what came and what was expected.

The geometry functions are cached, so a layer that is called again with the same shapes is not checked again.
"""
from __future__ import annotations

import math
import operator
from collections.abc import Sequence
from functools import lru_cache
from typing import NamedTuple

import numpy as np

from .arrays import Array

LARGEST = 2**31 - 1  # size, stride, pad, ... that a kernel takes
LONGEST = 2**63 - 1  # axis of an array
MOST_VALUES = 2**58  # of an array; their bytes, and those of some more like it, can still be counted in 64 bits

Pair = tuple[int, int]
Shape = tuple[int, ...]


class ConvolutionGeometry(NamedTuple):
    """What a convolution kernel is told, and the shape (N, OH, OW, FN) of its output."""

    stride: Pair
    pad: Pair
    dilation: Pair
    groups: int
    out_shape: Shape


class PoolingGeometry(NamedTuple):
    """What a pooling kernel is told, and the shape (N, OH, OW, C) of its output."""

    window: Pair
    stride: Pair
    pad: Pair
    out_shape: Shape


def whole(value: int, name: str, minimum: int = 0, maximum: int = LONGEST) -> int:
    """Return `value`, an integer of any kind, as an int.

    Raises
    ------
    TypeError, ValueError
        If it is none (a bool is none), smaller than `minimum` or larger than `maximum`; `name` is how the message calls
        it.
    """
    try:
        n = _index(value)
    except TypeError:
        raise TypeError(f"{name} must be an integer, got {value!r}") from None
    _check_range(n, n, value, name, minimum, maximum)
    return n


def _index(value: int) -> int:
    if isinstance(value, (bool, np.ndarray)):  # an array of one number is an index to NumPy
        raise TypeError
    return operator.index(value)


def _check_range(least: int, most: int, value: int | Pair, name: str, minimum: int, maximum: int) -> None:
    if least < minimum:
        raise ValueError(f"{name} must be at least {minimum}, got {value!r}")
    if most > maximum:
        raise ValueError(f"{name} must be at most {maximum}, got {value!r}")


def image_size(where: str, input_dim: Sequence[int]) -> tuple[int, int, int]:
    """Return the shape of a network's images, (channels, height, width), or raise as `whole` does."""
    given = tuple(input_dim) if np.iterable(input_dim) else ()
    if len(given) != 3:
        raise ValueError(f"{where}: input_dim is {input_dim!r}, expected (channels, height, width)")
    C, H, W = (whole(n, f"{where}: each of input_dim", 1) for n in given)
    return C, H, W


def number(value: float, name: str) -> float:
    """Return `value` as a float, or raise TypeError with the `name` of what is no number."""
    try:
        return float(value + 0)
    except (TypeError, ValueError):
        raise TypeError(f"{name} must be a number, got {value!r}") from None


def pair(value: int | Pair, name: str, minimum: int = 0) -> Pair:
    """Return `value`, an integer or a tuple (h, w), as a pair.

    Raises
    ------
    TypeError, ValueError
        If it is neither, smaller than `minimum` or larger than `LARGEST`; `name` is how the message calls it.
    """
    values = value if isinstance(value, tuple) else (value, value)
    try:
        h, w = map(_index, values)
    except TypeError:
        raise TypeError(f"{name} must be an integer or a tuple (h, w) of integers, got {value!r}") from None
    except ValueError:
        raise ValueError(f"{name} must be an integer or a tuple (h, w), got {value!r}") from None
    _check_range(min(h, w), max(h, w), value, name, minimum, LARGEST)
    return h, w


def conv_output_size(input_size: int, filter_size: int, stride: int = 1, pad: int = 0,
                     dilation: int = 1) -> int:
    """Return how many positions a filter takes along one axis.

    ``(input_size + 2 * pad - dilation * (filter_size - 1) - 1) // stride + 1``

    Raises
    ------
    ValueError
        If stride or dilation is below 1, pad is negative, or the filter is larger than the padded input.
    """
    for name, value, minimum in (("input_size", input_size, 0), ("filter_size", filter_size, 1), ("stride", stride, 1),
                                 ("pad", pad, 0), ("dilation", dilation, 1)):
        whole(value, f"conv_output_size: {name}", minimum)
    return output_size("conv_output_size", (input_size,), (filter_size,), (stride,), (pad,), (dilation,))[0]


@lru_cache(maxsize=1024, typed=True)
def convolution_geometry(x_shape: Shape, w_shape: Shape, stride: int | Pair, pad: int | Pair,
                         dilation: int | Pair, groups: int) -> ConvolutionGeometry:
    """Check images (N, C, H, W) against filters (FN, C // groups, FH, FW) and return the geometry."""
    where = "Convolution.forward"
    stride = pair(stride, "Convolution: stride", 1)
    pad = pair(pad, "Convolution: pad")
    dilation = pair(dilation, "Convolution: dilation", 1)
    groups = whole(groups, "Convolution: groups", 1)
    if len(w_shape) != 4 or 0 in w_shape:
        raise ValueError(f"{where}: W has shape {w_shape}, expected (FN, C, FH, FW), none of them 0")
    if w_shape[0] % groups:
        raise ValueError(f"{where}: {w_shape[0]} filters cannot be cut into {groups} equal groups")
    reason = f"; W has shape {w_shape}" + (f" and groups is {groups}" if groups > 1 else "")
    check_images(where, x_shape, w_shape[1] * groups, reason)
    OH, OW = output_size(where, x_shape[2:], w_shape[2:], stride, pad, dilation)
    padded = tuple(n + 2 * p for n, p in zip(x_shape[2:], pad, strict=True))
    check_addressable(where, "a padded image", (*padded, x_shape[1]))
    out_shape = x_shape[0], OH, OW, w_shape[0]
    check_addressable(where, "the result", out_shape)
    return ConvolutionGeometry(stride, pad, dilation, groups, out_shape)


@lru_cache(maxsize=1024, typed=True)
def pooling_geometry(x_shape: Shape, pool_h: int, pool_w: int, stride: int | Pair, pad: int | Pair,
                     ceil_mode: bool = False) -> PoolingGeometry:
    """Check images (N, C, H, W) against a pooling window and return the geometry.

    With `ceil_mode` the last windows may stick out over the end of the padded image, if they begin before the end of
    the image itself.
    """
    where = "Pooling.forward"
    window = pair((pool_h, pool_w), "Pooling: (pool_h, pool_w)", 1)
    stride = pair(stride, "Pooling: stride", 1)
    pad = pair(pad, "Pooling: pad")
    if pad[0] >= window[0] or pad[1] >= window[1]:
        raise ValueError(f"Pooling: pad {pad} must be smaller than the window {window}: "
                         "a window in the padding alone has no maximum")
    check_images(where, x_shape)
    if ceil_mode:
        OH, OW = _positions_begun(where, x_shape[2:], window, stride, pad)
    else:
        OH, OW = output_size(where, x_shape[2:], window, stride, pad, (1, 1))
    out_shape = x_shape[0], OH, OW, x_shape[1]
    check_addressable(where, "the result", out_shape)
    return PoolingGeometry(window, stride, pad, out_shape)


def _positions_begun(where: str, size: Shape, window: Shape, stride: Shape, pad: Shape) -> Shape:
    """Return along each axis how many windows there are until one reaches the end of the padded image."""
    found = tuple(min(-((w - n - 2 * p) // s) + 1, (n + p - 1) // s + 1)
                  for n, w, s, p in zip(size, window, stride, pad, strict=True))
    if min(found) < 1:
        raise ValueError(f"{where}: a window of {_by(window)} does not fit an input of {_by(size)} with pad "
                         f"{_by(pad)}, not even with ceil_mode, because the stride is {_by(stride)}; pad more, or take "
                         "a smaller window")
    return found


def check_images(where: str, shape: Shape, channels: int | None = None, reason: str = "") -> None:
    """Raise ValueError unless `shape` is (N, C, H, W), with C = `channels` if that is given, for the `reason`."""
    if len(shape) == 4 and channels in (None, shape[1]):
        return
    expected = "(N, C, H, W)" if channels is None else f"(N, C, H, W) with C = {channels}"
    raise ValueError(f"{where}: x has shape {shape}, expected {expected}"
                     f"{_likely_cause(shape, channels) or reason}")


def check_dout(where: str, dout: Array, shape: Shape | None) -> None:
    """Raise unless `dout` has the shape that forward returned; `shape` is None before any forward."""
    if shape is None:
        raise RuntimeError(f"{where}: there is nothing to go back through yet, call forward first")
    if dout.shape != shape:
        raise ValueError(f"{where}: dout has shape {dout.shape}, expected {shape}, as forward returned")


def check_addressable(where: str, what: str, shape: Shape) -> None:
    """Raise MemoryError if an array of such a shape is too large for any machine; axes of length 0 count as 1."""
    if math.prod(max(n, 1) for n in shape) > MOST_VALUES:
        raise MemoryError(f"{where}: {what} has {_by(shape)} values, more than any memory holds")


def output_size(where: str, size: Shape, window: Shape, stride: Shape, pad: Shape, dilation: Shape) -> Shape:
    """Return `conv_output_size` along each axis, for arguments that were checked except that the window fits."""
    padded = tuple(n + 2 * p for n, p in zip(size, pad, strict=True))
    extent = tuple(d * (f - 1) + 1 for f, d in zip(window, dilation, strict=True))
    if any(e > n for e, n in zip(extent, padded, strict=True)):
        raise ValueError(f"{where}: a window of {_by(extent)} does not fit an input of {_by(size)} with pad "
                         f"{_by(pad)}; pad more, or take a smaller window{' or dilation' * (max(dilation) > 1)}")
    return tuple((n - e) // s + 1 for n, e, s in zip(padded, extent, stride, strict=True))


def _by(sizes: Shape) -> str:
    return " x ".join(map(str, sizes))


def _likely_cause(shape: Shape, channels: int | None) -> str:
    """Guess what was meant and say how to get it; empty where nothing is likely."""
    if len(shape) == 4:
        return "; it looks NHWC: x.transpose(0, 3, 1, 2)" if shape[3] == channels else ""
    if len(shape) == 3:
        if channels not in (None, 1):
            return "; add the batch axis: x[None]" if shape[0] == channels else ""
        return "; add the channel axis: x[:, None]"
    if len(shape) == 2:
        planes = channels or 1
        side = math.isqrt(shape[1] // planes)
        if side > 1 and planes * side * side == shape[1]:
            return f"; the images look flattened: x.reshape(-1, {planes}, {side}, {side})"
        return "; for one gray image: x[None, None]" if planes == 1 else ""
    return ""
