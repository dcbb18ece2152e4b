"""Winograd's method (winograd.py) where the weights' points come from memory, by tasks of all threads.

    for each group of tiles, as many as fit into TOGETHER at their points
        input transform     a task: a few tiles                ->  v [36][tile][channel]
        products            a task: a point, some lines        ->  m [line][36][tile][lane]
        output transform    a task: a few tiles                ->  4x4 outputs

so that each weight is read once for all of them; and the gradient to the weights

        input transform     a task: a few tiles                ->  v [36][tile][channel]
        gradient transform  a task: a line                     ->  z [line][36][tile][lane]
        products            a task: a point, some lines        +>  u [line][36][channel][lane]
"""
from __future__ import annotations

import numpy as np

from .compile import inner
from .lines import fill, lanes_of, store
from .tile import MR, tile
from .winograd import HALF, NOTHING, POINTS, no_finish, tiling
from .winograd_gradient import add_point, read_tile
from .winograd_sweep import transform_input, write_tile

FEW_TILES = 8  # that a task transforms

tile_rows = tile(MR)


@inner
def input_task(s, images, together, source, first, task, tiles, v, blank):
    """Bring a few tiles of the group that begins with tile `first` to their points; note what is blank in them."""
    t = tiling(s, images, together)
    at, few = task * FEW_TILES, min(FEW_TILES, tiles - task * FEW_TILES)
    scratch = np.empty(HALF + POINTS * s.channels, v.dtype)
    transform_input(s, t, source, 0, first + at, few, v[at * s.channels :], scratch[:HALF], scratch[HALF:],
                    blank[at:])


@inner
def product_task(s, images, together, v, tiles, u, point, first_line, last_line, m):
    """Multiply one point of the tiles with some lines; rows behind the last tile hold old data and are not used."""
    t = tiling(s, images, together)
    lanes = lanes_of(m)
    zeros = np.zeros(lanes, m.dtype)
    for line in range(first_line, last_line):
        number = line * POINTS + point
        for row in range(0, tiles, MR):
            tile_rows(v, point * t.v_step + row * s.channels, s.channels, NOTHING, 0, 1, s.channels, 1,
                      u, number * t.u_step, 0, zeros, 0, 0, 0, m, number * t.m_step + row * lanes, lanes, 0)


@inner
def output_task(s, images, together, m, blank, bias, first, task, tiles, out):
    """Write the results of a few tiles; return whether they are finite."""
    t = tiling(s, images, together)
    at, lanes, finite, no_bytes = task * FEW_TILES, lanes_of(m), True, np.empty(1, np.uint8)
    scratch = np.empty(HALF + 16 * lanes, m.dtype)
    for line in range(s.lines):
        for i in range(at, min(at + FEW_TILES, tiles)):
            finite &= write_tile(s, t, m, line * POINTS * t.m_step + i * lanes, bias, line * lanes, blank[i],
                                 first + i, line * lanes, no_finish(), out, no_bytes, out, 0, scratch[:HALF],
                                 scratch[HALF:])
    return finite


@inner
def dout_task(s, images, together, dout, first, line, tiles, z, total, total_at):
    """Bring the tiles of one line of dout to their points, and add them to its total."""
    t = tiling(s, images, together)
    lanes = lanes_of(z)
    scratch = np.empty(HALF + 16 * lanes, z.dtype)
    if first == 0:
        store(total, total_at + line * lanes, fill(total, 0))
    for i in range(tiles):
        read_tile(s, t, dout, 0, first + i, line * lanes, z, line * POINTS * t.m_step + i * lanes, total,
                  total_at + line * lanes, scratch[:HALF], scratch[HALF:])


@inner
def point_task(s, images, together, v, z, tiles, first, point, first_line, last_line, u):
    """Add one point of the tiles to some lines of the gradient, which hold nothing yet before the first tiles."""
    t = tiling(s, images, together)
    zeros = np.zeros(lanes_of(u), u.dtype)
    for line in range(first_line, last_line):
        number = line * POINTS + point
        add_point(v, point * t.v_step, z, number * t.m_step, tiles, s.channels, first == 0, u, number * t.u_step,
                  zeros, 0)
