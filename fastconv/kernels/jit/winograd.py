"""Sweeps by Winograd's F(4x4, 3x3), for 3x3 filters at stride 1 in float32: a quarter of the products.

4x4 outputs of a 3x3 filter from 6x6 inputs with 36 products instead of 144 (Lavin, Gray, "Fast Algorithms for
Convolutional Neural Networks", arXiv:1509.09308, section 4.3):

    y  = A' [ (G g G') * (B' d B) ] A         * element by element
    dg = G' [ (A dy A') * (B' d B) ] G        its gradient to the filter

    4x4 tiles of all images, in blocks of `block`
        input transform       6x6 patch of each tile         ->  v [36][block][channel]
        for each line of outputs
            36 products       v[p] [block][channel] times u[p] [channel][lane], register tiles  ->  m [36][block][lane]
            output transform  m [36] of each tile            ->  4x4 outputs

and the gradient to the weights

        for each line of outputs
            gradient transform  4x4 of each tile             ->  z [36][block][lane]
            36 products         v[p] transposed times z[p]   +>  u [36][channel][lane], over all blocks of a lane
    lanes added in order, filter transform backwards         ->  3x3 taps

Where a result is not finite the caller computes the whole sweep directly: the transforms would spread one nan or inf
over a 4x4 tile, and overflow earlier.
"""
from __future__ import annotations

from typing import NamedTuple

import numpy as np

from .compile import both, inline, inner
from .lines import all_finite, copy, fill, load, positive, relu_pool, store, where_positive, zero
from .tile import MR, tile

POINTS = 36
LANES = 16           # floats per line
NEAR = 4 << 20       # bytes of weights' points that L2 and a core's share of L3 hold
FAR = 16 << 20       # and L3
HALF = POINTS * LANES  # floats of a transform's first half

tile_rows, tile_pair = tile(MR), tile(2)
NOTHING = np.zeros(1, np.int64)  # the offset of a sum's only run


class Tiling(NamedTuple):
    """How the results of a sweep are cut into tiles."""

    h: int       # tiles per column of an image
    w: int       # tiles per row
    count: int   # tiles of all images
    block: int   # tiles at a time
    v_step: int  # floats from one of the 36 points to the next in v; an odd number of lines, because the 36 lines of a
    m_step: int  # tile would otherwise fall on a few sets of the cache; in m
    u_step: int  # and in u


class Finish(NamedTuple):
    """What happens to a sweep's results before they are stored."""

    relu: bool         # they are replaced by their positive part
    mask: int          # or are zero where the map that begins here is <= 0; -1: there is none
    mask_row: int
    mask_image: int
    winner: int        # relu and 2x2 pooling: results go to a pooled map, and where they came from here; -1: no pooling
    winner_row: int
    winner_image: int
    pooled_row: int
    pooled_image: int


@inline
def no_finish():
    return Finish(False, -1, 0, 0, -1, 0, 0, 0, 0)


@both
def usual_block(channels: int) -> int:
    """Return the tiles at a time with which v stays in L2; a multiple of every MR."""
    return 48 if channels <= 32 else 24


