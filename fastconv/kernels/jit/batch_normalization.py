"""Batch normalisation (Ioffe, Szegedy, arXiv:1502.03167) over the columns of a matrix (M,D): D features of M samples,
or D channels of M = N*H*W pixels. The NumPy twin is ../reference/batch_normalization.py.

Column sums are taken in float64, over parts of SUM_ROWS rows, then over the parts in order: the same bits on any number
of threads, and no digits lost where the data have an offset.
"""
from __future__ import annotations

import numpy as np
from numba import prange

from .arguments import Row
from .compile import Loop, inline, inner
from .lines import LINE_BYTES, load, store
from .rows import load_part, store_part
from .turns import runs_of, turns

SUM_ROWS = 256       # rows per partial sum
TASK_SIZE = 1 << 13  # elements of a task where nothing is summed


def batch_normalization_forward(x, gamma, beta, eps, out, mean, var, n_threads):
    """Write the batch's mean and biased variance (D,) and out = gamma*(x - mean)/sqrt(var + eps) + beta (M,D)."""
    m, d = x.shape
    _statistics.on(n_threads, x.dtype, x.size)(x, m, d, mean, var)
    _normalize.on(n_threads, x.dtype, x.size)(x, m, d, gamma, beta, mean, var, eps, out)


def batch_normalization_inference(x, gamma, beta, mean, var, eps, out, n_threads):
    """out = gamma*(x - mean)/sqrt(var + eps) + beta with given statistics."""
    m, d = x.shape
    _normalize.on(n_threads, x.dtype, x.size)(x, m, d, gamma, beta, mean, var, eps, out)


def batch_normalization_backward(dout, x, gamma, mean, var, eps, dx, dgamma, dbeta, n_threads):
    """With xn = (x - mean)/std: dbeta = sum dout, dgamma = sum dout*xn,
    dx = gamma/std * (dout - dbeta/M - xn*dgamma/M)."""
    m, d = x.shape
    _gradient.on(n_threads, x.dtype, x.size)(dout, x, m, d, gamma, mean, var, eps, dx, dgamma, dbeta)


@Loop
def _statistics(workers: int, x: Row, m: int, d: int, mean: Row, var: Row):
    parts = sum_parts(m)
    sums = np.empty(parts * d)  # [part][d]
    runs = runs_of(parts, workers)
    for worker in prange(workers):
        for part in turns(runs, worker):
            at, end = part * SUM_ROWS * d, min(m, (part + 1) * SUM_ROWS) * d
            sum_rows(x[at:end], sums[part * d : (part + 1) * d])
    average(sums, m, mean)
    runs = runs_of(parts, workers)
    for worker in prange(workers):
        for part in turns(runs, worker):
            at, end = part * SUM_ROWS * d, min(m, (part + 1) * SUM_ROWS) * d
            sum_squares(x[at:end], mean, sums[part * d : (part + 1) * d])
    average(sums, m, var)


