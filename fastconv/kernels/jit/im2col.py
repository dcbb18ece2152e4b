"""The explicit column matrix of the book, for those who ask for it. The NumPy twin is ../reference/im2col.py.

    col[n*OH*OW + oh*OW + ow, c*FH*FW + fh*FW + fw] = x[n, c, oh*sh - ph + fh, ow*sw - pw + fw]
"""
from __future__ import annotations

from functools import lru_cache
from typing import Annotated

import numba
import numpy as np
from numba import prange
from numpy.lib.stride_tricks import as_strided

from .arguments import Records, Row
from .compile import Loop, inline, inner
from .memory import flat
from .turns import runs_of, turns

CHANNELS = 16  # per piece of col2im

# images (n, c, h, w), their windows, and where they lie in memory
FOLD = np.dtype([(name, np.int64) for name in (
    "n",
    "c",
    "h",
    "w",
    "fh",
    "fw",
    "sh",
    "sw",
    "ph",
    "pw",
    "oh",
    "ow",
    "start",       # in elements
    "image_step",
    "c_step",
    "h_step",
    "w_step",
)])
Folds = Annotated[np.ndarray, Records(FOLD)]


def im2col(x, filter_size, stride, pad, col, n_threads):
    """x (N,C,H,W), any strides, to col (N*OH*OW, C*FH*FW)."""
    fold = _fold(x.shape, x.strides, x.itemsize, filter_size, stride, pad)
    _gather.on(n_threads, col.dtype, col.size)(fold, _memory(x), col)


def col2im(col, filter_size, stride, pad, dx, n_threads):
    """col (N*OH*OW, C*FH*FW) to dx (N,C,H,W), C-contiguous; where windows overlap, their values add up."""
    fold = _fold(dx.shape, dx.strides, dx.itemsize, filter_size, stride, pad)
    _scatter.on(n_threads, dx.dtype, col.size)(fold, col, dx)


@lru_cache(maxsize=512)
def _fold(shape, strides, item, filter_size, stride, pad):
    steps = [step // item for step in strides]
    start = sum(-step * (size - 1) for step, size in zip(steps, shape, strict=True) if step < 0)
    oh, ow = ((shape[2 + i] + 2 * pad[i] - filter_size[i]) // stride[i] + 1 for i in range(2))
    made = np.zeros(1, FOLD)
    made[0] = (*shape, *filter_size, *stride, *pad, oh, ow, start, *steps)
    return made.view(np.recarray) if numba.config.DISABLE_JIT else made


def _memory(x):
    """Return all memory from the first to the last element of x, as one row."""
    if x.flags.c_contiguous:
        return flat(x)
    forwards = x[tuple(slice(None, None, -1 if step < 0 else 1) for step in x.strides)]
    span = sum(step // x.itemsize * (size - 1) for step, size in zip(forwards.strides, x.shape, strict=True)) + 1
    return flat(as_strided(forwards, (span if x.size else 0,), (x.itemsize,)))


@Loop
def _gather(workers: int, fold: Folds, x: Row, col: Row):
    runs = runs_of(fold[0].n * fold[0].oh, workers)
    for worker in prange(workers):
        s = fold[0]
        taps = np.empty(2 * s.fh * s.fw, np.int64)
        for row in turns(runs, worker):
            gather_row(s, x, s.start + row // s.oh * s.image_step, row % s.oh, col, row * s.ow * s.c * s.fh * s.fw,
                       taps)


@Loop
def _scatter(workers: int, fold: Folds, col: Row, dx: Row):
    chunks = -(-fold[0].c // CHANNELS)
    runs = runs_of(fold[0].n * chunks, workers)
    for worker in prange(workers):
        s = fold[0]
        taps = np.empty(2 * s.fh * s.fw, np.int64)
        for piece in turns(runs, worker):
            first = piece % chunks * CHANNELS
            scatter_image(s, col, piece // chunks * s.oh * s.ow * s.c * s.fh * s.fw, first, min(CHANNELS, s.c - first),
                          dx, piece // chunks * s.image_step, taps)


@inline
def taps_inside(first, size, limit):
    """Return which taps of a window that begins at `first` are inside the image, along one axis."""
    start = min(max(-first, 0), size)
    return start, max(min(size, limit - first), start)


@inner
def list_taps(s, h0, h1, w0, w1, taps):
    """Write where some taps stand in a window of col, and behind them where in the image; return how many there are."""
    count, image = 0, s.fh * s.fw
    for i in range(h0, h1):
        for j in range(w0, w1):
            taps[count], taps[image + count] = i * s.fw + j, i * s.h_step + j * s.w_step
            count += 1
    return count


@inner
def gather_row(s, x, x_at, oh, col, to, taps):
    """Write the windows of one output row."""
    size, h, count, known = s.fh * s.fw, oh * s.sh - s.ph, 0, (-1, -1)
    h0, h1 = taps_inside(h, s.fh, s.h)
    for ow in range(s.ow):
        w = ow * s.sw - s.pw
        columns = taps_inside(w, s.fw, s.w)
        if columns != known:
            known, count = columns, list_taps(s, h0, h1, columns[0], columns[1], taps)
        if count < size:
            col[to : to + s.c * size] = 0
        at = x_at + h * s.h_step + w * s.w_step
        for _ in range(s.c):
            for t in range(count):
                col[to + taps[t]] = x[at + taps[size + t]]
            to += size
            at += s.c_step


@inner
def scatter_image(s, col, at, first, channels, dx, dx_at, taps):
    """Add up the windows of some channels of one image."""
    size, count = s.fh * s.fw, 0
    dx_at += first * s.c_step
    dx[dx_at : dx_at + channels * s.c_step] = 0
    for oh in range(s.oh):
        h, known = oh * s.sh - s.ph, (-1, -1)
        h0, h1 = taps_inside(h, s.fh, s.h)
        for ow in range(s.ow):
            w = ow * s.sw - s.pw
            columns = taps_inside(w, s.fw, s.w)
            if columns != known:
                known, count = columns, list_taps(s, h0, h1, columns[0], columns[1], taps)
            window, to = at + first * size, dx_at + h * s.h_step + w
            if count == 9 and s.fw == 3:
                for _ in range(channels):
                    add_window(3, 3, col, window, dx, to, s.h_step)
                    window += size
                    to += s.c_step
            else:
                for _ in range(channels):
                    for t in range(count):
                        dx[to + taps[size + t]] += col[window + taps[t]]
                    window += size
                    to += s.c_step
            at += s.c * size


@inline
def add_window(rows, columns, col, window, dx, to, h_step):
    """Add a window that is whole inside the image; constant sizes make it a few instructions."""
    for i in range(rows):
        for j in range(columns):
            dx[to + i * h_step + j] += col[window + i * columns + j]