@inline
def tile_count(s, images):
    return images * -(-s.h.grid // 4) * -(-s.w.grid // 4)


@inline
def tiling(s, images, block):
    return Tiling(-(-s.h.grid // 4), -(-s.w.grid // 4), tile_count(s, images), block,
                  (block * s.channels // LANES | 1) * LANES, (block | 1) * LANES, (s.channels | 1) * LANES)


def points_size(channels: int) -> int:
    """Return the floats of a line of weights at the 36 points."""
    return POINTS * (channels | 1) * LANES


def winograd_fits(s: dict) -> bool:
    """Say whether the sweep is one that these functions can compute."""
    return (all(a.taps == 3 and a.at_step == a.step == a.stride == 1 for a in (s["h"], s["w"]))
            and s["groups"] == 1 and s["channels"] % LANES == 0 and s["outputs"] >= LANES)


def winograd_pays(s: dict, images: int, transform: bool) -> bool:
    """Say whether it fits and takes fewer cycles than the direct sweep; the cost model of ../native/winograd.pxd."""
    if not winograd_fits(s):
        return False
    count = images * -(-s["h"].grid // 4) * -(-s["w"].grid // 4)
    lines, points = s["channels"] * s["outputs"] / 16, 144 * s["channels"] * s["outputs"]
    per_byte = 0.125 if points <= NEAR else 0.25 if points <= FAR else 1
    direct = 9 * images * s["h"].grid * s["w"].grid * lines
    tiles = count * (POINTS * lines + 20 * s["channels"] + 10 * s["outputs"])
    weights = 8 * s["channels"] * s["outputs"] + points * per_byte if transform else 0
    return tiles + weights + points * per_byte * -(-count // usual_block(s["channels"])) < direct


@both
def winograd_scratch(channels, block):
    """Return the floats one thread needs: half a transform, v, m, a patch or a tile."""
    return HALF + POINTS * ((block * channels // LANES | 1) + (block | 1)) * LANES + POINTS * max(channels, LANES)


# ---- the transforms along one axis: of lines

@inline
def input_points(a, b, c, d, e, f):
    """B' d: six inputs in a row to the points 0, 1, -1, 2, -2, infinity."""
    even1, odd1 = e - 4 * c, d - 4 * b
    even2, odd2 = e - c, 2 * (d - b)
    return 4 * a - 5 * c + e, even1 + odd1, even1 - odd1, even2 + odd2, even2 - odd2, 4 * b - 5 * d + f


@inline
def filter_points(a, b, c):
    """G g: three filter taps to the six points."""
    even1, odd1 = (a + c) * (1 / 6), b * (1 / 6)
    even2, odd2 = a * (1 / 24) + c * (1 / 6), b * (1 / 12)
    return a * 0.25, (even1 + odd1) * -1.0, odd1 - even1, even2 + odd2, even2 - odd2, c


@inline
def outputs_of(a, b, c, d, e, f):
    """A' m: six points back to four outputs."""
    sum1, difference1, sum2, difference2 = b + c, b - c, d + e, d - e
    return a + sum1 + sum2, difference1 + 2 * difference2, sum1 + 4 * sum2, difference1 + 8 * difference2 + f


@inline
def output_points(a, b, c, d):
    """A dy: four gradients to the six points."""
    even1, odd1, even2, odd2 = a + c, b + d, a + 4 * c, 2 * b + 8 * d
    return a, even1 + odd1, even1 - odd1, even2 + odd2, even2 - odd2, d


@inline
def taps_of(a, b, c, d, e, f):
    """G' u: six points back to three taps."""
    sum1, sum2, difference2 = (b + c) * (1 / 6), d + e, d - e
    return (0.25 * a - sum1 + sum2 * (1 / 24), (c - b) * (1 / 6) + difference2 * (1 / 12),
            sum2 * (1 / 6) - sum1 + f)


@inline
def load6(a, at, step):
    return (load(a, at), load(a, at + step), load(a, at + 2 * step), load(a, at + 3 * step), load(a, at + 4 * step),
            load(a, at + 5 * step))


@inline
def store6(a, at, step, lines):
    store(a, at, lines[0])
    store(a, at + step, lines[1])
    store(a, at + 2 * step, lines[2])
    store(a, at + 3 * step, lines[3])
    store(a, at + 4 * step, lines[4])
    store(a, at + 5 * step, lines[5])


# ---- the transforms of one line of channels of one tile; `half` holds them after the first axis

@inner
def winograd_input(d, at, row, column, half, v, to, step):
    """v[i*6 + j] = B' d B of the 6x6 pixels d[i*row + j*column]."""
    for j in range(6):
        a, b, c, e, f, g = load6(d, at + j * column, row)
        store6(half, j * LANES, 6 * LANES, input_points(a, b, c, e, f, g))
    for i in range(6):
        a, b, c, e, f, g = load6(half, i * 6 * LANES, LANES)
        store6(v, to + i * 6 * step, step, input_points(a, b, c, e, f, g))


@inner
def winograd_filter(g, at, tap, half, u, to, step):
    """u[i*6 + j] = G g G' of the 3x3 taps g[(i*3 + j)*tap]."""
    for j in range(3):
        store6(half, j * LANES, 3 * LANES, filter_points(load(g, at + j * tap), load(g, at + (3 + j) * tap),
                                                         load(g, at + (6 + j) * tap)))
    for i in range(6):
        k = i * 3 * LANES
        store6(u, to + i * 6 * step, step,
               filter_points(load(half, k), load(half, k + LANES), load(half, k + 2 * LANES)))


@inner
def half_output(m, at, step, half):
    """half [4][6] = A' m of the 36 sums m[i*6 + j]."""
    for j in range(6):
        a, b, c, d, e, f = load6(m, at + j * step, 6 * step)
        w, x, y, z = outputs_of(a, b, c, d, e, f)
        store(half, j * LANES, w)
        store(half, (6 + j) * LANES, x)
        store(half, (12 + j) * LANES, y)
        store(half, (18 + j) * LANES, z)


@inline
def output_row(half, i, bias):
    """Return the four results of row i."""
    a, b, c, d, e, f = load6(half, i * 6 * LANES, LANES)
    w, x, y, z = outputs_of(a, b, c, d, e, f)
    return w + bias, x + bias, y + bias, z + bias


@inline
def finish_line(line, relu, masked, mask, mask_at):
    """Return the positive part (relu), zero where the mask is <= 0 (masked), or the line as it is."""
    if relu:
        return positive(line)
    if masked:
        return where_positive(load(mask, mask_at), line)
    return line


@inner
def winograd_output(m, at, step, bias, bias_at, relu, mask, mask_at, mask_row, half, y, to, row, column):
    """y[i*row + j*column] = the 4x4 results, finished; mask_at < 0: no mask. Return whether they are finite."""
    half_output(m, at, step, half)
    b, nothing, masked = load(bias, bias_at), fill(bias, 0), mask_at >= 0
    for i in range(4):
        w, x, v, z = output_row(half, i, b)
        nothing = nothing + (w * 0.0 + x * 0.0) + (v * 0.0 + z * 0.0)
        k, p = mask_at + i * mask_row, to + i * row
        store(y, p, finish_line(w, relu, masked, mask, k))
        store(y, p + column, finish_line(x, relu, masked, mask, k + column))
        store(y, p + 2 * column, finish_line(v, relu, masked, mask, k + 2 * column))
        store(y, p + 3 * column, finish_line(z, relu, masked, mask, k + 3 * column))
    return all_finite(nothing)


@inner
def winograd_pooled(m, at, step, bias, bias_at, half, y, to, row, column, winner, winner_at, winner_row):
    """y[i*row + j*column] = the largest of each 2x2 of the results' positive parts; winner says which of four won."""
    half_output(m, at, step, half)
    b, nothing = load(bias, bias_at), fill(bias, 0)
    for i in range(2):
        w, x, v, z = output_row(half, 2 * i, b)
        w2, x2, v2, z2 = output_row(half, 2 * i + 1, b)
        nothing = nothing + (w * 0.0 + x * 0.0) + (v * 0.0 + z * 0.0) + (w2 * 0.0 + x2 * 0.0) + (v2 * 0.0 + z2 * 0.0)
        k, p = winner_at + i * winner_row, to + i * row
        store(y, p, relu_pool(w, x, w2, x2, winner, k))
        store(y, p + column, relu_pool(v, z, v2, z2, winner, k + column))
    return all_finite(nothing)


@inner
def winograd_gradient(dy, at, row, column, half, z, to, step, total, total_at):
    """z[i*6 + j] = A dy A' of the 4x4 gradients dy[i*row + j*column], whose sum is added to total."""
    all_of = load(total, total_at)
    for j in range(4):
        p = at + j * column
        a, b, c, d = load(dy, p), load(dy, p + row), load(dy, p + 2 * row), load(dy, p + 3 * row)
        all_of = all_of + ((a + b) + (c + d))
        store6(half, j * LANES, 4 * LANES, output_points(a, b, c, d))
    store(total, total_at, all_of)
    for i in range(6):
        k = i * 4 * LANES
        a, b, c, d = load(half, k), load(half, k + LANES), load(half, k + 2 * LANES), load(half, k + 3 * LANES)
        store6(z, to + i * 6 * step, step, output_points(a, b, c, d))


@inner
def winograd_taps(u, at, step, half, g, to, tap):
    """g[(i*3 + j)*tap] = G' u G of the 36 sums u[i*6 + j]; return whether they are finite."""
    nothing = fill(g, 0)
    for j in range(6):
        a, b, c, d, e, f = load6(u, at + j * step, 6 * step)
        x, y, z = taps_of(a, b, c, d, e, f)
        store(half, j * LANES, x)
        store(half, (6 + j) * LANES, y)
        store(half, (12 + j) * LANES, z)
    for i in range(3):
        a, b, c, d, e, f = load6(half, i * 6 * LANES, LANES)
        x, y, z = taps_of(a, b, c, d, e, f)
        nothing = nothing + x * 0.0 + y * 0.0 + z * 0.0
        store(g, to + i * 3 * tap, x)
        store(g, to + (i * 3 + 1) * tap, y)
        store(g, to + (i * 3 + 2) * tap, z)
    return all_finite(nothing)


# ---- blocks of tiles

@inner
def transform_line(s, t, packed, packed_at, u, u_at, half):
    """Transform one packed line of weights [3][3][channel][lane] to u [36][channel][lane]."""
    for c in range(s.channels):
        winograd_filter(packed, packed_at + c * LANES, s.channels * LANES, half, u, u_at + c * LANES, t.u_step)


@inner
def winograd_block(s, t, source, source_at, u, u_at, bias, bias_at, first, first_line, last_line, finish, memory,
                   winner, out, out_at, scratch):
    """Compute the tiles [first, first + block) for some lines of outputs; return whether all results are finite.

    `memory` holds the mask that finish may speak of, `winner` the bytes.
    """
    tiles = min(t.block, t.count - first)
    half, v = scratch[:HALF], scratch[HALF : HALF + POINTS * t.v_step]
    m, rest = scratch[HALF + POINTS * t.v_step :], HALF + POINTS * (t.v_step + t.m_step)
    corner = scratch[rest:]
    transform_input(s, t, source, source_at, first, tiles, v, half, corner)
    finite, nought = True, HALF - LANES
    for line in range(first_line, last_line):
        multiply_points(t, v, tiles, s.channels, u, u_at + line * POINTS * t.u_step, m, half, nought)
        for i in range(tiles):
            finite &= write_tile(s, t, m, i * LANES, bias, bias_at + line * LANES, first + i,
                                 line * LANES, finish, memory, winner, out, out_at, half, corner)
    return finite


@inner
def transform_input(s, t, source, source_at, first, tiles, v, half, corner):
    c = s.channels
    for i in range(tiles):
        index = first + i
        h, w = index // t.w % t.h * 4 + s.h.at, index % t.w * 4 + s.w.at
        image = source_at + index // (t.w * t.h) * s.source_image
        if h >= -s.before and w >= -s.before and h + 6 <= s.h.source + s.after and w + 6 <= s.w.source + s.after:
            patch = image + h * s.source_row + w * c
            for k in range(0, c, LANES):
                winograd_input(source, patch + k, s.source_row, c, half, v, i * c + k, t.v_step)
        else:
            copy_patch(s, source, image, h, w, corner)
            for k in range(0, c, LANES):
                winograd_input(corner, k, 6 * c, c, half, v, i * c + k, t.v_step)


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
    store(half, nought, fill(half, 0))
    for p in range(POINTS):
        for row in range(0, tiles, MR):
            tile_rows(v, p * t.v_step + row * channels, channels, NOTHING, 0, 1, channels, 1, u, u_at + p * t.u_step, 0,
                      half, nought, 0, 0, m, p * t.m_step + row * LANES, LANES, 0)


@inner
def write_tile(s, t, m, m_at, bias, bias_at, index, output, f, memory, winner, out, out_at, half, whole):
    """Transform one tile's sums for one line of outputs back; write what is inside the image, and what has room."""
    n, h, w = index // (t.w * t.h), index // t.w % t.h * 4, index % t.w * 4
    if f.winner >= 0:
        return winograd_pooled(m, m_at, t.m_step, bias, bias_at, half, out,
                               out_at + n * f.pooled_image + h // 2 * f.pooled_row + w // 2 * s.outputs + output,
                               f.pooled_row, s.outputs, winner,
                               f.winner + n * f.winner_image + h // 2 * f.winner_row + w // 2 * s.outputs + output,
                               f.winner_row)
    rows, columns, used = min(4, s.h.grid - h), min(4, s.w.grid - w), min(LANES, s.outputs - output)
    mask = -1
    if f.mask >= 0:
        mask = f.mask + n * f.mask_image + h * f.mask_row + w * s.outputs + output
    target = out_at + n * s.out_image + h * s.out_row + w * s.outputs + output
    if used == LANES and (s.room or (rows == 4 and columns == 4)):
        return winograd_output(m, m_at, t.m_step, bias, bias_at, f.relu, memory, mask, f.mask_row, half, out, target,
                               s.out_row, s.outputs)
    finite = winograd_output(m, m_at, t.m_step, bias, bias_at, f.relu, memory, -1, 0, half, whole, 0, 4 * LANES, LANES)
    for i in range(rows):
        for j in range(columns):
            for k in range(used):
                dead = mask >= 0 and memory[mask + i * f.mask_row + j * s.outputs + k] <= 0
                out[target + i * s.out_row + j * s.outputs + k] = 0 if dead else whole[(i * 4 + j) * LANES + k]
    return finite


@inner
def gradient_blocks(s, t, source, source_at, dout, dout_at, first, last, first_line, last_line, u, u_at, total,
                    total_at, scratch):
    """Add up the blocks [first, last) for some lines: u [line][36][channel][lane], total [line][lane] for the bias."""
    half, v = scratch[:HALF], scratch[HALF : HALF + POINTS * t.v_step]
    z, rest = scratch[HALF + POINTS * t.v_step :], HALF + POINTS * (t.v_step + t.m_step)
    corner = scratch[rest:]
    for line in range(first_line, last_line):
        store(total, total_at + line * LANES, fill(total, 0))
    for block in range(first, last):
        tiles = min(t.block, t.count - block * t.block)
        transform_input(s, t, source, source_at, block * t.block, tiles, v, half, corner)
        for line in range(first_line, last_line):
            gradient_line(s, t, dout, dout_at, block * t.block, tiles, line, v, z, block == first, u,
                          u_at + line * POINTS * t.u_step, total, total_at + line * LANES, half, corner)


@inner
def gradient_line(s, t, dout, dout_at, first, tiles, line, v, z, fresh, u, u_at, total, total_at, half, whole):
    """Add a block of tiles to the points u of one line, which hold nothing yet if fresh, and to its total."""
    for i in range(tiles):
        read_tile(s, t, dout, dout_at, first + i, line * LANES, z, i * LANES, total, total_at, half, whole)
    add_points(t, v, z, tiles, s.channels, fresh, u, u_at, half)


@inner
def read_tile(s, t, dout, dout_at, index, output, z, z_at, total, total_at, half, whole):
    """Transform one tile of dout for one line of outputs; outside the image it is zero (with room: in memory)."""
    h, w = index // t.w % t.h * 4, index % t.w * 4
    rows, columns, used = min(4, s.h.grid - h), min(4, s.w.grid - w), min(LANES, s.outputs - output)
    origin = dout_at + index // (t.w * t.h) * s.out_image + h * s.out_row + w * s.outputs + output
    if used == LANES and (s.room or (rows == 4 and columns == 4)):
        winograd_gradient(dout, origin, s.out_row, s.outputs, half, z, z_at, t.m_step, total, total_at)
        return
    zero(whole, 0, 16 * LANES)
    for i in range(rows):
        for j in range(columns):
            for k in range(used):
                whole[(i * 4 + j) * LANES + k] = dout[origin + i * s.out_row + j * s.outputs + k]
    winograd_gradient(whole, 0, 4 * LANES, LANES, half, z, z_at, t.m_step, total, total_at)


@inner
def add_points(t, v, z, tiles, channels, fresh, u, u_at, half):
    """u[p] [channel][lane] (+)= v[p] [tile][channel] transposed times z[p] [tile][lane] for the 36 points."""
    nought = HALF - LANES
    store(half, nought, fill(half, 0))
    for p in range(POINTS):
        whole, at = channels // MR * MR, u_at + p * t.u_step
        for c in range(0, whole, MR):
            to = at + c * LANES
            if fresh:
                tile_rows(v, p * t.v_step + c, 1, NOTHING, 0, 1, tiles, channels,
                          z, p * t.m_step, 0, half, nought, 0, 0, u, to, LANES, 0)
            else:
                tile_rows(v, p * t.v_step + c, 1, NOTHING, 0, 1, tiles, channels,
                          z, p * t.m_step, 0, u, to, LANES, 0, u, to, LANES, 0)
        for c in range(whole, channels, 2):
            to = at + c * LANES
            if fresh:
                store(u, to, fill(u, 0))
                store(u, to + LANES, fill(u, 0))
            tile_pair(v, p * t.v_step + c, 1, NOTHING, 0, 1, tiles, channels,
                      z, p * t.m_step, 0, u, to, LANES, 0, u, to, LANES, 0)


@inner
def line_taps(s, t, u, u_at, lanes, lane_size, taps, half, sums):
    """Add one line's u over the lanes, in order; write its taps [3][3][channel][lane]; say whether they are finite."""
    finite = True
    for c in range(s.channels):
        at = u_at + c * LANES
        if lanes == 1:
            finite &= winograd_taps(u, at, t.u_step, half, taps, c * LANES, s.channels * LANES)
            continue
        for i in range(POINTS):
            total = load(u, at + i * t.u_step)
            for lane in range(1, lanes):
                total = total + load(u, lane * lane_size + at + i * t.u_step)
            store(sums, i * LANES, total)
        finite &= winograd_taps(sums, 0, LANES, half, taps, c * LANES, s.channels * LANES)
    return finite
