"""Max and average pooling on channels-last memory: the innermost loop runs over channels, which lie side by side.
The NumPy twin is ../reference/pooling.py."""
from __future__ import annotations

from functools import lru_cache

from numba import prange

from .arguments import Row
from .compile import Loop
from .turns import runs_of, turns
from .windows import Pools, average_gradient, average_row, clear, max_gradient, max_row, pool_record

CHANNELS = 64  # per piece of a backward pass
_record = lru_cache(maxsize=512)(pool_record)


def max_pooling_forward(x, window, stride, pad, out, n_threads):
    """x (N,H,W,C) to out (N,OH,OW,C); padding never wins, nan does."""
    pool = _record(x.shape[1:], out.shape[1:], window, stride, pad)
    _max_forward.on(n_threads, x.dtype, x.size)(pool, out.shape[0] * out.shape[1], x, out)


def average_pooling_forward(x, window, stride, pad, out, n_threads):
    """x (N,H,W,C) to out (N,OH,OW,C): sum over the window / its area; padding counts as zeros, what
    is behind it does not count."""
    pool = _record(x.shape[1:], out.shape[1:], window, stride, pad)
    _average_forward.on(n_threads, x.dtype, x.size)(pool, out.shape[0] * out.shape[1], x, out)


def max_pooling_backward(dout, x, out, window, stride, pad, dx, n_threads):
    """dx (N,H,W,C): each dout goes to the first maximum of its window; x and out are the forward pass's."""
    pool = _record(dx.shape[1:], dout.shape[1:], window, stride, pad)
    _max_backward.on(n_threads, dx.dtype, dx.size)(pool, dx.shape[0], dout, x, out, dx)


def average_pooling_backward(dout, window, stride, pad, dx, n_threads):
    """dx (N,H,W,C): each dout / its window's area goes to every pixel of its window."""
    pool = _record(dx.shape[1:], dout.shape[1:], window, stride, pad)
    _average_backward.on(n_threads, dx.dtype, dx.size)(pool, dx.shape[0], dout, dx)


@Loop
def _max_forward(workers: int, pool: Pools, rows: int, x: Row, out: Row):
    runs = runs_of(rows, workers)
    for worker in prange(workers):
        for row in turns(runs, worker):
            p = pool[0]
            max_row(p, x, row // p.oh * p.h * p.x_row, row % p.oh, out, row * p.out_row)


@Loop
def _average_forward(workers: int, pool: Pools, rows: int, x: Row, out: Row):
    runs = runs_of(rows, workers)
    for worker in prange(workers):
        for row in turns(runs, worker):
            p = pool[0]
            average_row(p, x, row // p.oh * p.h * p.x_row, row % p.oh, out, row * p.out_row)


# One piece per image and CHANNELS channels: windows may overlap, pieces don't.

@Loop
def _max_backward(workers: int, pool: Pools, images: int, dout: Row, x: Row, out: Row, dx: Row):
    chunks = -(-pool[0].c // CHANNELS)
    runs = runs_of(images * chunks, workers)
    for worker in prange(workers):
        for piece in turns(runs, worker):
            p = pool[0]
            first = piece % chunks * CHANNELS
            image, result = piece // chunks * p.h * p.x_row + first, piece // chunks * p.oh * p.out_row + first
            channels = min(CHANNELS, p.c - first)
            clear(p, dx, image, channels)
            max_gradient(p, dout, result, x, image, out, result, dx, image, channels)


@Loop
def _average_backward(workers: int, pool: Pools, images: int, dout: Row, dx: Row):
    chunks = -(-pool[0].c // CHANNELS)
    runs = runs_of(images * chunks, workers)
    for worker in prange(workers):
        for piece in turns(runs, worker):
            p = pool[0]
            first = piece % chunks * CHANNELS
            image, result = piece // chunks * p.h * p.x_row + first, piece // chunks * p.oh * p.out_row + first
            channels = min(CHANNELS, p.c - first)
            clear(p, dx, image, channels)
            average_gradient(p, dout, result, dx, image, channels)
