"""Local response normalization (Krizhevsky, Sutskever, Hinton, 2012, section 3.3), pixel by pixel on channels-last
memory. The NumPy twin is ../reference/lrn.py; how the windows lie is drawn in ../native/response.pxd."""
from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numba import prange

from .compile import Loop, inner
from .memory import flat, threads_for

TASK_SIZE = 1 << 13  # elements of a task


class Response(NamedTuple):
    """What is done to each pixel."""

    c: int
    before: int  # channels of a window before its own
    after: int   # and after it
    k: float
    share: float  # alpha / n
    beta: float


def response(c, n, k, alpha, beta):
    """Return the rule for pixels of c channels."""
    return Response(c, min(n // 2, c), min((n - 1) // 2, c), float(k), alpha / n, float(beta))


def response_size(r):
    """Return the working space for one pixel, in elements."""
    return 3 * (r.c + r.before + r.after)


def lrn_forward(x, n, k, alpha, beta, out, n_threads):
    """out = x / (k + alpha/n * sum of x^2 over n channels)^beta; x, out (N,H,W,C)."""
    rule = response(x.shape[3], n, k, alpha, beta)
    _forward(threads_for(n_threads, x.size), rule, response_size(rule), flat(x), flat(out))


def lrn_backward(dout, x, n, k, alpha, beta, dx, n_threads):
    """dx = dout/scale^beta - 2*alpha/n*beta * x * sum(dout*x/scale^(beta+1)) over the channels whose windows hold x."""
    rule = response(x.shape[3], n, k, alpha, beta)
    _backward(threads_for(n_threads, x.size), rule, response_size(rule), flat(dout), flat(x), flat(dx))


@Loop
def _forward(rule, scratch_size, x, out):
    width = max(1, TASK_SIZE // max(rule.c, 1)) * rule.c
    for part in prange(-(-x.size // max(width, 1))):
        scratch = np.empty(scratch_size, x.dtype)
        for at in range(part * width, min(x.size, (part + 1) * width), rule.c):
            normalize_responses(rule, x[at : at + rule.c], scratch, out[at : at + rule.c])


@Loop
def _backward(rule, scratch_size, dout, x, dx):
    width = max(1, TASK_SIZE // max(rule.c, 1)) * rule.c
    for part in prange(-(-x.size // max(width, 1))):
        scratch = np.empty(scratch_size, x.dtype)
        for at in range(part * width, min(x.size, (part + 1) * width), rule.c):
            end = at + rule.c
            response_gradient(rule, dout[at:end], x[at:end], scratch, dx[at:end])


@inner
def normalize_responses(r, x, scratch, out):
    """out = x / scale^beta."""
    row = r.c + r.before + r.after
    scale = scratch[row : row + r.c]
    scales(r, x, scratch[:row], scale)
    over_power(x, scale, r.beta, out)


@inner
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
    window_sums(ratios, sums)
    for c in range(r.c):
        dx[c] -= factor * x[c] * sums[c]


@inner
def over_power(x, scale, beta, out):
    """out = x / scale^beta."""
    if beta == 0.75:
        for c in range(out.size):
            root = np.sqrt(scale[c])
            out[c] = x[c] / (root * np.sqrt(root))
    else:
        exponent = x.dtype.type(beta)
        for c in range(out.size):
            out[c] = x[c] / scale[c] ** exponent


@inner
def scales(r, x, squares, scale):
    """scale = k + share * sum(x^2) over the window of each channel."""
    k, share = x.dtype.type(r.k), x.dtype.type(r.share)
    clear_ends(squares, r.before, r.after)
    own = squares[r.before : r.before + r.c]
    for c in range(r.c):
        own[c] = x[c] * x[c]
    window_sums(squares, scale)
    for c in range(r.c):
        scale[c] = k + share * scale[c]


@inner
def clear_ends(row, before, after):
    for c in range(before):
        row[c] = 0
    for c in range(row.size - after, row.size):
        row[c] = 0


@inner
def window_sums(row, sums):
    """sums[c] = row[c] + ... as many values as make all windows."""
    count = sums.size
    if row.size - count == 4:  # the window of five that the networks have, in one loop
        for c in range(count):
            sums[c] = row[c] + row[c + 1] + row[c + 2] + row[c + 3] + row[c + 4]
        return
    for c in range(count):
        sums[c] = row[c]
    for i in range(1, row.size - count + 1):
        moved = row[i : i + count]
        for c in range(count):
            sums[c] += moved[c]