@Loop
def _normalize(workers: int, x: Row, m: int, d: int, gamma: Row, beta: Row, mean: Row, var: Row, eps: float, out: Row):
    rows, scale = task_rows(d), np.empty(d, x.dtype)
    scales(gamma, var, eps, scale)
    runs = runs_of(-(-m // rows), workers)
    for worker in prange(workers):
        for part in turns(runs, worker):
            normalize_rows(x, part * rows * d, min(m, (part + 1) * rows) * d, mean, scale, beta, out)


@Loop
def _gradient(workers: int, dout: Row, x: Row, m: int, d: int, gamma: Row, mean: Row, var: Row, eps: float, dx: Row,
              dgamma: Row, dbeta: Row):
    parts, rows = sum_parts(m), task_rows(d)
    sums, products = np.empty(parts * d), np.empty(parts * d)  # [part][d]: of dout, of dout * (x - mean)
    scale, shift, slope = np.empty(d, x.dtype), np.empty(d, x.dtype), np.empty(d, x.dtype)
    runs = runs_of(parts, workers)
    for worker in prange(workers):
        for part in turns(runs, worker):
            at, end = part * SUM_ROWS * d, min(m, (part + 1) * SUM_ROWS) * d
            sum_rows(dout[at:end], sums[part * d : (part + 1) * d])
            sum_products(dout[at:end], x[at:end], mean, products[part * d : (part + 1) * d])
    coefficients(sums, products, m, gamma, var, eps, dgamma, dbeta, scale, shift, slope)
    runs = runs_of(-(-m // rows), workers)
    for worker in prange(workers):
        for part in turns(runs, worker):
            gradient_rows(dout, x, part * rows * d, min(m, (part + 1) * rows) * d, mean, scale, shift, slope, dx)


@inner
def sum_parts(m):
    return max(1, -(-m // SUM_ROWS))


@inner
def task_rows(width):
    """Return how many rows of `width` elements make a task."""
    return max(1, TASK_SIZE // max(width, 1))


@inline
def sum_rows(x, total):
    d = total.size
    for j in range(d):
        total[j] = 0
    for at in range(0, x.size, d):
        row = x[at : at + d]
        for j in range(d):
            total[j] += row[j]


@inline
def sum_squares(x, mean, total):
    d = total.size
    for j in range(d):
        total[j] = 0
    for at in range(0, x.size, d):
        row = x[at : at + d]
        for j in range(d):
            centred = np.float64(row[j] - mean[j])
            total[j] += centred * centred


@inline
def sum_products(dout, x, mean, total):
    d = total.size
    for j in range(d):
        total[j] = 0
    for at in range(0, x.size, d):
        row, gradient = x[at : at + d], dout[at : at + d]
        for j in range(d):
            total[j] += np.float64(gradient[j]) * np.float64(row[j] - mean[j])


@inner
def add_parts(sums, d):
    """Add all parts to the first."""
    for at in range(d, sums.size, d):
        part = sums[at : at + d]
        for j in range(d):
            sums[j] += part[j]


@inner
def average(sums, m, result):
    add_parts(sums, result.size)
    for j in range(result.size):
        result[j] = sums[j] / max(m, 1)


@inner
def scales(gamma, var, eps, scale):
    kind = scale.dtype.type
    for j in range(scale.size):
        scale[j] = gamma[j] / kind(np.sqrt(var[j] + eps))


@inner
def coefficients(sums, products, m, gamma, var, eps, dgamma, dbeta, scale, shift, slope):
    """Write the two sums, and what dx = scale * (dout - shift - (x - mean) * slope) takes of them."""
    d = dbeta.size
    add_parts(sums, d)
    add_parts(products, d)
    for j in range(d):
        inverse = 1 / np.sqrt(var[j] + eps)
        product = products[j] * inverse
        dbeta[j], dgamma[j] = sums[j], product
        scale[j], shift[j], slope[j] = gamma[j] * inverse, sums[j] / max(m, 1), product * inverse / max(m, 1)


@inner
def normalize_rows(x, at, end, mean, scale, beta, out):
    """out = (x - mean) * scale + beta of the rows from x[at] to x[end], line by line."""
    d, lanes, none = mean.size, LINE_BYTES // x.itemsize, x.dtype.type(0)
    whole = d // lanes * lanes
    rest = d - whole
    for row in range(at, end, d):
        for j in range(0, whole, lanes):
            store(out, row + j, (load(x, row + j) - load(mean, j)) * load(scale, j) + load(beta, j))
        if rest:
            centred = load_part(x, row + whole, rest, none) - load_part(mean, whole, rest, none)
            store_part(out, row + whole,
                       centred * load_part(scale, whole, rest, none) + load_part(beta, whole, rest, none), rest)


@inner
def gradient_rows(dout, x, at, end, mean, scale, shift, slope, dx):
    """dx = scale * (dout - shift - (x - mean) * slope) of the rows from x[at] to x[end], line by line."""
    d, lanes, none = mean.size, LINE_BYTES // x.itemsize, x.dtype.type(0)
    whole = d // lanes * lanes
    rest = d - whole
    for row in range(at, end, d):
        for j in range(0, whole, lanes):
            centred = load(x, row + j) - load(mean, j)
            store(dx, row + j, (load(dout, row + j) - load(shift, j) - centred * load(slope, j)) * load(scale, j))
        if rest:
            centred = load_part(x, row + whole, rest, none) - load_part(mean, whole, rest, none)
            others = load_part(dout, row + whole, rest, none) - load_part(shift, whole, rest, none)
            store_part(dx, row + whole, (others - centred * load_part(slope, whole, rest, none))
                       * load_part(scale, whole, rest, none), rest)
