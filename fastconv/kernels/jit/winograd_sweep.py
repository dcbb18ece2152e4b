"""A sweep by Winograd's method (winograd.py), one block of tiles after another."""
from __future__ import annotations

import numpy as np

from .compile import inner
from .lines import copy, fill, lanes_of, load, store, where_positive, zero
from .tile import MR, tile
from .transforms import blank_outputs, winograd_filter, winograd_input, winograd_output, winograd_pooled
from .winograd import HALF, NOTHING, POINTS

tile_rows = tile(MR)


@inner
def transform_line(s, t, packed, packed_at, u, u_at, half):
    """Transform one packed line of weights [3][3][channel][lane] to u [36][channel][lane]."""
    lanes = lanes_of(u)
    for c in range(s.channels):
        winograd_filter(packed, packed_at + c * lanes, s.channels * lanes, half, u, u_at + c * lanes, t.u_step)


@inner
def winograd_block(s, t, source, source_at, u, u_at, bias, bias_at, first, first_line, last_line, finish, memory,
                   winner, out, out_at, scratch):
    """Compute the tiles [first, first + block) for some lines of outputs; return whether all results are finite.

    `memory` holds the mask that finish may speak of, `winner` the bytes.
    """
    lanes = lanes_of(out)
    tiles = min(t.block, t.count - first)
    half, v = scratch[:HALF], scratch[HALF : HALF + POINTS * t.v_step]
    m, rest = scratch[HALF + POINTS * t.v_step :], HALF + POINTS * (t.v_step + t.m_step)
    corner, blank = scratch[rest:], np.empty(tiles, np.int64)
    transform_input(s, t, source, source_at, first, tiles, v, half, corner, blank)
    finite, nought = True, HALF - lanes
    for line in range(first_line, last_line):
        multiply_points(t, v, tiles, s.channels, u, u_at + line * POINTS * t.u_step, m, half, nought)
        for i in range(tiles):
            finite &= write_tile(s, t, m, i * lanes, bias, bias_at + line * lanes, blank[i], first + i,
                                 line * lanes, finish, memory, winner, out, out_at, half, corner)
    return finite


@inner
def transform_input(s, t, source, source_at, first, tiles, v, half, corner, blank):
    """v = the points of some tiles; blank (if it is not empty): which outputs of each see nothing but zeros."""
    lanes = lanes_of(v)
    c = s.channels
    for i in range(tiles):
        index = first + i
        h, w = index // t.w % t.h * 4 + s.h.at, index % t.w * 4 + s.w.at
        image = source_at + index // (t.w * t.h) * s.source_image
        if h >= -s.before and w >= -s.before and h + 6 <= s.h.source + s.after and w + 6 <= s.w.source + s.after:
            patch = image + h * s.source_row + w * c
            if blank.size > 0:
                blank[i] = blank_outputs(source, patch, s.source_row, c, c)
            for k in range(0, c, lanes):
                winograd_input(source, patch + k, s.source_row, c, v, i * c + k, t.v_step)
        else:
            copy_patch(s, source, image, h, w, corner)
            if blank.size > 0:
                blank[i] = blank_outputs(corner, 0, 6 * c, c, c)
            for k in range(0, c, lanes):
                winograd_input(corner, k, 6 * c, c, v, i * c + k, t.v_step)


@inner
def copy_patch(s, source, image, h, w, corner):
    """Copy the 6x6 input pixels of a tile, zeros where they are outside."""
    c = s.channels
    left = min(max(-w, 0), 6)
    right = max(min(s.w.source - w, 6), left)
    zero(corner, 0, POINTS * c)
    for i in range(max(-h, 0), min(s.h.source - h, 6)):
        start = image + (h + i) * s.source_row + (w + left) * c
        copy(corner, (i * 6 + left) * c, source, start, (right - left) * c)


@inner
def multiply_points(t, v, tiles, channels, u, u_at, m, half, nought):
    """m[p] = v[p] times u[p] for the 36 points; rows behind the last tile hold old data and are not used."""
    lanes = lanes_of(m)
    store(half, nought, fill(half, 0))
    for p in range(POINTS):
        for row in range(0, tiles, MR):
            tile_rows(v, p * t.v_step + row * channels, channels, NOTHING, 0, 1, channels, 1, u, u_at + p * t.u_step, 0,
                      half, nought, 0, 0, m, p * t.m_step + row * lanes, lanes, 0)


@inner
def write_tile(s, t, m, m_at, bias, bias_at, blank, index, output, f, memory, winner, out, out_at, half, whole):
    """Transform one tile's sums for one line of outputs back; write what is inside the image, and what has room."""
    lanes = lanes_of(out)
    n, h, w = index // (t.w * t.h), index // t.w % t.h * 4, index % t.w * 4
    if f.winner >= 0:
        return winograd_pooled(m, m_at, t.m_step, bias, bias_at, blank, half, out,
                               out_at + n * f.pooled_image + h // 2 * f.pooled_row + w // 2 * s.outputs + output,
                               f.pooled_row, s.outputs, winner,
                               f.winner + n * f.winner_image + h // 2 * f.winner_row + w // 2 * s.outputs + output,
                               f.winner_row)
    rows, columns, used = min(4, s.h.grid - h), min(4, s.w.grid - w), min(lanes, s.outputs - output)
    mask = -1
    if f.mask >= 0:
        mask = f.mask + n * f.mask_image + h * f.mask_row + w * s.outputs + output
    target = out_at + n * s.out_image + h * s.out_row + w * s.outputs + output
    if used == lanes and (s.room or (rows == 4 and columns == 4)):
        return winograd_output(m, m_at, t.m_step, bias, bias_at, blank, f.relu, memory, mask, f.mask_row, half, out,
                               target, s.out_row, s.outputs)
    finite = winograd_output(m, m_at, t.m_step, bias, bias_at, blank, f.relu, memory, -1, 0, half, whole, 0, 4 * lanes,
                             lanes)
    for i in range(rows):
        for j in range(columns):
            at, to = (i * 4 + j) * lanes, target + i * s.out_row + j * s.outputs
            beside = mask + i * f.mask_row + j * s.outputs
            if used == lanes:
                line = load(whole, at)
                store(out, to, where_positive(load(memory, beside), line) if mask >= 0 else line)
                continue
            for k in range(used):
                dead = mask >= 0 and memory[beside + k] <= 0
                out[to + k] = 0 if dead else whole[at + k]
    return finite
