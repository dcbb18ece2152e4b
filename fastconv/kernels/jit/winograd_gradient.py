"""The gradient to the weights by Winograd's method (winograd.py), one block of tiles after another."""
from __future__ import annotations

import numpy as np

from .compile import inner
from .lines import fill, lanes_of, load, store, zero
from .tile import MR, tile
from .transforms import winograd_gradient, winograd_taps
from .winograd import HALF, NOTHING, POINTS
from .winograd_sweep import transform_input

tile_rows, tile_pair = tile(MR), tile(2)


@inner
def gradient_blocks(s, t, source, source_at, dout, dout_at, first, last, first_line, last_line, u, u_at, total,
                    total_at, scratch):
    """Add up the blocks [first, last) for some lines: u [line][36][channel][lane], total [line][lane] for the bias."""
    lanes = lanes_of(u)
    half, v = scratch[:HALF], scratch[HALF : HALF + POINTS * t.v_step]
    z, rest = scratch[HALF + POINTS * t.v_step :], HALF + POINTS * (t.v_step + t.m_step)
    corner = scratch[rest:]
    for line in range(first_line, last_line):
        store(total, total_at + line * lanes, fill(total, 0))
    for block in range(first, last):
        tiles = min(t.block, t.count - block * t.block)
        transform_input(s, t, source, source_at, block * t.block, tiles, v, half, corner, np.empty(0, np.int64))
        for line in range(first_line, last_line):
            gradient_line(s, t, dout, dout_at, block * t.block, tiles, line, v, z, block == first, u,
                          u_at + line * POINTS * t.u_step, total, total_at + line * lanes, half, corner)


@inner
def gradient_line(s, t, dout, dout_at, first, tiles, line, v, z, fresh, u, u_at, total, total_at, half, whole):
    """Add a block of tiles to the points u of one line, which hold nothing yet if fresh, and to its total."""
    lanes = lanes_of(z)
    for i in range(tiles):
        read_tile(s, t, dout, dout_at, first + i, line * lanes, z, i * lanes, total, total_at, half, whole)
    add_points(t, v, z, tiles, s.channels, fresh, u, u_at, half)


@inner
def read_tile(s, t, dout, dout_at, index, output, z, z_at, total, total_at, half, whole):
    """Transform one tile of dout for one line of outputs; outside the image it is zero (with room: in memory)."""
    lanes = lanes_of(z)
    h, w = index // t.w % t.h * 4, index % t.w * 4
    rows, columns, used = min(4, s.h.grid - h), min(4, s.w.grid - w), min(lanes, s.outputs - output)
    origin = dout_at + index // (t.w * t.h) * s.out_image + h * s.out_row + w * s.outputs + output
    if used == lanes and (s.room or (rows == 4 and columns == 4)):
        winograd_gradient(dout, origin, s.out_row, s.outputs, half, z, z_at, t.m_step, total, total_at)
        return
    zero(whole, 0, 16 * lanes)
    for i in range(rows):
        for j in range(columns):
            at, start = (i * 4 + j) * lanes, origin + i * s.out_row + j * s.outputs
            if used == lanes:
                store(whole, at, load(dout, start))
                continue
            for k in range(used):
                whole[at + k] = dout[start + k]
    winograd_gradient(whole, 0, 4 * lanes, lanes, half, z, z_at, t.m_step, total, total_at)


@inner
def add_points(t, v, z, tiles, channels, fresh, u, u_at, half):
    """u[p] [channel][lane] (+)= v[p] [tile][channel] transposed times z[p] [tile][lane] for the 36 points."""
    nought = HALF - lanes_of(u)
    store(half, nought, fill(half, 0))
    for p in range(POINTS):
        add_point(v, p * t.v_step, z, p * t.m_step, tiles, channels, fresh, u, u_at + p * t.u_step, half, nought)


@inner
def add_point(v, v_at, z, z_at, tiles, channels, fresh, u, u_at, zeros, zeros_at):
    whole, lanes = channels // MR * MR, lanes_of(u)
    for c in range(0, whole, MR):
        to = u_at + c * lanes
        if fresh:
            tile_rows(v, v_at + c, 1, NOTHING, 0, 1, tiles, channels, z, z_at, 0, zeros, zeros_at, 0, 0, u, to, lanes,
                      0)
        else:
            tile_rows(v, v_at + c, 1, NOTHING, 0, 1, tiles, channels, z, z_at, 0, u, to, lanes, 0, u, to, lanes, 0)
    for c in range(whole, channels, 2):
        to = u_at + c * lanes
        if fresh:
            store(u, to, fill(u, 0))
            store(u, to + lanes, fill(u, 0))
        tile_pair(v, v_at + c, 1, NOTHING, 0, 1, tiles, channels, z, z_at, 0, u, to, lanes, 0, u, to, lanes, 0)


@inner
def line_taps(s, t, u, u_at, lanes, lane_size, taps, half, sums):
    """Add one line's u over the lanes, in order; write its taps [3][3][channel][lane]; say whether they are finite."""
    width = lanes_of(u)
    finite = True
    for c in range(s.channels):
        at = u_at + c * width
        if lanes == 1:
            finite &= winograd_taps(u, at, t.u_step, half, taps, c * width, s.channels * width)
            continue
        for i in range(POINTS):
            total = load(u, at + i * t.u_step)
            for lane in range(1, lanes):
                total = total + load(u, lane * lane_size + at + i * t.u_step)
            store(sums, i * width, total)
        finite &= winograd_taps(sums, 0, width, half, taps, c * width, s.channels * width)
    return finite
