"""Softmax and cross-entropy over the rows of a matrix. The NumPy twin is ../reference/loss.py."""
from __future__ import annotations

import math

import numpy as np
from numba import prange

from .arguments import Labels, Row
from .compile import Loop, inner
from .exponential import exponential
from .lines import LINE_BYTES, load, store
from .rows import line_max, line_sum, load_part, most, store_part
from .turns import runs_of, turns

TASK_SIZE = 1 << 12  # elements that make taking a task worth while


def softmax_forward(x, out, n_threads):
    """out[n] = exp(x[n] - max) / sum(exp(x[n] - max)); x, out (N,K)."""
    _softmax.on(n_threads, x.dtype, x.size)(x, x.shape[0], x.shape[1], out)


def softmax_loss_forward(x, t, y, loss, n_threads):
    """y = softmax(x) (N,K); loss[n] = -log(y[n, t[n]] + 1e-7); t int64 (N,)."""
    _softmax_loss.on(n_threads, x.dtype, x.size)(x, t, x.shape[1], y, loss)


def softmax_loss_backward(y, t, dx, n_threads):
    """dx = (y - onehot(t)) / N."""
    _difference.on(n_threads, y.dtype, y.size)(y, t, y.shape[1], dx)


@Loop
def _softmax(workers: int, x: Row, n: int, k: int, out: Row):
    rows = task_rows(k)
    runs = runs_of(-(-n // rows), workers)
    for worker in prange(workers):
        for part in turns(runs, worker):
            for row in range(part * rows, min(n, (part + 1) * rows)):
                softmax_row(x, row * k, k, out, row * k)


@Loop
def _softmax_loss(workers: int, x: Row, t: Labels, k: int, y: Row, loss: Row):
    rows = task_rows(k)
    runs = runs_of(-(-t.size // rows), workers)
    for worker in prange(workers):
        for part in turns(runs, worker):
            for row in range(part * rows, min(t.size, (part + 1) * rows)):
                softmax_row(x, row * k, k, y, row * k)
            for row in range(part * rows, min(t.size, (part + 1) * rows)):
                loss[row] = cross_entropy(y[row * k + t[row]])


@Loop
def _difference(workers: int, y: Row, t: Labels, k: int, dx: Row):
    rows = task_rows(k)
    runs = runs_of(-(-t.size // rows), workers)
    for worker in prange(workers):
        for part in turns(runs, worker):
            for row in range(part * rows, min(t.size, (part + 1) * rows)):
                difference(y, row * k, k, t[row], y.dtype.type(t.size), dx)


@inner
def task_rows(width):
    """Return how many rows of `width` elements make a task."""
    return max(1, TASK_SIZE // max(width, 1))


@inner
def softmax_row(x, x_at, k, out, out_at):
    """out = exp(x - max) / sum(exp(x - max)) of k values, through the lanes of a line; nan makes the row nan."""
    lanes = LINE_BYTES // x.itemsize
    last = max(k - 1, 0) // lanes * lanes  # where the last line begins, which may be full
    least = x.dtype.type(-np.inf)
    end = load_part(x, x_at + last, k - last, least)
    best = end
    for j in range(0, last, lanes):
        best = most(best, load(x, x_at + j))
    largest = line_max(best)
    end = exponential(end - largest)
    sums = end
    for j in range(0, last, lanes):
        power = exponential(load(x, x_at + j) - largest)
        store(out, out_at + j, power)
        sums = sums + power
    total = line_sum(sums)
    for j in range(0, last, lanes):
        store(out, out_at + j, load(out, out_at + j) / total)
    store_part(out, out_at + last, end / total, k - last)


@inner
def cross_entropy(p):
    """Return -log(p + 1e-7): the book's guard against log(0)."""
    return -math.log(p + type(p)(1e-7))


@inner
def difference(y, at, k, t, n, dx):
    """dx[at:] = (y[at:] - onehot(t)) / n of k values; dx may be y."""
    lanes, label = LINE_BYTES // y.itemsize, y[at + t] - y.dtype.type(1)
    last = max(k - 1, 0) // lanes * lanes
    for j in range(at, at + last, lanes):
        store(dx, j, load(y, j) / n)
    store_part(dx, at + last, load_part(y, at + last, k - last, n) / n, k - last)
    dx[at + t] = label / n
