"""Dropout (Srivastava et al., JMLR 15, 2014), the book's form: scaled at prediction. The masks are those of philox.py.
The NumPy twin is ../reference/dropout.py."""
from __future__ import annotations

from numba import prange

from .arguments import Flags, Row, Word
from .compile import Loop, inner
from .philox import dropout_range, dropout_threshold
from .turns import runs_of, turns

CHUNK = 1 << 14  # elements per task, whole blocks of the generator


def dropout_forward(x, key, ratio, mask, out, n_threads):
    """mask (bool) = word i of the key's sequence > ratio * 2**32 for element i in C order; out = x * mask."""
    dropout_part(x, 0, key, ratio, mask, out, n_threads)


def dropout_part(x, first, key, ratio, mask, out, n_threads):
    """dropout_forward of a part of an array: x[0] is its element `first`."""
    _forward.on(n_threads, x.dtype, x.size)(x, first, key, dropout_threshold(ratio), mask, out)


def dropout_backward(dout, mask, dx, n_threads):
    """dx = dout * mask."""
    _backward.on(n_threads, dout.dtype, dout.size)(dout, mask, dx)


@Loop
def _forward(workers: int, x: Row, first: int, key: Word, threshold: int, mask: Flags, out: Row):
    runs = runs_of(-(-x.size // CHUNK), workers)
    for worker in prange(workers):
        for part in turns(runs, worker):
            at = part * CHUNK
            dropout_range(x, at, first + at, min(CHUNK, x.size - at), key, threshold, mask, at, out, at)


@Loop
def _backward(workers: int, dout: Row, mask: Flags, dx: Row):
    runs = runs_of(-(-dout.size // CHUNK), workers)
    for worker in prange(workers):
        for part in turns(runs, worker):
            at, end = part * CHUNK, (part + 1) * CHUNK
            apply_mask(dout[at:end], mask[at:end], dx[at:end])


@inner
def apply_mask(x, mask, out):
    one, zero = x.dtype.type(1), x.dtype.type(0)
    for i in range(out.size):
        out[i] = x[i] * (one if mask[i] else zero)
