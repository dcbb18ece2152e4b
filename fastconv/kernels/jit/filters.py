"""The steps of a plan that have filters: Convolution and Affine, both ways, a few images at a time on one thread.

An Affine layer's samples are the rows of a matrix. They follow the memory's order (h, w, c) of the images it reads, W's
rows the book's order (c, h, w). A line of its weights is packed as one of a 1x1 convolution.
"""
from __future__ import annotations

from typing import Any

import numpy as np
from numba import prange

from .compile import Loop, both, inline, inner
from .direct import PLACES, pack_bias, pack_line, sweep_band
from .gradient import add_lanes, gradient_buffer, gradient_lane, gradient_places
from .lines import LINE_BYTES, fill, load, positive, store, zero
from .plan_state import number_of, place
from .relu_pool import relu_pool_rows
from .sweep import Map, band_size, forward_axis, phase_axis, split_rows, sweep
from .tile import MR, listed_tile, tile
from .winograd import (
    HALF,
    LANES,
    NOTHING,
    POINTS,
    Finish,
    gradient_blocks,
    gradient_line,
    line_taps,
    points_size,
    tile_count,
    tiling,
    transform_input,
    transform_line,
    usual_block,
    winograd_block,
    winograd_pays,
    winograd_scratch,
)

BAND_BYTES = 1 << 18   # a padded copy of a part of an image should stay in L2
ALL_TILES = 3 << 17    # bytes of points that stay in L2 beside a line of their gradient

FILTERS = np.dtype([(name, np.int64) for name in (
    "forward",            # numbers of sweeps
    "gradient",           # forward's geometry, on the map of dout
    "back",               # the data gradient, one sweep per stride phase
    "phases",
    "affine",
    "winograd",           # which of the three go by Winograd's method
    "winograd_back",
    "winograd_gradient",
    "inputs",             # values of an Affine layer's row
    "outputs",            # of either
    "lanes",              # outputs per line
    "lines",
    "back_lines",
    "plane",              # pixels of an image that an Affine layer reads as a row
    "filter_w",
    "filter_size",
    "packed",             # where packed weights stand: lines, forward
    "bias_lines",
    "u",                  # the same at Winograd's points
    "packed_back",        # of the first phase; the others follow
    "u_back",
    "no_bias",            # as many zeros as the data gradient has outputs
    "sums",               # where the gradient stands among the lane's
)])

tile_rows, tile_listed, tile_one = tile(MR), listed_tile(MR), tile(1)


