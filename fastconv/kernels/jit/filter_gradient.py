"""The gradients to the filters of a plan, a few images at a time on one thread, added to those of its lane."""
from __future__ import annotations

import numpy as np

from .compile import inner
from .gradient import gradient_lane
from .layout import gradient_block
from .lines import fill, load, store, zero
from .plan_state import place
from .tile import MR, tile
from .winograd import HALF, LANES, NOTHING, POINTS, tile_count, tiling, winograd_scratch
from .winograd_gradient import gradient_blocks, gradient_line, line_taps
from .winograd_sweep import transform_input

tile_rows, tile_one = tile(MR), tile(1)


@inner
def filter_weight_gradient(step, tables, batch, memory, k, scratch, places):
    """Add the gradient of a few images to the lane's, [line][depth + 1][lane outputs]."""
    f, maps, values, sums = tables.filters[step.filters], tables.maps, memory.values, memory.sums
    x, dout, at = maps[step.a], maps[step.b], k.lane * batch.sums_size + f.sums
    x_at, dout_at = place(x, batch, k), place(dout, batch, k)
    if f.affine:
        affine_gradient(f, values, x_at, x.image, dout_at, dout.image, k.n, sums, at, k.fresh, scratch)
        return
    s = tables.sweeps[f.gradient]
    if f.winograd_gradient:
        winograd_gradient_images(s, k.n, values, x_at, dout_at, sums, at, k.fresh, scratch, places)
        return
    if k.fresh:
        zero(sums, at, s.lines * (s.depth + 1) * s.lanes)
    gradient_lane(s, values, x_at, values, dout_at, 0, k.n * s.bands, 0, s.lines, sums, at, scratch, places)


@inner
def affine_gradient(f, values, x_at, x_step, dout_at, dout_step, images, sums, sums_at, fresh, scratch):
    """sums [line][value] += sum over the images of x times a line of dout; behind the last value, of dout."""
    lanes, whole = f.lanes, f.inputs // MR * MR
    size = (f.inputs + 1) * lanes
    if fresh:
        zero(sums, sums_at, f.lines * size)
    for line in range(f.lines):
        used, at, total = min(lanes, f.outputs - line * lanes), sums_at + line * size, fill(sums, 0)
        for n in range(images):
            for j in range(lanes):
                scratch[n * lanes + j] = values[dout_at + n * dout_step + line * lanes + j] if j < used else 0
            total = total + load(scratch, n * lanes)
        for d in range(0, whole, MR):
            tile_rows(values, x_at + d, 1, NOTHING, 0, 1, images, x_step, scratch, 0,
                      0, sums, at + d * lanes, lanes, 0, sums, at + d * lanes, lanes, 0)
        for d in range(whole, f.inputs):
            tile_one(values, x_at + d, 0, NOTHING, 0, 1, images, x_step, scratch,
                     0, 0, sums, at + d * lanes, 0, 0, sums, at + d * lanes, 0, 0)
        store(sums, at + f.inputs * lanes, load(sums, at + f.inputs * lanes) + total)


@inner
def winograd_gradient_images(s, images, values, x_at, dout_at, sums, sums_at, fresh, scratch, places):
    t = tiling(s, images, gradient_block(tile_count(s, images), s.channels))
    lines, u_size, size = s.lines, POINTS * t.u_step, s.depth * LANES
    total = lines * u_size                        # where the bias's sums stand in scratch, behind the points u
    taps = scratch[total + lines * LANES :]
    own = taps[size + LANES :]                    # half a transform, a line's points over the lanes
    rest = own[2 * HALF :]
    spare = rest[winograd_scratch(s.channels, t.block) :]
    if t.count > t.block:
        gradient_blocks(s, t, values, x_at, values, dout_at, 0, -(-t.count // t.block), 0, lines, scratch, 0, scratch,
                        total, rest)
        for line in range(lines):
            add_taps(s, t, images, values, x_at, dout_at, scratch, line * u_size,
                     total + line * LANES, line, taps, own, sums, sums_at, fresh, spare, places)
        return
    # all tiles at once: each line's points are brought back while they are in cache
    half, v, z = rest[:HALF], rest[HALF : HALF + POINTS * t.v_step], rest[HALF + POINTS * t.v_step :]
    corner = z[POINTS * t.m_step :]
    transform_input(s, t, values, x_at, 0, t.count, v, half, corner, np.empty(0, np.int64))
    for line in range(lines):
        store(scratch, total, fill(scratch, 0))
        gradient_line(s, t, values, dout_at, 0, t.count, line, v, z, True, scratch, 0, scratch, total, half, corner)
        add_taps(s, t, images, values, x_at, dout_at, scratch, 0, total,
                 line, taps, own, sums, sums_at, fresh, spare, places)


@inner
def add_taps(s, t, images, values, x_at, dout_at, u, u_at, total_at, line, taps, own, sums, sums_at, fresh, spare,
             places):
    """Bring the points u of one line back to taps and add them, and the bias, to the lane's gradient.

    Where they are not finite the line is computed as it is defined.
    """
    size = s.depth * LANES
    to = sums_at + line * (size + LANES)
    finite = line_taps(s, t, u, u_at, 1, 0, taps, own[:HALF], own[HALF:])
    if fresh:
        zero(sums, to, size + LANES)
    if not finite:
        gradient_lane(s, values, x_at, values, dout_at, 0, images * s.bands,
                      line, line + 1, sums, sums_at, spare, places)
        return
    for i in range(0, size, LANES):
        store(sums, to + i, load(sums, to + i) + load(taps, i))
    store(sums, to + size, load(sums, to + size) + load(u, total_at))
