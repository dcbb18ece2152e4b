"""A sweep as it is defined: the register tile reads the image where the column matrix would be."""
from __future__ import annotations

import numpy as np

from .compile import inner
from .depthwise import depthwise_lines
from .lines import fill, load, positive, store, total
from .sweep import fill_band, first_output, image_at, run_offsets
from .tile import MR, listed_tile, tile

SINGLE_LINES = 4     # lines that `tile_single` takes
FEW_PIXELS = 2       # so few that a tile of MR rows would be mostly unused
FEW_OUTPUTS = 3      # so few that a line would be mostly unused
MOST_PRODUCTS = 1024     # of an output, for which their weights are brought into another order
DOTS = 4             # pixels that share a line of these weights
SHORT = 64           # products of a sum that takes hardly longer than to list a tile's rows
PLACES = 4 * MR      # numbers that lists of rows need, beside the offsets of the runs

unsigned = np.uint64  # an index that Numba need not look at the sign of

tile_rows = tile(MR)
tile_single = tile(1, SINGLE_LINES)
tile_listed = listed_tile(MR)


@inner
def pack_line(s, weight, weight_at, block, output_step, channel_step, filter_w, packed, packed_at):
    """Write packed [taps h][taps w][channel][lane]: the weights of one line of outputs, in the order of the image."""
    first = first_output(s, block)
    used, to = min(s.lanes, s.group_outputs - first), packed_at
    for i in range(s.h.taps):
        for j in range(s.w.taps):
            tap = weight_at + (s.h.index + i * s.h.index_step) * filter_w + s.w.index + j * s.w.index_step
            for c in range(s.group_channels):
                at = first * output_step + c * channel_step + tap
                for f in range(used):
                    packed[unsigned(to + f)] = weight[unsigned(at + f * output_step)]
                for f in range(used, s.lanes):
                    packed[to + f] = 0
                to += s.lanes