class Layout:
    """Lays the filters of a plan, given as the native plan takes them, over its maps."""

    def __init__(self, single: bool, maps: np.ndarray, most: int, winograd: bool) -> None:
        self.maps, self.most, self.winograd = maps, most, winograd and single
        self.item = 4 if single else 8
        self.lanes = LINE_BYTES // self.item
        self.sweeps: list[dict] = []
        self.weights = self.sums = 0   # elements
        self.scratch = self.places = 0

    def add(self, given: dict[str, Any]) -> dict[str, int]:
        """Return the fields of one layer's filters."""
        return self._affine(given) if given["affine"] else self._convolution(given)

    def _convolution(self, given: dict[str, Any]) -> dict[str, int]:
        x, out = self.maps[given["x"]], self.maps[given["out"]]
        outputs, _, FH, FW = given["shape"]
        channels, groups, pooled = int(x["c"]), given["groups"], given["pooled"]
        steps = given["stride"], given["pad"], given["dilation"]
        sizes = int(x["h"]), int(x["w"])
        axes = [forward_axis(sizes[i], given["shape"][2 + i], *(step[i] for step in steps), given["size"][i])
                for i in (0, 1)]
        forward = self._sweep(axes, channels, outputs, groups, x, None if pooled else out)
        if pooled:
            forward["room"] = True
        f = {"forward": len(self.sweeps), "outputs": outputs, "lanes": self.lanes, "lines": forward["lines"],
             "filter_w": FW, "filter_size": FH * FW, "winograd": self._by_winograd(forward)}
        self.sweeps.append(forward)
        f["packed"] = self._weights(forward["lines"] * forward["depth"] * self.lanes)
        f["bias_lines"] = self._weights(forward["lines"] * self.lanes)
        f["u"] = self._weights(forward["lines"] * points_size(channels) if f["winograd"] else 0)
        whole = -(-forward["h"].size * forward["w"].size * outputs // self.lanes) * self.lanes if pooled else 0
        self._need_sweep(forward, f["winograd"], whole)
        if given["dout"] is not None:
            self._convolution_gradient(f, given, axes, x, channels, groups)
        if given["dx"] is not None:
            self._convolution_back(f, given, sizes, channels, groups, steps)
        return f

    def _convolution_gradient(self, f, given, axes, x, channels, groups) -> None:
        s = self._sweep(axes, channels, f["outputs"], groups, x, self.maps[given["dout"]])
        f["gradient"], f["winograd_gradient"] = len(self.sweeps), self._by_winograd(s)
        self.sweeps.append(s)
        size = (s["depth"] + 1) * self.lanes
        f["sums"], self.sums = self.sums, self.sums + s["lines"] * size
        direct = gradient_buffer(s) + band_size(s)
        self._need(direct, gradient_places(s))
        if f["winograd_gradient"]:
            for images in range(1, self.most + 1):  # fewer images may have larger blocks
                block = gradient_block(images * -(-s["h"].grid // 4) * -(-s["w"].grid // 4), channels)
                self._need(s["lines"] * (points_size(channels) + LANES) + size + 2 * HALF
                           + winograd_scratch(channels, block) + direct, gradient_places(s))

    def _convolution_back(self, f, given, sizes, channels, groups, steps) -> None:
        dout, dx = self.maps[given["dout"]], self.maps[given["dx"]]
        rows, columns = (max(1, min(step, size)) for step, size in zip(steps[0], sizes, strict=True))  # with pixels
        f["back"], f["phases"] = len(self.sweeps), rows * columns
        for phase in range(f["phases"]):
            axes = [phase_axis(given["size"][i], given["shape"][2 + i], *(step[i] for step in steps), sizes[i], at)
                    for i, at in enumerate(divmod(phase, columns))]
            s = self._sweep(axes, f["outputs"], channels, groups, dout, dx)
            self.sweeps.append(s)
            at = self._weights(s["lines"] * s["depth"] * self.lanes)
            if phase == 0:
                f["packed_back"], f["back_lines"] = at, s["lines"]
                f["winograd_back"] = f["phases"] == 1 and self._by_winograd(s)
            self._need_sweep(s, phase == 0 and f["winograd_back"], 0)
        f["u_back"] = self._weights(f["back_lines"] * points_size(f["outputs"]) if f["winograd_back"] else 0)
        f["no_bias"] = self._weights(f["back_lines"] * self.lanes)

    def _affine(self, given: dict[str, Any]) -> dict[str, int]:
        outputs, inputs = given["shape"][:2]
        lines, back_lines = -(-outputs // self.lanes), -(-inputs // self.lanes)
        f = {"affine": True, "inputs": inputs, "outputs": outputs, "lanes": self.lanes, "lines": lines,
             "back_lines": back_lines, "plane": given["plane"], "packed": self._weights(lines * inputs * self.lanes),
             "bias_lines": self._weights(lines * self.lanes)}
        if given["dout"] is not None:
            f["sums"], self.sums = self.sums, self.sums + lines * (inputs + 1) * self.lanes
        if given["dx"] is not None:
            f["phases"], f["packed_back"] = 1, self._weights(back_lines * outputs * self.lanes)
            f["no_bias"] = self._weights(back_lines * self.lanes)
        self._need((MR + self.most) * self.lanes, 3 * MR)
        return f

    def _sweep(self, axes, channels, outputs, groups, source, out) -> dict:
        room = out is not None and out["after"] >= max(-out["h"] % 4, -out["w"] % 4)
        s = sweep(*axes, channels, outputs, groups, self.lanes,
                  Map(*(int(source[name]) for name in ("row", "image", "before", "after"))),
                  None if out is None else Map(int(out["row"]), int(out["image"]), room=bool(room)))
        if s["padded"]:
            split_rows(s, BAND_BYTES // (s["h"].step * max(s["band_w"], 1) * channels * 8 + 1))
        return s

    def _by_winograd(self, s: dict) -> bool:
        return self.winograd and winograd_pays(s, self.most, False)

    def _weights(self, size: int) -> int:
        self.weights += size
        return self.weights - size

    def _need(self, scratch: int, places: int) -> None:
        self.scratch, self.places = max(self.scratch, scratch), max(self.places, places)

    def _need_sweep(self, s: dict, winograd: bool, whole: int) -> None:
        self._need(whole + band_size(s) + MR * self.lanes, s["runs"] + PLACES)
        if winograd:
            self._need(winograd_scratch(s["channels"], usual_block(s["channels"])), 0)


def without_room(sweeps: list[dict], filters: dict[str, int], maps: np.ndarray, step: dict[str, Any]) -> None:
    """Take whole tiles away from a data gradient whose mask has no room for them."""
    mask, out = number_of(step.get("b")), number_of(step.get("out"))
    if step["name"] != "filter_data" or mask < 0 or filters.get("affine"):
        return
    if maps[mask]["after"] < maps[out]["after"]:
        sweeps[filters["back"]]["room"] = False


# ---- weights, once per run

@Loop
def pack(table, number, sweeps, weight, bias, weights):
    """Pack the lines of one layer's filters, forward and of every phase of its data gradient."""
    for line in prange(table[number].lines):
        pack_forward(table[number], sweeps, line, weight, bias, weights)
    for task in prange(table[number].phases * table[number].back_lines):
        pack_back(table[number], sweeps, task, weight, weights)


@inner
def pack_forward(f, sweeps, line, weight, bias, weights):
    if f.affine:
        pack_columns(f, line, weight, bias, weights)
        return
    s = sweeps[f.forward]
    size = s.depth * s.lanes
    at = f.packed + line * size
    pack_line(s, weight, line // s.blocks * s.group_outputs * s.group_channels * f.filter_size, line % s.blocks,
              s.group_channels * f.filter_size, f.filter_size, f.filter_w, weights, at)
    pack_bias(s, bias, line, weights[f.bias_lines :])
    if f.winograd:
        t = tiling(s, 1, usual_block(s.channels))
        transform_line(s, t, weights, at, weights, f.u + line * POINTS * t.u_step, np.empty(HALF, weights.dtype))


@inner
def pack_back(f, sweeps, task, weight, weights):
    phase, line = task // f.back_lines, task % f.back_lines
    if f.affine:
        pack_rows(f, line, weight, weights)
        return
    s, before = sweeps[f.back + phase], f.packed_back
    for other in range(phase):
        before += sweeps[f.back + other].lines * sweeps[f.back + other].depth * s.lanes
    at = before + line * s.depth * s.lanes
    pack_line(s, weight, line // s.blocks * s.group_channels * s.group_outputs * f.filter_size, line % s.blocks,
              f.filter_size, s.group_outputs * f.filter_size, f.filter_w, weights, at)
    if f.winograd_back:
        t = tiling(s, 1, usual_block(s.channels))
        transform_line(s, t, weights, at, weights, f.u_back + line * POINTS * t.u_step, np.empty(HALF, weights.dtype))


@inline
def affine_row(f, value):
    """Return W's row for a value of an image in memory: (pixel, channel) becomes (channel, pixel)."""
    channels = f.inputs // f.plane
    return value % channels * f.plane + value // channels


@inner
def pack_columns(f, line, weight, bias, weights):
    """packed [value][lane] = W (D,M), a line of its columns."""
    used, at = min(f.lanes, f.outputs - line * f.lanes), f.packed + line * f.inputs * f.lanes
    for d in range(f.inputs):
        row = affine_row(f, d) * f.outputs + line * f.lanes
        for j in range(used):
            weights[at + j] = weight[row + j]
        for j in range(used, f.lanes):
            weights[at + j] = 0
        at += f.lanes
    for j in range(f.lanes):
        weights[f.bias_lines + line * f.lanes + j] = bias[line * f.lanes + j] if bias.size > 0 and j < used else 0


@inner
def pack_rows(f, line, weight, weights):
    """packed [output][lane] = W (D,M) transposed, a line of its rows."""
    used, at = min(f.lanes, f.inputs - line * f.lanes), f.packed_back + line * f.outputs * f.lanes
    zero(weights, at, f.outputs * f.lanes)
    for j in range(used):
        row = affine_row(f, line * f.lanes + j) * f.outputs
        for m in range(f.outputs):
            weights[at + m * f.lanes + j] = weight[row + m]


# ---- a few images

@inner
def filter_forward(step, tables, batch, memory, k, scratch, places):
    f, maps = tables.filters[step.filters], tables.maps
    x, out, values, weights = maps[step.a], maps[step.out], memory.values, memory.weights
    x_at, out_at = place(x, batch, k), place(out, batch, k)
    if f.affine:
        affine_images(values, x_at, x.image, k.n, f.inputs, weights, f.packed, f.lines, f.outputs,
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
def affine_images(x, x_at, x_step, images, depth, weights, packed, lines, outputs, lanes, bias, relu, out, out_at,
                  out_step, scratch, places):
    """out (n, outputs) = x (n, depth) times packed lines, plus bias; with relu its positive part."""
    x_list, init_list, y_list = places[:MR], places[MR : 2 * MR], places[2 * MR : 3 * MR]
    for line in range(lines):
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
        affine_images(values, dout_at, dout.image, k.n, f.outputs, weights, f.packed_back, f.back_lines,
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
                mask, to = finish.mask + n * finish.mask_image + h * finish.mask_row, dx_at + n * dx.image + h * dx.row
                for i in range(dx.w * dx.c):
                    values[to + i] = 0 if values[mask + i] <= 0 else values[to + i]


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


@both
def gradient_block(count, channels):
    """Return the usual block, or one with all tiles if their points fit into ALL_TILES bytes."""
    usual = usual_block(channels)
    return -(-count // 8) * 8 if count > usual and POINTS * count * channels * 4 <= ALL_TILES else usual


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
    transform_input(s, t, values, x_at, 0, t.count, v, half, corner)
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


# ---- the lanes' gradients, once per run

@Loop
def reduce(table, number, sweeps, sums, lanes, lane_size, dweight, dbias):
    """Add the lanes' gradients of one layer, in order, into dweight and dbias."""
    for line in prange(table[number].lines):
        reduce_line(table[number], sweeps, line, sums, lanes, lane_size, dweight, dbias)


@inner
def reduce_line(f, sweeps, line, sums, lanes, lane_size, dweight, dbias):
    if not f.affine:
        add_lanes(sweeps[f.gradient], sums, f.sums, lanes, lane_size, line, f.filter_size, dweight, dbias)
        return
    used = min(f.lanes, f.outputs - line * f.lanes)
    for d in range(f.inputs + 1):
        at = f.sums + (line * (f.inputs + 1) + d) * f.lanes
        total = load(sums, at)
        for lane in range(1, lanes):
            total = total + load(sums, lane * lane_size + at)
        store(sums, at, total)
        for j in range(used):
            if d == f.inputs:
                dbias[line * f.lanes + j] = sums[at + j]
            else:
                dweight[affine_row(f, d) * f.outputs + line * f.lanes + j] = sums[at + j]
