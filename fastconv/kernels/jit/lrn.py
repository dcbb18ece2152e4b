"""Local response normalization (Krizhevsky, Sutskever, Hinton, 2012, section 3.3), pixel by pixel on channels-last
memory. The NumPy twin is ../reference/lrn.py; how the windows lie is drawn in ../native/response.pxd."""
from __future__ import annotations

from typing import Annotated

import numba
import numpy as np
from numba import prange

from .arguments import Records, Row
from .compile import Loop, inline
from .lines import lanes_of, load, root, store
from .turns import runs_of, turns

TASK_SIZE = 1 << 13  # elements of a task


# what is done to each pixel
RESPONSE = np.dtype([*((name, np.int64) for name in (
    "c",
    "before",  # channels of a window before its own
    "after",   # and after it
)), *((name, np.float64) for name in (
    "k",
    "share",   # alpha / n
    "beta",
))])


Responses = Annotated[np.ndarray, Records(RESPONSE)]


def response_record(c, n, k, alpha, beta):
    """Return the record of pixels of c channels."""
    made = np.zeros(1, RESPONSE)
    made[0] = c, min(n // 2, c), min((n - 1) // 2, c), k, alpha / n, beta
    return made.view(np.recarray) if numba.config.DISABLE_JIT else made


def response_size(record):
    """Return the working space for one pixel, in elements."""
    return 3 * int(record["c"] + record["before"] + record["after"])


def lrn_forward(x, n, k, alpha, beta, out, n_threads):
    """out = x / (k + alpha/n * sum of x^2 over n channels)^beta; x, out (N,H,W,C)."""
    rule = response_record(x.shape[3], n, k, alpha, beta)
    _forward.on(n_threads, x.dtype, x.size)(rule, response_size(rule[0]), x, out)


def lrn_backward(dout, x, n, k, alpha, beta, dx, n_threads):
    """dx = dout/scale^beta - 2*alpha/n*beta * x * sum(dout*x/scale^(beta+1)) over the channels whose windows hold x."""
    rule = response_record(x.shape[3], n, k, alpha, beta)
    _backward.on(n_threads, x.dtype, x.size)(rule, response_size(rule[0]), dout, x, dx)


@Loop
def _forward(workers: int, rule: Responses, scratch_size: int, x: Row, out: Row):
    c = rule[0].c
    width = max(1, TASK_SIZE // max(c, 1)) * c
    runs = runs_of(-(-x.size // max(width, 1)), workers)
    for worker in prange(workers):
        scratch = np.empty(scratch_size, x.dtype)
        for part in turns(runs, worker):
            for at in range(part * width, min(x.size, (part + 1) * width), c):
                normalize_responses(rule[0], x[at : at + c], scratch, out[at : at + c])


@Loop
def _backward(workers: int, rule: Responses, scratch_size: int, dout: Row, x: Row, dx: Row):
    c = rule[0].c
    width = max(1, TASK_SIZE // max(c, 1)) * c
    runs = runs_of(-(-x.size // max(width, 1)), workers)
    for worker in prange(workers):
        scratch = np.empty(scratch_size, x.dtype)
        for part in turns(runs, worker):
            for at in range(part * width, min(x.size, (part + 1) * width), c):
                end = at + c
                response_gradient(rule[0], dout[at:end], x[at:end], scratch, dx[at:end])


@inline
def normalize_responses(r, x, scratch, out):
    """out = x / scale^beta."""
    row = r.c + r.before + r.after
    scale = scratch[row : row + r.c]
    scales(r, x, scratch[:row], scale)
    over_power(x, scale, r.beta, out)


@inline
def response_gradient(r, dout, x, scratch, dx):
    """dx = dout/scale^beta - 2*share*beta * x * sum(dout*x/scale^(beta+1)), over the channels whose windows hold x."""
    row, factor = r.c + r.before + r.after, x.dtype.type(2 * r.share * r.beta)
    ratios, scale, sums = scratch[:row], scratch[row : row + r.c], scratch[2 * row : 2 * row + r.c]
    scales(r, x, ratios, scale)
    over_power(dout, scale, r.beta, dx)
    clear_ends(ratios, r.after, r.before)  # the windows of a sum over windows are the other way round
    ratio = ratios[r.after : r.after + r.c]
    for c in range(r.c):
        ratio[c] = dx[c] * x[c] / scale[c]
    window_sums(ratios, x.dtype.type(0), x.dtype.type(1), sums)
    for c in range(r.c):
        dx[c] -= factor * x[c] * sums[c]


@inline
def over_power(x, scale, beta, out):
    """out = x / scale^beta."""
    if beta != 0.75:
        exponent = x.dtype.type(beta)
        for c in range(out.size):
            out[c] = x[c] / scale[c] ** exponent
        return
    lanes = lanes_of(out)
    whole = out.size // lanes * lanes
    for c in range(0, whole, lanes):
        half = root(load(scale, c))
        store(out, c, load(x, c) / (half * root(half)))
    for c in range(whole, out.size):
        value = np.sqrt(scale[c])
        out[c] = x[c] / (value * np.sqrt(value))


@inline
def scales(r, x, squares, scale):
    """scale = k + share * sum(x^2) over the window of each channel."""
    k, share = x.dtype.type(r.k), x.dtype.type(r.share)
    clear_ends(squares, r.before, r.after)
    own = squares[r.before : r.before + r.c]
    for c in range(r.c):
        own[c] = x[c] * x[c]
    window_sums(squares, k, share, scale)


@inline
def clear_ends(row, before, after):
    for c in range(before):
        row[c] = 0
    for c in range(row.size - after, row.size):
        row[c] = 0


@inline
def window_sums(row, start, factor, sums):
    """sums[c] = start + factor * (row[c] + ... as many values as make all windows)."""
    lanes, more = lanes_of(row), row.size - sums.size
    whole = sums.size // lanes * lanes
    for c in range(0, whole, lanes):
        total = load(row, c)
        for i in range(1, more + 1):
            total = total + load(row, c + i)
        store(sums, c, start + factor * total)
    for c in range(whole, sums.size):
        sums[c] = row[c]
        for i in range(1, more + 1):
            sums[c] += row[c + i]
        sums[c] = start + factor * sums[c]
