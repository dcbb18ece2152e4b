"""The steps of BatchNormalization in a plan: statistics over the whole batch, then each image by itself.

Columns are channels, or all values of an image (h, w, c) in the memory's order. Sums are taken in float64, lane by lane
and over the lanes in order. A layer's values stand one after another: gamma, beta, mean, var, dgamma, dbeta.
"""
from __future__ import annotations

import numpy as np

from .compile import inline, inner
from .lines import zero
from .plan_state import first_row, last_row, place


@inline
def column_of(count, m, h):
    """Return the column of the first value of row h."""
    return h * m.w * m.c if count != m.c else 0


@inner
def sum_rows(step, tables, batch, memory, k, squares, products):
    """Add to a lane's [2][count]: a, or (a - mean)^2 (squares), or a = dout and dout * (x - mean), x = b (products)."""
    c, maps, values, sums = tables.columns[step.columns], tables.maps, memory.values, memory.column_sums
    m, mx, count = maps[step.a], maps[step.b if products else step.a], c.count
    a, x, mean = place(m, batch, k), place(mx, batch, k), c.values + 2 * count
    total = c.sums + k.lane * 2 * count
    if k.fresh:
        zero(sums, total, 2 * count)
    for n in range(k.n):
        for h in range(m.h):
            j, row, x_row = column_of(count, m, h), a + n * m.image + h * m.row, x + n * mx.image + h * mx.row
            for i in range(m.w * m.c):
                value = values[row + i]
                if squares:
                    centred = np.float64(value - memory.column_values[mean + j])
                    sums[total + j] += centred * centred
                else:
                    sums[total + j] += value
                if products:
                    sums[total + count + j] += np.float64(value) * (values[x_row + i] - memory.column_values[mean + j])
                j += 1
                if j == count:
                    j = 0


@inner
def normalize(step, tables, batch, memory, k, scratch):
    """out = gamma * (a - mean) / sqrt(var + eps) + beta, or its positive part."""
    c, maps, values, given = tables.columns[step.columns], tables.maps, memory.values, memory.column_values
    m, mo, count, at = maps[step.a], maps[step.out], c.count, c.values
    x, out, relu = place(m, batch, k), place(mo, batch, k), step.relu != 0
    for j in range(count):
        scratch[j] = given[at + j] / values.dtype.type(np.sqrt(given[at + 3 * count + j] + c.eps))
    for n in range(k.n):
        for h in range(first_row(m.h, k), last_row(m.h, k)):
            j, row, to = column_of(count, m, h), x + n * m.image + h * m.row, out + n * mo.image + h * mo.row
            for i in range(m.w * m.c):
                value = (values[row + i] - given[at + 2 * count + j]) * scratch[j] + given[at + count + j]
                values[to + i] = 0 if relu and value <= 0 else value
                j += 1
                if j == count:
                    j = 0


@inner
def normalize_gradient(step, tables, batch, memory, k, scratch):
    """out = gamma/std * (dout - (dbeta + (x - mean)/std * dgamma) / rows); a is dout, b is x."""
    c, maps, values, given = tables.columns[step.columns], tables.maps, memory.values, memory.column_values
    m, mx, mo, count, at = maps[step.a], maps[step.b], maps[step.out], c.count, c.values
    dout, x, dx, real = place(m, batch, k), place(mx, batch, k), place(mo, batch, k), values.dtype.type
    rows = real(batch.images * (m.h * m.w * m.c // count))
    for j in range(count):
        scratch[j] = real(1 / np.sqrt(given[at + 3 * count + j] + c.eps))
    for n in range(k.n):
        for h in range(m.h):
            j, row, x_row = column_of(count, m, h), dout + n * m.image + h * m.row, x + n * mx.image + h * mx.row
            to = dx + n * mo.image + h * mo.row
            for i in range(m.w * m.c):
                xn = (values[x_row + i] - given[at + 2 * count + j]) * scratch[j]
                mean = (given[at + 5 * count + j] + xn * given[at + 4 * count + j]) / rows
                values[to + i] = given[at + j] * scratch[j] * (values[row + i] - mean)
                j += 1
                if j == count:
                    j = 0


def finish(kind: str, sums: np.ndarray, rows: int, eps: float, values: np.ndarray) -> None:
    """Turn the lanes' sums [lane][2][count] into statistics, or gradients: rows of `values` [6][count]."""
    total = np.zeros(sums.shape[1:])
    for lane in sums:
        total += lane
    if kind == "mean":
        values[2] = total[0] / rows
    elif kind == "variance":
        values[3] = total[0] / rows
    else:
        values[4], values[5] = total[1] / np.sqrt(values[3].astype(np.float64) + eps), total[0]
