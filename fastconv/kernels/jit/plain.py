"""The functions of lines.py and tile.py as they are defined, on NumPy arrays: the twins that the tests hold them to."""
from __future__ import annotations

import ctypes

import numpy as np

LINE_BYTES = 64
DEAD = 4


def lanes_of(array):
    return LINE_BYTES // array.itemsize


def load(array, index):
    return array[index : index + lanes_of(array)].copy()


def store(array, index, line):
    array[index : index + lanes_of(array)] = line


def fill(array, value):
    return np.full(lanes_of(array), value, array.dtype)


def zero(array, index, count):
    array[index : index + count] = 0


def copy(array, index, source, source_index, count):
    array[index : index + count] = source[source_index : source_index + count]


def multiply_added(a, x, b):
    return a + x * b


def total(a):
    while len(a) > 1:
        a = a[: len(a) // 2] + a[len(a) // 2 :]
    return a[0]


def root(a):
    return np.sqrt(a)


def widened(a, half):
    return a if a.itemsize == 8 else a[half * 8 : half * 8 + 8].astype(np.float64)


def positive(a):
    return np.where(a <= 0, 0, a)


def where_positive(mask, a):
    return np.where(mask <= 0, 0, a)


def is_zero(a):
    return not a.any()


def all_finite(a):
    return bool(np.isfinite(a).all())


def relu_pool(a, b, c, d, winner, index):
    best, first = a, np.zeros(len(a), np.uint8)
    for n, x in enumerate((b, c, d), 1):
        wins = (x > best) | (np.isnan(x) & ~np.isnan(best))
        best, first = np.where(wins, x, best), np.where(wins, n, first)
    dead = best <= 0
    winner[index : index + len(a)] = np.where(dead, DEAD, first)
    return np.where(dead, 0, best)


def where_won(dout, winner, index, n):
    return np.where(winner[index : index + len(dout)] == n, dout, 0)


def tile(rows, lines):
    """Return the twin of a tile of so many rows and lines (tile.py)."""

    def run(x, x_at, x_step, offset, offset_at, runs, length, step, w, w_at, w_line, init, init_at, init_step,
            init_line, y, y_at, y_step, y_line):
        lanes = lanes_of(y)
        for i in range(rows):
            for j in range(lines):
                total = load(init, init_at + i * init_step + j * init_line)
                at = w_at + j * w_line
                for r in range(runs):
                    for k in range(length):
                        total = total + x[x_at + i * x_step + offset[offset_at + r] + k * step] * load(w, at)
                        at += lanes
                store(y, y_at + i * y_step + j * y_line, total)

    return run


def listed_tile(rows):
    """Return the twin of a tile whose rows stand in lists (tile.py)."""

    def run(x, x_at, offset, offset_at, runs, length, step, w, w_at, init, init_at, y, y_at, list_at):
        one = tile(1, 1)
        for i in range(list_at, list_at + rows):
            one(x, x_at[i], 0, offset, offset_at, runs, length, step, w, w_at, 0, init, init_at[i], 0, 0, y, y_at[i],
                0, 0)

    return run


def depthwise_tile(rows):
    """Return the twin of a tile of so many pixels (depthwise.py)."""

    def run(x, x_at, x_step, last, offset, taps, w, w_at, init, init_at, relu, y, y_at, y_step):
        for i in range(min(rows, last + 1)):
            total = load(init, init_at)
            for t in range(taps):
                total += load(x, x_at + i * x_step + offset[t]) * load(w, w_at + t * lanes_of(w))
            store(y, y_at + i * y_step, positive(total) if relu else total)

    return run


def depthwise_taps(taps):
    """Return the twin of a tile of so many taps (depthwise.py)."""

    def run(x, x_at, x_row, x_step, offset, dy, dy_at, dy_row, dy_step, rows, count, sums):
        lanes = lanes_of(sums)
        for h in range(rows):
            for i in range(count):
                b = load(dy, dy_at + h * dy_row + i * dy_step)
                for t in range(taps):
                    sums[t * lanes : (t + 1) * lanes] += load(x, x_at + h * x_row + i * x_step + offset[t]) * b
                sums[taps * lanes : (taps + 1) * lanes] += b

    return run


def runs_of(tasks, workers):
    ends = np.arange(workers + 1) * tasks // workers
    runs = np.zeros((workers, 16), np.int64)
    runs[:, 0], runs[:, 1] = ends[:-1], ends[1:]
    return runs.reshape(-1)


def take_task(runs, at):
    if runs[at] == runs[at + 1]:
        return -1
    runs[at] += 1
    return runs[at] - 1


def add_blocks(sums, x, first, blocks):
    with np.errstate(over="ignore"):
        for block in x[first:].view(np.uint8)[: blocks * 256].view(np.uint64).reshape(blocks, 32):
            mixed = sums ^ block
            sums[:] = (mixed << np.uint64(29) | mixed >> np.uint64(35)) * np.uint64(0x9E3779B97F4A7C15)


def at_address(kind):
    """Return a function that reads one value of memory."""
    c_type = {"f": ctypes.c_float, "d": ctypes.c_double, "B": ctypes.c_uint8}[kind]
    return lambda address: np.dtype(kind).type(c_type.from_address(address).value)


def flush_denormals():
    return 0


def restore_mode(before):
    pass
