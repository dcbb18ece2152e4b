"""What is done once per run for each of a plan's filters: their weights are packed, and the lanes' gradients added."""
from __future__ import annotations

import numpy as np
from numba import prange

from .arguments import Row
from .compile import Loop, inline, inner
from .direct import pack_bias, pack_line
from .gradient import add_lanes
from .layout import Filters
from .lines import load, store, zero
from .sweep import Sweeps
from .turns import runs_of, turns
from .winograd import HALF, POINTS, tiling, usual_block
from .winograd_sweep import transform_line


@Loop
def pack(workers: int, table: Filters, number: int, sweeps: Sweeps, weight: Row, bias: Row, weights: Row):
    """Pack the lines of one layer's filters, forward and of every phase of its data gradient."""
    runs = runs_of(table[number].lines, workers)
    for worker in prange(workers):
        for line in turns(runs, worker):
            pack_forward(table[number], sweeps, line, weight, bias, weights)
    runs = runs_of(table[number].phases * table[number].back_lines, workers)
    for worker in prange(workers):
        for task in turns(runs, worker):
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


@Loop
def reduce(workers: int, table: Filters, number: int, sweeps: Sweeps, sums: Row, lanes: int, lane_size: int,
           dweight: Row, dbias: Row):
    """Add the lanes' gradients of one layer, in order, into dweight and dbias."""
    runs = runs_of(table[number].lines, workers)
    for worker in prange(workers):
        for line in turns(runs, worker):
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
