"""Matrix product on the register tile, blocked and packed after Goto, van de Geijn, "Anatomy of High-Performance
Matrix Multiplication" (ACM TOMS 34, 2008). The NumPy twin is ../reference/gemm.py.

    for each panel of b:
        pack it into blocks [block][line][KC][lane]              (shared)
        for each MC rows of a, NC lines of b:                    (one task: it owns its part of out)
            for each block of the panel:
                rows of a lie one after another (packed where a is transposed, but for FEW_LINES)
                tile: MR rows times one line

Small products, and those of up to THIN rows of a, read b where it is.
"""
from __future__ import annotations

import numpy as np
from numba import prange

from .arguments import Matrix, Row, all_of
from .compile import Loop, inner
from .lines import LINE_BYTES, fill, load, multiply_added, store, widened
from .memory import SERIAL_WORK
from .rows import load_part, store_part
from .tile import MR, tile
from .turns import runs_of, turns

KC = 256       # a packed line of b, KC * 64 bytes, stays in L1
MC = 120       # rows of a per task at most: MC * KC values stay in L2; a multiple of every MR
NC = 32        # lines of b per task
FEW_LINES = 8  # of b, so few that rows of a transposed a are not packed for them
SMALL_WORK = 1 << 13  # multiply-adds, so few that to pack b and to give out tasks would take longer
THIN = 8       # rows of a, so few that to pack b would take longer than the products
THIN_LINES = 16    # lines of b per task,
LONG_LINES = 256   # or, where b is so large that it comes from memory,
LONG_BYTES = 1 << 23   # all of some rows: whole pages, one after another
LONG_PARTS = 16    # of its rows; their sums are added in order
THIN_DEPTH = 128   # rows of b that are read at a time,
PAGE = 4096        # and bytes of a row
THIN_FEW = 8       # beyond which so few are
PANEL_BYTES = 1 << 22
ROW_PARTS = 16
SUM_ROWS = 256  # rows per partial sum: columns are summed part by part, then over the parts in order
NOTHING = np.zeros(1, np.int64)

tile_rows = tile(MR)
tile_one = tile(1)
unsigned = np.uint64  # an index that Numba need not look at the sign of


def gemm(a, b, bias, out, n_threads):
    """Write a (M,K) times b (K,N), any strides, plus bias (N,) or None, to out (M,N)."""
    work = a.size * b.shape[1]
    if work <= SMALL_WORK:
        loop = _small
    elif len(a) <= THIN and out.shape[1] * out.itemsize >= LINE_BYTES and b.strides[1] == b.itemsize:
        loop = _thin
    else:
        loop = _gemm
    loop.on(n_threads, out.dtype, work, SERIAL_WORK)(a, b, bias, out)


def bias_backward(dout, dbias, n_threads):
    """Write the column sums of dout (M,N) to dbias (N,)."""
    _sum_columns.on(n_threads, dout.dtype, dout.size)(dout, *dout.shape, dbias)


