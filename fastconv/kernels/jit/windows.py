"""Max and average pooling of one row of windows, and the gradients of one image, on channels-last memory.

Whole lines of channels stay in registers while a window is visited. The native twin is ../native/windows.pxd."""
from __future__ import annotations

from typing import Annotated

import numba
import numpy as np

from .arguments import Records
from .compile import inline, inner
from .lines import LINE_BYTES, fill, load, store, zero
from .max_line import larger, take

POOL = np.dtype([(name, np.int64) for name in (
    "h",         # one image
    "w",
    "c",
    "oh",
    "ow",
    "ph",        # window
    "pw",
    "sh",        # stride
    "sw",
    "top",       # pad
    "left",
    "x_row",     # elements from one row of x to the next, of out likewise
    "out_row",
    "dx_row",    # of dx
    "dout_row",  # and dout, where a backward pass has x and out beside them
)])

Pools = Annotated[np.ndarray, Records(POOL)]


def pool_record(image: tuple[int, ...], result: tuple[int, ...], window: tuple[int, int], stride: tuple[int, int],
                pad: tuple[int, int], **rows: int) -> np.ndarray:
    """Return the record of images (h, w, c) pooled to (oh, ow, c); `rows` are the rows that are not dense."""
    (h, w, c), (oh, ow) = image, result[:2]
    dense = {"x_row": w * c, "out_row": ow * c, "dx_row": w * c, "dout_row": ow * c}
    made = np.zeros(1, POOL)
    made[0] = (h, w, c, oh, ow, *window, *stride, *pad, *(dense | rows).values())
    return made.view(np.recarray) if numba.config.DISABLE_JIT else made


@inline
def inside(first, size, limit):
    """Return which pixels of a window that begins at `first` are inside the image, along one axis."""
    return max(first, 0), min(first + size, limit)


@inline
def counted(o, size, stride, pad, limit):
    """Return how many pixels of window o an average counts along one axis: padding, but nothing behind it."""
    return min(size, limit + 2 * pad - o * stride)


@inner
def max_row(p, x, x_at, oh, out, out_at):
    """Write row oh of the maxima of the image that begins at x_at; nan wins."""
    c, x_row, pw, sw, left, width = p.c, p.x_row, p.pw, p.sw, p.left, p.w
    lanes = LINE_BYTES // x.itemsize
    whole = c // lanes * lanes
    h0, h1 = inside(oh * p.sh - p.top, p.ph, p.h)
    if h1 - h0 == pw == 2 and left == 0 and (p.ow - 1) * sw + 2 <= width and whole == c:
        max_squares(p.ow, c, sw, x_row, x, x_at + h0 * x_row, out, out_at)
        return
    for ow in range(p.ow):
        w0, w1 = inside(ow * sw - left, pw, width)
        first, to = x_at + h0 * x_row + w0 * c, out_at + ow * c
        for k in range(0, whole, lanes):
            best = fill(out, -np.inf)
            for h in range(h1 - h0):
                for w in range(w1 - w0):
                    best = larger(best, load(x, first + h * x_row + w * c + k))
            store(out, to + k, best)
        for k in range(whole, c):
            most = x[first + k]
            for h in range(h1 - h0):
                for w in range(w1 - w0):
                    value = x[first + h * x_row + w * c + k]
                    most = value if value > most or value != value else most
            out[to + k] = most


