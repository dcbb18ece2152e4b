"""The steps of a plan that have filters: Convolution and Affine, both ways, a few images at a time on one thread; their
own gradients are those of filter_gradient.py.

An Affine layer's samples are the rows of a matrix. They follow the memory's order (h, w, c) of the images it reads, W's
rows the book's order (c, h, w). A line of its weights is packed as one of a 1x1 convolution.
"""
from __future__ import annotations

from .compile import inline, inner
from .direct import sweep_band
from .lines import lanes_of, load, positive, store, where_positive
from .plan_state import place
from .relu_pool import relu_pool_rows
from .tile import MR, listed_tile
from .winograd import NOTHING, Finish, tiling, usual_block
from .winograd_sweep import winograd_block

tile_listed = listed_tile(MR)


@inner
def filter_forward(step, tables, batch, memory, k, scratch, places):
    f, maps = tables.filters[step.filters], tables.maps
    x, out, values, weights = maps[step.a], maps[step.out], memory.values, memory.weights
    x_at, out_at = place(x, batch, k), place(out, batch, k)
    if f.affine:
        affine_images(values, x_at, x.image, k.n, f.inputs, weights, f.packed, 0, f.lines, f.outputs,
                      f.lanes, f.bias_lines, step.relu, values, out_at, out.image, scratch, places)
        return
    s, finish = tables.sweeps[f.forward], finish_of(step, maps, batch, k)
    if f.winograd and winograd_images(s, k.n, values, x_at, weights, f.u, f.bias_lines, finish, memory.octets, values,
                                      out_at, scratch):
        return
    if finish.winner >= 0:
        pooled_images(s, k.n, values, x_at, weights, f.packed, f.bias_lines,
                      finish, memory.octets, values, out_at, scratch, places)
    else:
        sweep_images(s, k.n, values, x_at, weights, f.packed, f.bias_lines, step.relu, values, out_at, scratch, places)


@inline
def finish_of(step, maps, batch, k):
    """Say what happens to a step's results: b is the mask of a data gradient, c where pooled values came from."""
    mask, winner, out = maps[max(step.b, 0)], maps[max(step.c, 0)], maps[step.out]
    mask_at = place(mask, batch, k) if step.b >= 0 else -1
    winner_at = place(winner, batch, k) if step.c >= 0 else -1
    return Finish(step.relu != 0, mask_at, mask.row, mask.image, winner_at, winner.row, winner.image, out.row,
                  out.image)


@inner
def winograd_images(s, images, x, x_at, weights, u, bias, finish, octets, out, out_at, scratch):
    """Return whether all results are finite."""
    t = tiling(s, images, usual_block(s.channels))
    for block in range(-(-t.count // t.block)):
        if not winograd_block(s, t, x, x_at, weights, u, weights, bias, block * t.block, 0, s.lines, finish, x, octets,
                              out, out_at, scratch):
            return False
    return True


@inner
def sweep_images(s, images, x, x_at, weights, packed, bias, relu, out, out_at, scratch, places):
    for image in range(images):
        for band in range(s.bands):
            sweep_band(s, x, x_at, weights, packed, weights, bias, image, band * s.rows, 0, s.lines, relu, out, out_at,
                       scratch, places)


@inner
def pooled_images(s, images, x, x_at, weights, packed, bias, finish, octets, out, out_at, scratch, places):
    """Sweep one image at a time into scratch memory, and pool it."""
    rest = scratch[-(-s.h.size * s.out_row // s.lanes) * s.lanes :]
    for image in range(images):
        sweep_images(s, 1, x, x_at + image * s.source_image, weights, packed, bias, False, scratch, 0, rest, places)
        for h in range(s.h.size // 2):
            relu_pool_rows(scratch, 2 * h * s.out_row, (2 * h + 1) * s.out_row, s.w.size // 2, s.outputs, out,
                           out_at + image * finish.pooled_image + h * finish.pooled_row, octets,
                           finish.winner + image * finish.winner_image + h * finish.winner_row)


@inner
def affine_images(x, x_at, x_step, images, depth, weights, packed, first_line, last_line, outputs, lanes, bias, relu,
                  out, out_at, out_step, scratch, places):
    """out (n, outputs) = x (n, depth) times some packed lines, plus bias; with relu its positive part."""
    x_list, init_list, y_list = places[:MR], places[MR : 2 * MR], places[2 * MR : 3 * MR]
    for line in range(first_line, last_line):
        used = min(lanes, outputs - line * lanes)
        for first in range(0, images, MR):
            count = min(MR, images - first)
            for i in range(MR):
                x_list[i], y_list[i] = x_at + (first + min(i, count - 1)) * x_step, i * lanes
                init_list[i] = bias + line * lanes
            tile_listed(x, x_list, NOTHING, 0, 1, depth, 1, weights, packed + line * depth * lanes, weights, init_list,
                        scratch, y_list, 0)
            for i in range(count):
                result, to = load(scratch, i * lanes), out_at + (first + i) * out_step + line * lanes
                if relu:
                    result = positive(result)
                if used == lanes:
                    store(out, to, result)
                else:
                    store(scratch, i * lanes, result)
                    for j in range(used):
                        out[to + j] = scratch[i * lanes + j]


@inner
def filter_data_gradient(step, tables, batch, memory, k, scratch, places):
    """Write dx; where the mask, if there is one, is <= 0, it is 0."""
    f, maps, values, weights = tables.filters[step.filters], tables.maps, memory.values, memory.weights
    dout, dx, finish = maps[step.a], maps[step.out], finish_of(step, maps, batch, k)
    dout_at, dx_at = place(dout, batch, k), place(dx, batch, k)
    if f.affine:
        affine_images(values, dout_at, dout.image, k.n, f.outputs, weights, f.packed_back, 0, f.back_lines,
                      f.inputs, f.lanes, f.no_bias, False, values, dx_at, dx.image, scratch, places)
    else:
        s = tables.sweeps[f.back]
        if f.winograd_back and winograd_images(s, k.n, values, dout_at, weights, f.u_back, f.no_bias, finish,
                                               memory.octets, values, dx_at, scratch):
            return
        packed = f.packed_back
        for phase in range(f.phases):
            s = tables.sweeps[f.back + phase]
            if s.h.grid > 0 and s.w.grid > 0:
                sweep_images(s, k.n, values, dout_at, weights, packed, f.no_bias, False, values, dx_at, scratch, places)
            packed += s.lines * s.depth * s.lanes
    if finish.mask >= 0:
        for n in range(k.n):
            for h in range(dx.h):
                mask_row(values, finish.mask + n * finish.mask_image + h * finish.mask_row, dx.w * dx.c,
                         dx_at + n * dx.image + h * dx.row)


@inner
def mask_row(values, mask_at, width, dx_at):
    """Write zeros to dx where the mask is <= 0."""
    whole = width // lanes_of(values) * lanes_of(values)
    for i in range(0, whole, lanes_of(values)):
        store(values, dx_at + i, where_positive(load(values, mask_at + i), load(values, dx_at + i)))
    for i in range(whole, width):
        values[dx_at + i] = 0 if values[mask_at + i] <= 0 else values[dx_at + i]
