"""The gradient to the weights as it is defined: MR products (tap, channel) times a line of outputs stay in registers
while the sum runs over pixels."""
from __future__ import annotations

from .compile import inner
from .depthwise import depthwise_gradient
from .lines import fill, load, store, zero
from .sweep import fill_band, first_output, image_at
from .tile import MR, TALL, listed_tile, tile

STRIP_BYTES = 7 << 12  # rows of a band, or of dout, that should stay in L1

tile_listed = listed_tile(MR)
tile_tall = listed_tile(TALL)
tile_rows = tile(MR)


def gradient_places(s: dict) -> int:
    """Return the numbers that `gradient_lane` needs: where each product stands, each row of a strip, a tile's lists."""
    return s["depth"] + s["rows"] + 2 * TALL


def gradient_buffer(s: dict) -> int:
    """Return the elements that `gradient_lane` needs beside a padded band: packed dout, and spare lines."""
    return (s["rows"] * s["w"].grid + 2 * TALL) * s["lanes"]


@inner
def gradient_lane(s, x, x_from, dout, dout_at, first, last, first_line, last_line, sums, sums_at, buffer, places):
    """Add the bands [first, last) to sums [line][depth + 1][lane outputs] of some lines; the last is the bias's."""
    depth, lanes, grid = s.depth, s.lanes, s.w.grid
    entry, strip, lists = places[:depth], places[depth : depth + s.rows], places[depth + s.rows :]
    pixels = buffer[: s.rows * grid * lanes]
    spare = buffer[s.rows * grid * lanes : (s.rows * grid + 2 * TALL) * lanes]
    padding = buffer[(s.rows * grid + 2 * TALL) * lanes :]
    x_row = s.h.step * s.pitch
    # rows whose x and dout stay in L1 while every tile of the gradient passes over them; at least 32 pixels
    strip_rows = max(STRIP_BYTES // (max(x_row, grid * lanes) * (64 // lanes) + 1), -(-32 // max(grid, 1)))
    for i in range(s.rows):
        strip[i] = i * x_row
    for unit in range(first, last):
        image, row = unit // s.bands, unit % s.bands * s.rows
        rows = min(s.rows, s.h.grid - row)
        band, top = x, x_from
        if s.padded:
            fill_band(s, x, x_from, image, row, rows, padding)
            band, top = padding, 0
        else:
            top += image_at(s, image, row)
        for line in range(first_line, last_line):
            total = sums_at + line * (depth + 1) * lanes
            entries(s, line // s.blocks, entry)
            if s.depthwise:
                depthwise_gradient(s, band, top, dout, dout_at + image * s.out_image + row * s.out_row, rows, line,
                                   entry, sums, total, spare, lists)
                continue
            packed, packed_at = pixels, 0
            pixel = dout_at + image * s.out_image + row * s.out_row
            if s.group_outputs == s.outputs == lanes and s.out_row == grid * lanes:  # dout is packed as it is
                packed, packed_at = dout, pixel
                add_pixels(dout, pixel, rows * grid, sums, total + depth * lanes)
            else:
                pack_pixels(s, dout, pixel, rows, line, pixels, sums, total + depth * lanes)
            for start in range(0, rows, strip_rows):
                count, at = min(strip_rows, rows - start), packed_at + start * grid * lanes
                gradient_strip(s, band, top + start * x_row, packed, at, count, entry, strip, sums, total, spare, lists)


@inner
def entries(s, group, entry):
    """Write the offset of every product below a result pixel, in the order of the packed weights."""
    e = 0
    for i in range(s.h.taps):
        for j in range(s.w.taps):
            for c in range(s.group_channels):
                entry[e] = (i * s.h.at_step * s.pitch + j * s.w.at_step * s.channels + group * s.group_channels + c)
                e += 1


@inner
def add_pixels(dout, dout_at, count, sums, bias_at):
    """Add so many lines of dout to the sum of the bias."""
    total, lanes = fill(sums, 0), 64 // dout.itemsize
    for i in range(count):
        total = total + load(dout, dout_at + i * lanes)
    store(sums, bias_at, load(sums, bias_at) + total)


@inner
def pack_pixels(s, dout, dout_at, rows, line, pixels, sums, bias_at):
    """Copy one line of each pixel of dout to [rows*grid][lane outputs], zeros behind; add their sum to the bias's."""
    first = line % s.blocks * s.lanes
    used, to = min(s.lanes, s.group_outputs - first), 0
    at = dout_at + line // s.blocks * s.group_outputs + first
    if used == s.lanes:
        total = fill(sums, 0)
        for h in range(rows):
            for w in range(s.w.grid):
                pixel = load(dout, at + h * s.out_row + w * s.outputs)
                store(pixels, to, pixel)
                total = total + pixel
                to += s.lanes
        store(sums, bias_at, load(sums, bias_at) + total)
        return
    zero(pixels, 0, rows * s.w.grid * s.lanes)
    for f in range(used):
        total_of, to = sums[bias_at + f], f
        for h in range(rows):
            for w in range(s.w.grid):
                value = dout[at + h * s.out_row + w * s.outputs + f]
                pixels[to] = value
                total_of += value
                to += s.lanes
        sums[bias_at + f] = total_of


@inner
def gradient_strip(s, x, top, pixels, at, rows, entry, strip, sums, sums_at, spare, lists):
    """sums[e][f] += sum over the strip's pixels p of x[p, e] * dout[p, f], MR or TALL entries e at a time."""
    e, lanes, depth = 0, s.lanes, s.depth
    step, grid = s.w.step * s.channels, s.w.grid
    x_at, y_at = lists[:TALL], lists[TALL : 2 * TALL]
    if TALL > MR and depth % TALL == 0:
        while e < depth:
            for i in range(TALL):
                x_at[i], y_at[i] = top + entry[e + i], sums_at + (e + i) * lanes
            tile_tall(x, x_at, strip, 0, rows, grid, step, pixels, at, sums, y_at, sums, y_at, 0)
            e += TALL
        return
    while e < depth:
        if e + MR <= depth and entry[e + MR - 1] - entry[e] == MR - 1:
            tile_rows(x, top + entry[e], 1, strip, 0, rows, grid, step, pixels, at, 0, sums,
                      sums_at + e * lanes, lanes, 0, sums, sums_at + e * lanes, lanes, 0)
        elif e + MR <= depth:
            for i in range(MR):
                x_at[i], y_at[i] = top + entry[e + i], sums_at + (e + i) * lanes
            tile_listed(x, x_at, strip, 0, rows, grid, step, pixels, at, sums, y_at, sums, y_at, 0)
        else:
            for i in range(MR):
                x_at[i], y_at[i] = top + entry[min(e + i, depth - 1)], i * lanes
                store(spare, i * lanes, fill(spare, 0))
            tile_listed(x, x_at, strip, 0, rows, grid, step, pixels, at, spare, y_at, spare, y_at, 0)
            for i in range(depth - e):
                to = sums_at + (e + i) * lanes
                store(sums, to, load(sums, to) + load(spare, i * lanes))
        e += MR


@inner
def add_lanes(s, sums, sums_at, lanes, lane_size, line, filter_size, dweight, dbias):
    """Reduce one line over the lanes, in order, into dweight [f][c][tap] and dbias [f]."""
    first = first_output(s, line % s.blocks)
    used, output = min(s.lanes, s.group_outputs - first), line // s.blocks * s.group_outputs + first
    for e in range(s.depth + 1):
        at = sums_at + (line * (s.depth + 1) + e) * s.lanes
        total = load(sums, at)
        for lane in range(1, lanes):
            total = total + load(sums, lane * lane_size + at)
        store(sums, at, total)
        tap, c = e // s.group_channels, e % s.group_channels
        for f in range(used):
            if e == s.depth:
                dbias[output + f] = sums[at + f]
            else:
                dweight[((output + f) * s.group_channels + c) * filter_size + tap] = sums[at + f]


__all__ = ["add_lanes", "gradient_buffer", "gradient_lane", "gradient_places"]