@Loop
def _gemm(workers: int, a: Matrix, b: Matrix, bias: Row, out: Row):
    M, K = a.shape
    N, lanes, x, w = b.shape[1], LINE_BYTES // out.itemsize, all_of(a), all_of(b)
    a_row, a_column = a.strides[0] // a.itemsize, a.strides[1] // a.itemsize
    b_row, b_column = b.strides[0] // b.itemsize, b.strides[1] // b.itemsize
    lines, blocks = -(-N // lanes), max(1, -(-K // KC))
    panel = min(blocks, max(1, PANEL_BYTES // max(1, lines * LINE_BYTES * KC)))
    part = -(-M // ROW_PARTS)
    rows = min(MC, max(MR, -(-part // MR) * MR))
    size, own = panel * lines * lanes * KC, (MR + 1) * lanes + (rows * min(K, KC) if a_column != 1 else 0)
    packed = np.empty(size + workers * own, out.dtype)  # and each worker's buffer behind it
    line_tasks, row_tasks = -(-lines // NC), -(-M // rows)
    for first in range(0, blocks, panel):
        last = min(first + panel, blocks)
        runs = runs_of((last - first) * lines, workers)
        for worker in prange(workers):
            for task in turns(runs, worker):
                block, line = task // lines, task % lines
                pack(w, b_row, b_column, N, K, (first + block) * KC, line, lanes, packed, block * lines * lanes * KC)
        runs = runs_of(row_tasks * line_tasks, workers)
        for worker in prange(workers):
            buffer = packed[size + worker * own : size + (worker + 1) * own]
            for task in turns(runs, worker):
                row, line = task // line_tasks * rows, task % line_tasks * NC
                for block in range(first, last):
                    multiply_block(M, N, K, x, a_row, a_column, bias, block * KC, packed,
                                   (block - first) * lines * lanes * KC, row, min(M, row + rows), line,
                                   min(lines, line + NC), lanes, out, buffer)


@Loop
def _small(workers: int, a: Matrix, b: Matrix, bias: Row, out: Row):
    """Take four rows of a at a time; where b does not lie in rows, its lines are copied."""
    M, K = a.shape
    N, lanes, x, w, zero = b.shape[1], LINE_BYTES // out.itemsize, all_of(a), all_of(b), out.dtype.type(0)
    a_row, a_column = a.strides[0] // a.itemsize, a.strides[1] // a.itemsize
    b_row, b_column = b.strides[0] // b.itemsize, b.strides[1] // b.itemsize
    copied = b_column != 1
    rows = np.empty(K * lanes if copied else 0, out.dtype)
    for column in range(0, N, lanes):
        used = min(lanes, N - column)
        start = load_part(bias, column, used, zero) if bias.size > 0 else fill(out, 0)
        for k in range(K if copied else 0):
            for j in range(used):
                rows[unsigned(k * used + j)] = w[unsigned(k * b_row + (column + j) * b_column)]
        for row in range(0, M, 4):
            four_rows(min(4, M - row), x, row * a_row, a_row, a_column, K, rows if copied else w,
                      0 if copied else column, used if copied else b_row, start, out, row * N + column, N, used)


@inner
def four_rows(rows, x, x_at, x_row, x_step, length, w, w_at, w_step, start, y, y_at, y_row, used):
    """y = start + the products of one to four rows of x with a line of w; rows that are not there repeat the last."""
    i, j, k, zero = min(1, rows - 1), min(2, rows - 1), min(3, rows - 1), w.dtype.type(0)
    a = b = c = d = start
    for step in range(length):
        line, at = load_part(w, w_at + step * w_step, used, zero), x_at + step * x_step
        a, b = multiply_added(a, x[at], line), multiply_added(b, x[at + i * x_row], line)
        c, d = multiply_added(c, x[at + j * x_row], line), multiply_added(d, x[at + k * x_row], line)
    store_part(y, y_at, a, used)
    store_part(y, y_at + i * y_row, b, used)
    store_part(y, y_at + j * y_row, c, used)
    store_part(y, y_at + k * y_row, d, used)


@Loop
def _thin(workers: int, a: Matrix, b: Matrix, bias: Row, out: Row):
    M, K = a.shape
    N, lanes, x, w = b.shape[1], LINE_BYTES // out.itemsize, all_of(a), all_of(b)
    a_row, a_column, b_row = a.strides[0] // a.itemsize, a.strides[1] // a.itemsize, b.strides[0] // b.itemsize
    per_task, depth = THIN_LINES, max(K, 1)
    if K * N * out.itemsize >= LONG_BYTES:
        each = -(-K // max(1, min(LONG_PARTS, K // THIN_FEW)))
        per_task, depth = LONG_LINES, -(-each // THIN_FEW) * THIN_FEW
    lines = -(-N // lanes)
    line_tasks, parts = -(-lines // per_task), max(1, -(-K // depth))
    sums = out[:] if parts == 1 else np.empty(parts * M * N, out.dtype)
    runs = runs_of(parts * line_tasks, workers)
    for worker in prange(workers):
        for task in turns(runs, worker):
            part, line = task // line_tasks, task % line_tasks * per_task
            multiply_thin(M, N, x, a_row, a_column, w, b_row, bias, line, min(lines, line + per_task), part * depth,
                          min(K, (part + 1) * depth), lanes, sums[part * M * N : (part + 1) * M * N])
    if parts > 1:
        runs = runs_of(M, workers)
        for worker in prange(workers):
            for row in turns(runs, worker):
                add_thin(row, N, M * N, parts, sums, out)


@inner
def add_thin(row, N, size, parts, sums, out):
    """Add one row's sums over the parts, in order."""
    for j in range(row * N, (row + 1) * N):
        out[j] = sums[j]
    for part in range(1, parts):
        for j in range(row * N, (row + 1) * N):
            out[j] += sums[part * size + j]


@inner
def multiply_thin(M, N, a, a_row, a_column, b, b_row, bias, first, last, k, end, lanes, out):
    """Multiply columns [k, end) of a with some lines of as many rows of b; the first ones' sums start at the bias.

    Where b's last line is not whole, the last `lanes` columns are summed beside out, and those of them that are its own
    go there at the end.
    """
    spare, whole = np.empty(THIN * lanes, out.dtype), N // lanes
    most = THIN_DEPTH if b_row * out.itemsize < PAGE else THIN_FEW
    for line in range(first, last):
        column, start = min(line * lanes, N - lanes), fill(out, 0)
        if bias.size > 0 and k == 0:
            start = load(bias, column)
        for i in range(M):
            if line < whole:
                store(out, i * N + column, start)
            else:
                store(spare, i * lanes, start)
    while k < end:
        depth, line = min(most, end - k), first
        while line < last:
            column = min(line * lanes, N - lanes)
            two = line + 2 <= min(last, whole)
            for row in range(0, M, 4):
                x, w = row * a_row + k * a_column, k * b_row + column
                if two:
                    few_rows_lines(min(4, M - row), a, x, a_row, a_column, depth, b, w, b_row, out, row * N + column, N,
                                   lanes)
                elif line < whole:
                    few_rows(min(4, M - row), a, x, a_row, a_column, depth, b, w, b_row, out, row * N + column, N)
                else:
                    few_rows(min(4, M - row), a, x, a_row, a_column, depth, b, w, b_row, spare, row * lanes, lanes)
            line += 2 if two else 1
        k += depth
    if last > whole:
        for i in range(M):
            for j in range(whole * lanes, N):
                out[i * N + j] = spare[i * lanes + j - (N - lanes)]


@inner
def few_rows(rows, x, x_at, x_row, x_step, length, w, w_at, w_step, y, y_at, y_row):
    """Add the products of one to four rows of x with a line of w; rows that are not there repeat the last one."""
    i, j, k = min(1, rows - 1), min(2, rows - 1), min(3, rows - 1)
    a, b = load(y, y_at), load(y, y_at + i * y_row)
    c, d = load(y, y_at + j * y_row), load(y, y_at + k * y_row)
    for step in range(length):
        line, at = load(w, w_at + step * w_step), x_at + step * x_step
        a, b = multiply_added(a, x[at], line), multiply_added(b, x[at + i * x_row], line)
        c, d = multiply_added(c, x[at + j * x_row], line), multiply_added(d, x[at + k * x_row], line)
    store(y, y_at, a)
    store(y, y_at + i * y_row, b)
    store(y, y_at + j * y_row, c)
    store(y, y_at + k * y_row, d)


@inner
def few_rows_lines(rows, x, x_at, x_row, x_step, length, w, w_at, w_step, y, y_at, y_row, lanes):
    """The same for two lines."""
    i, j, k, z_at = min(1, rows - 1), min(2, rows - 1), min(3, rows - 1), y_at + lanes
    a, b = load(y, y_at), load(y, y_at + i * y_row)
    c, d = load(y, y_at + j * y_row), load(y, y_at + k * y_row)
    e, f = load(y, z_at), load(y, z_at + i * y_row)
    g, h = load(y, z_at + j * y_row), load(y, z_at + k * y_row)
    for step in range(length):
        at, from_w = x_at + step * x_step, w_at + step * w_step
        left, right = load(w, from_w), load(w, from_w + lanes)
        p, q, r, s = x[at], x[at + i * x_row], x[at + j * x_row], x[at + k * x_row]
        a, b, c, d = (multiply_added(a, p, left), multiply_added(b, q, left), multiply_added(c, r, left),
                      multiply_added(d, s, left))
        e, f, g, h = (multiply_added(e, p, right), multiply_added(f, q, right), multiply_added(g, r, right),
                      multiply_added(h, s, right))
    store(y, y_at, a)
    store(y, y_at + i * y_row, b)
    store(y, y_at + j * y_row, c)
    store(y, y_at + k * y_row, d)
    store(y, z_at, e)
    store(y, z_at + i * y_row, f)
    store(y, z_at + j * y_row, g)
    store(y, z_at + k * y_row, h)


@inner
def pack(b, b_row, b_column, N, K, first, line, lanes, packed, packed_at):
    """Write packed [line][depth][lane]: rows [first, first + KC) of a line of b, zeros behind the last column."""
    depth = min(KC, K - first)
    used, to = min(lanes, N - line * lanes), packed_at + line * depth * lanes
    for k in range(depth):
        at = (first + k) * b_row + line * lanes * b_column
        if b_column == 1:
            store(packed, to, load(b, at) if used == lanes else load_part(b, at, used, b.dtype.type(0)))
        else:
            for j in range(used):
                packed[unsigned(to + j)] = b[unsigned(at + j * b_column)]
            for j in range(used, lanes):
                packed[to + j] = 0
        to += lanes


@inner
def multiply_block(M, N, K, a, a_row, a_column, bias, first, packed, packed_at, row, last_row, first_line, last_line,
                   lanes, out, buffer):
    """Add columns [first, first + KC) of some rows of a times packed lines to out; the first block starts at bias."""
    depth, x, top, x_row, step = min(KC, K - first), a, row * a_row + first * a_column, a_row, a_column
    start, part, own = buffer[:lanes], buffer[lanes : (MR + 1) * lanes], buffer[(MR + 1) * lanes :]
    if a_column != 1 and last_line - first_line > FEW_LINES:
        for r in range(depth):
            for i in range(last_row - row):
                own[i * depth + r] = a[top + i * a_row + r * a_column]
        x, top, x_row, step = own, 0, depth, 1
    for line in range(first_line, last_line):
        used, w = min(lanes, N - line * lanes), packed_at + line * lanes * depth
        store(start, 0, load_part(bias, line * lanes, used, bias.dtype.type(0)) if bias.size > 0 else fill(start, 0))
        r = row
        while used == lanes and r + MR <= last_row:
            to = r * N + line * lanes
            if first > 0:
                tile_rows(x, top + (r - row) * x_row, x_row, NOTHING, 0, 1,
                          depth, step, packed, w, 0, out, to, N, 0, out, to, N, 0)
            else:
                tile_rows(x, top + (r - row) * x_row, x_row, NOTHING, 0, 1,
                          depth, step, packed, w, 0, start, 0, 0, 0, out, to, N, 0)
            r += MR
        while r < last_row:
            rows = MR if last_row - row >= MR else 1
            begin = min(r, last_row - rows)  # the last tile may do some rows again
            for i in range(rows):
                store(part, i * lanes, load_part(out, (begin + i) * N + line * lanes, used, out.dtype.type(0))
                      if first > 0 else load(start, 0))
            if rows == MR:
                tile_rows(x, top + (begin - row) * x_row, x_row, NOTHING, 0, 1, depth,
                          step, packed, w, 0, part, 0, lanes, 0, part, 0, lanes, 0)
            else:
                tile_one(x, top + (begin - row) * x_row, 0, NOTHING, 0, 1,
                         depth, step, packed, w, 0, part, 0, 0, 0, part, 0, 0, 0)
            for i in range(r - begin, rows):
                store_part(out, (begin + i) * N + line * lanes, load(part, i * lanes), used)
            r = begin + rows


@Loop
def _sum_columns(workers: int, dout: Row, M: int, N: int, dbias: Row):
    parts, lanes = -(-M // SUM_ROWS), LINE_BYTES // dout.itemsize
    whole = N // lanes * lanes
    sums = np.zeros((parts, N))
    runs = runs_of(parts, workers)
    for worker in prange(workers):
        for part in turns(runs, worker):
            total, first, last = sums[part], part * SUM_ROWS, min(M, (part + 1) * SUM_ROWS)
            for j in range(0, whole, lanes):
                low, high = fill(total, 0), fill(total, 0)
                for row in range(first, last):
                    line = load(dout, row * N + j)
                    low, high = low + widened(line, 0), high + widened(line, 1)
                store(total, j, low)
                if lanes == 16:
                    store(total, j + 8, high)
            for j in range(whole, N):
                for row in range(first, last):
                    total[j] += dout[row * N + j]
    for j in range(N):
        all_of = 0.0
        for part in range(parts):
            all_of += sums[part, j]
        dbias[j] = all_of