@inner
def pack_bias(s, bias, line, bias_lines):
    """Write a line of the bias, zeros where there is none."""
    output = first_output(s, line % s.blocks)
    for f in range(s.lanes):
        known = bias.size > 0 and output + f < s.group_outputs
        bias_lines[line * s.lanes + f] = bias[line // s.blocks * s.group_outputs + output + f] if known else 0


@inner
def sweep_band(s, source, source_at, packed, packed_at, bias_lines, bias_at, image, row, first_line, last_line, relu,
               out, out_at, buffer, places):
    """Compute one band of one image for some lines of outputs; with relu their positive part.

    `buffer` has room for a padded band and MR lines behind it, `places` for the runs and PLACES numbers.
    """
    rows = min(s.rows, s.h.grid - row)
    target = out_at + image * s.out_image + (s.h.first + row * s.h.stride) * s.out_row + s.w.first * s.outputs
    x, top = source, source_at
    if s.padded:
        fill_band(s, source, source_at, image, row, rows, buffer)
        x, top = buffer, 0
    else:
        top += image_at(s, image, row)
    if s.depthwise:
        run_offsets(s, 0, places)
        depthwise_lines(s, x, top, rows, places, packed, packed_at, bias_lines, bias_at, out, target, first_line,
                        last_line, relu)
        return
    line, line_size = first_line, s.depth * s.lanes
    if rows * s.w.grid <= FEW_PIXELS and s.groups == 1:
        run_offsets(s, 0, places)
        while line + SINGLE_LINES <= min(last_line, s.outputs // s.lanes):
            few_pixels(s, x, top, rows, places, packed, packed_at + line * line_size,
                       bias_lines, bias_at + line * s.lanes, out, target + line * s.lanes, relu)
            line += SINGLE_LINES
    while line < last_line:
        group, block = line // s.blocks, line % s.blocks
        run_offsets(s, group, places)
        sweep_line(s, x, top, rows, places, packed, packed_at + line * line_size, bias_lines, bias_at + line * s.lanes,
                   out, target + group * s.group_outputs + block * s.lanes,
                   min(s.lanes, s.group_outputs - block * s.lanes), relu, buffer)
        line += 1


@inner
def few_outputs(s, x, top, rows, offset, weight, weight_at, bias_lines, bias_at, out, target, used, relu):
    """Sum an output's products a line of them at a time: the gradient to a gray or colour image."""
    turned = np.empty((used, s.depth), out.dtype)
    for f in range(used):
        for k in range(s.depth):
            turned[f, k] = weight[weight_at + k * s.lanes + f]
    step, y_step = s.w.step * s.channels, s.w.stride * s.outputs
    for h in range(rows):
        for i in range(-(-s.w.grid // DOTS)):
            w = min(i * DOTS, s.w.grid - DOTS)  # the last ones of a row may be done again
            first, to = top + h * s.h.step * s.pitch + w * step, target + h * s.h.stride * s.out_row + w * y_step
            for f in range(used):
                a = b = c = d = fill(out, 0)
                k, weights = 0, turned[f]
                for r in range(s.runs):
                    at = first + offset[r]
                    for _ in range(s.length // s.lanes):
                        line = load(weights, k)
                        a, b = a + load(x, at) * line, b + load(x, at + step) * line
                        c, d = c + load(x, at + 2 * step) * line, d + load(x, at + 3 * step) * line
                        at += s.lanes
                        k += s.lanes
                for j, value in enumerate((total(a), total(b), total(c), total(d))):
                    value += bias_lines[bias_at + f]
                    out[to + j * y_step + f] = 0 if relu and value <= 0 else value


@inner
def few_pixels(s, x, top, rows, offset, weight, weight_at, bias_lines, bias_at, out, target, relu):
    """Take one pixel after another, SINGLE_LINES whole lines of outputs at a time."""
    for h in range(rows):
        for w in range(s.w.grid):
            at = target + h * s.h.stride * s.out_row + w * s.w.stride * s.outputs
            tile_single(x, top + h * s.h.step * s.pitch + w * s.w.step * s.channels, 0, offset, 0, s.runs, s.length, 1,
                        weight, weight_at, s.depth * s.lanes, bias_lines, bias_at, 0, s.lanes, out, at, 0, s.lanes)
            if relu:
                for j in range(SINGLE_LINES):
                    store(out, at + j * s.lanes, positive(load(out, at + j * s.lanes)))


@inner
def sweep_line(s, x, top, rows, offset, weight, weight_at, bias_lines, bias_at, out, target, used, relu, buffer):
    """Take the tile over all pixels of a band for one line of outputs: row by row where nothing much is wasted at the
    rows' ends, or where sums are short, else over a flat list of the pixels."""
    x_row, x_step = s.h.step * s.pitch, s.w.step * s.channels
    y_row, y_step = s.h.stride * s.out_row, s.w.stride * s.outputs
    grid, runs, length, lanes = s.w.grid, s.runs, s.length, s.lanes
    # w.taps: in an Affine layer the grid is the batch, on whose size results must not depend
    if used <= FEW_OUTPUTS and s.w.taps > 1 and grid >= DOTS and length % lanes == 0 and 0 < s.depth <= MOST_PRODUCTS:
        few_outputs(s, x, top, rows, offset, weight, weight_at, bias_lines, bias_at, out, target, used, relu)
        return
    if used == lanes and grid >= MR and (grid % MR == 0 or s.depth <= SHORT):
        for h in range(rows):
            for i in range(-(-grid // MR)):
                w = min(i * MR, grid - MR)  # the last tile of a row may do some pixels again
                at = target + h * y_row + w * y_step
                tile_rows(x, top + h * x_row + w * x_step, x_step, offset, 0, runs, length, 1, weight, weight_at, 0,
                          bias_lines, bias_at, 0, 0, out, at, y_step, 0)
                if relu:
                    for j in range(MR):
                        store(out, at + j * y_step, positive(load(out, at + j * y_step)))
        return
    lists = offset[runs:]
    x_at, init_at, y_at, spare_at = lists[:MR], lists[MR : 2 * MR], lists[2 * MR : 3 * MR], lists[3 * MR : 4 * MR]
    spare, pixels, done, h, w = buffer.size - MR * lanes, rows * grid, 0, 0, 0
    for i in range(MR):
        init_at[i], spare_at[i] = bias_at, spare + i * lanes
    while done < pixels:
        count = min(MR, pixels - done)
        for i in range(count):
            x_at[i], y_at[i] = top + h * x_row + w * x_step, target + h * y_row + w * y_step
            w += 1
            if w == grid:
                w, h = 0, h + 1
        for i in range(count, MR):
            x_at[i], y_at[i] = x_at[0], y_at[0]
        if used == lanes and count == MR:
            tile_listed(x, x_at, offset, 0, runs, length, 1, weight, weight_at, bias_lines, init_at, out, y_at, 0)
            if relu:
                for i in range(MR):
                    store(out, y_at[i], positive(load(out, y_at[i])))
        else:
            tile_listed(x, x_at, offset, 0, runs, length, 1, weight,
                        weight_at, bias_lines, init_at, buffer, spare_at, 0)
            for i in range(count):
                for f in range(used):
                    value = buffer[spare + i * lanes + f]
                    out[y_at[i] + f] = 0 if relu and value <= 0 else value
        done += MR