@inner
def max_squares(count, c, step, x_row, x, at, out, to):
    """Write so many maxima of 2x2 pixels of whole lines: the usual windows."""
    for _ in range(count):
        for k in range(at, at + c, LINE_BYTES // x.itemsize):
            best = larger(larger(load(x, k), load(x, k + c)), load(x, k + x_row))
            store(out, to, larger(best, load(x, k + x_row + c)))
            to += LINE_BYTES // x.itemsize
        at += step * c


@inner
def average_row(p, x, x_at, oh, out, out_at):
    """Write row oh of the averages of the image that begins at x_at; padding counts as zeros."""
    c, x_row, pw, sw, left, width = p.c, p.x_row, p.pw, p.sw, p.left, p.w
    lanes = LINE_BYTES // x.itemsize
    whole = c // lanes * lanes
    h0, h1 = inside(oh * p.sh - p.top, p.ph, p.h)
    rows = counted(oh, p.ph, p.sh, p.top, p.h)
    for ow in range(p.ow):
        w0, w1 = inside(ow * sw - left, pw, width)
        area = rows * counted(ow, pw, sw, left, width)
        first, to = x_at + h0 * x_row + w0 * c, out_at + ow * c
        for k in range(0, whole, lanes):
            total = fill(out, 0)
            for h in range(h1 - h0):
                for w in range(w1 - w0):
                    total = total + load(x, first + h * x_row + w * c + k)
            store(out, to + k, total / area)
        for k in range(whole, c):
            out[to + k] = 0
            for h in range(h1 - h0):
                for w in range(w1 - w0):
                    out[to + k] += x[first + h * x_row + w * c + k]
            out[to + k] /= area


@inner
def clear(p, dx, dx_at, channels=-1):
    """Write zeros to dx; here and below, to so many channels of each pixel only, if given."""
    if channels < 0 or channels == p.c:
        for h in range(p.h):
            zero(dx, dx_at + h * p.dx_row, p.w * p.c)
        return
    for h in range(p.h):
        for w in range(p.w):
            at = dx_at + h * p.dx_row + w * p.c
            zero(dx, at, channels)


@inner
def max_gradient(p, dout, dout_at, x, x_at, out, out_at, dx, dx_at, channels=-1):
    """Add to dx, which is clear: each dout goes to the first maximum of its window, or to its first nan."""
    c, x_row, dx_row, pw, sw, left, width = p.c, p.x_row, p.dx_row, p.pw, p.sw, p.left, p.w
    lanes, used = LINE_BYTES // x.itemsize, c if channels < 0 else channels
    whole = used // lanes * lanes
    for oh in range(p.oh):
        h0, h1 = inside(oh * p.sh - p.top, p.ph, p.h)
        for ow in range(p.ow):
            w0, w1 = inside(ow * sw - left, pw, width)
            first, to = x_at + h0 * x_row + w0 * c, dx_at + h0 * dx_row + w0 * c
            d, o = dout_at + oh * p.dout_row + ow * c, out_at + oh * p.out_row + ow * c
            for k in range(0, whole, lanes):
                rest, best = load(dout, d + k), load(out, o + k)
                for h in range(h1 - h0):
                    for w in range(w1 - w0):
                        rest = take(load(x, first + h * x_row + w * c + k), best, rest, dx, to + h * dx_row + w * c + k)
            for k in range(whole, used):
                max_tail(x, first + k, x_row, dx, to + k, dx_row, c, h1 - h0, w1 - w0, out[o + k], dout[d + k])


@inner
def max_tail(x, x_at, x_row, dx, dx_at, dx_row, c, rows, columns, best, value):
    """Add `value` to dx at the first maximum of one channel of a window."""
    for h in range(rows):
        for w in range(columns):
            pixel = x[x_at + h * x_row + w * c]
            if pixel == best or pixel != pixel:
                dx[dx_at + h * dx_row + w * c] += value
                return


@inner
def average_gradient(p, dout, dout_at, dx, dx_at, channels=-1):
    """Add to dx, which is clear: each dout / window area goes to every pixel of its window."""
    c, dx_row, pw, sw, left, width = p.c, p.dx_row, p.pw, p.sw, p.left, p.w
    lanes, used = LINE_BYTES // dx.itemsize, c if channels < 0 else channels
    whole = used // lanes * lanes
    for oh in range(p.oh):
        h0, h1 = inside(oh * p.sh - p.top, p.ph, p.h)
        rows = counted(oh, p.ph, p.sh, p.top, p.h)
        for ow in range(p.ow):
            w0, w1 = inside(ow * sw - left, pw, width)
            area = rows * counted(ow, pw, sw, left, width)
            to, d = dx_at + h0 * dx_row + w0 * c, dout_at + oh * p.dout_row + ow * c
            for k in range(0, whole, lanes):
                share = load(dout, d + k) / area
                for h in range(h1 - h0):
                    for w in range(w1 - w0):
                        at = to + h * dx_row + w * c + k
                        store(dx, at, load(dx, at) + share)
            for k in range(whole, used):
                for h in range(h1 - h0):
                    for w in range(w1 - w0):
                        dx[to + h * dx_row + w * c + k] += dout[d + k] / area
