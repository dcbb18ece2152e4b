"""Convolution as implicit im2col: the register tile reads the image where the column matrix would be.

The method is that of the direct convolutions of Zhang, Franchetti, Low, "High Performance Zero-Memory Overhead Direct
Convolutions" (ICML 2018), on channels-last memory (direct.py). 3x3 filters at stride 1 take fewer products by
Winograd's method (winograd.py). The NumPy twin with the same names is ../reference/convolution.py.
"""
from __future__ import annotations

from functools import lru_cache
from typing import NamedTuple

import numpy as np
from numba import prange

from ...buffers import empty
from .. import settings
from .arguments import Row
from .compile import Loop, inner
from .direct import PLACES, pack_bias, pack_line, sweep_band
from .gradient import add_lanes, gradient_buffer, gradient_lane, gradient_places
from .lines import LINE_BYTES, load, store, zero
from .memory import SERIAL_WORK
from .scratch import aligned
from .sweep import Sweeps, band_size, forward_axis, phase_axis, records, split_rows, sweep
from .tile import MR
from .turns import runs_of, turns
from .winograd import (
    HALF,
    POINTS,
    from_memory,
    no_finish,
    points_size,
    tile_count,
    tiles_together,
    tiling,
    usual_block,
    winograd_pays,
    winograd_scratch,
)
from .winograd_gradient import gradient_blocks, line_taps
from .winograd_points import FEW_TILES, dout_task, input_task, output_task, point_task, product_task
from .winograd_sweep import transform_line, winograd_block

TASKS = 64               # enough for every core, whatever their number; the cut never depends on it
BAND_BYTES = 1 << 18     # a band of the image should stay in L2
WEIGHT_BYTES = 1 << 18   # packed weights that stay in L2 beside it
SUMS = 16                # private weight gradients, added up in order
SUMS_BYTES = 1 << 21     # memory that they may take
DEPTHWISE_WORK = 16      # that a product takes whose operands serve no other: multiply-adds of a register tile
POINTS_BYTES = 5 << 20   # the same for those of Winograd, four times as large


class Job(NamedTuple):
    """One sweep over a batch, and how it is cut into tasks."""

    sweeps: np.ndarray  # of one record
    groups: int
    winograd: bool      # whether Winograd's method pays
    together: int       # tiles that it takes at a time where the weights' points come from memory, else 0
    work: int           # multiply-adds
    chunk: int          # lines per task
    lanes: int          # private gradients
    buffer: int         # elements of scratch memory
    places: int         # numbers of scratch memory


def convolution_forward(x, weight, bias, stride, pad, dilation, groups, out, n_threads):
    """Write the cross-correlation of x (N,H,W,C) with weight (FN,C/groups,FH,FW), plus bias (FN,) or None, to out
    (N,OH,OW,FN). Equation: out[n,i,j,f] = b[f] + sum x[n, i*s - p + kh*d, j*s - p + kw*d, c] * w[f,c,kh,kw]."""
    job = _forward_job(x.shape, weight.shape, stride, pad, dilation, groups, out.shape, x.itemsize)
    FH, FW = weight.shape[2:]
    _sweep(job, x, weight, bias, weight.shape[1] * FH * FW, FH * FW, out, n_threads)


def convolution_backward_data(dout, weight, stride, pad, dilation, groups, dx, n_threads):
    """Write the gradient to the data: dout (N,OH,OW,FN), weight (FN,C/groups,FH,FW) to dx (N,H,W,C).

    One sweep of the forward kernel per stride phase that has pixels, over dout, with rotated and transposed weights.
    """
    FH, FW = weight.shape[2:]
    for job in _data_jobs(dout.shape, weight.shape, stride, pad, dilation, groups, dx.shape, dx.itemsize):
        _sweep(job, dout, weight, None, FH * FW, weight.shape[1] * FH * FW, dx, n_threads)


def convolution_backward_weight(x, dout, stride, pad, dilation, groups, dweight, dbias, n_threads):
    """Write the gradients to the weights and the bias: x (N,H,W,C), dout (N,OH,OW,FN) to dweight (FN,C/groups,FH,FW)
    and dbias (FN,)."""
    shapes = x.shape, dweight.shape, stride, pad, dilation, groups, dout.shape, x.itemsize
    job = _gradient_job(*shapes, settings.winograd)
    how = n_threads, x.dtype, job.work, SERIAL_WORK
    arrays = x, dout, x.shape[0], dweight.shape[2] * dweight.shape[3], dweight, dbias
    if job.winograd:
        if job.together:
            u = _points_memory(job.sweeps[0], x.dtype)
            finite = _points_gradient.on(*how)(job.sweeps, *arrays, job.together, u)
        else:
            finite = _winograd_gradient.on(*how)(job.sweeps, *arrays, job.lanes, job.chunk, job.buffer)
        if finite:
            return
        job = _gradient_job(*shapes, False)
    _direct_gradient.on(*how)(job.sweeps, *arrays, job.lanes, job.chunk, job.buffer, job.places)


# ---- forward and data gradient

def _sweep(job, source, weight, bias, output_step, channel_step, out, n_threads):
    if job is None:
        return
    how = n_threads, out.dtype, job.work, SERIAL_WORK
    arrays = (source, source.shape[0], weight, bias, weight.size // job.groups, output_step, channel_step,
              weight.shape[3])
    if job.winograd and settings.winograd:
        if job.together:
            u = _points_memory(job.sweeps[0], out.dtype)
            finite = _points_sweep.on(*how)(job.sweeps, *arrays, job.together, u, out)
        else:
            finite = _winograd_sweep.on(*how)(job.sweeps, *arrays, out)
        if finite:
            return
    _direct_sweep.on(*how)(job.sweeps, *arrays, job.chunk, job.buffer, job.places, out)


@Loop
def _direct_sweep(workers: int, sweeps: Sweeps, source: Row, images: int, weight: Row, bias: Row, group_size: int,
                  output_step: int, channel_step: int, filter_w: int, chunk: int, buffer: int, places: int, out: Row):
    """Pack the weights into lines, then take the tile over every band of every image."""
    lines, lanes, depth, bands = sweeps[0].lines, sweeps[0].lanes, sweeps[0].depth, sweeps[0].bands
    packed, bias_lines = aligned(lines * depth * lanes, out), aligned(lines * lanes, out)
    runs = runs_of(lines, workers)
    for worker in prange(workers):
        for line in turns(runs, worker):
            pack_weights(sweeps[0], line, weight, bias, group_size, output_step, channel_step, filter_w, packed,
                         line * depth * lanes, bias_lines)
    chunks = -(-lines // chunk)
    runs = runs_of(images * bands * chunks, workers)
    for worker in prange(workers):
        scratch, where = aligned(buffer, out), np.empty(places, np.int64)
        for task in turns(runs, worker):
            band, first = task // chunks, task % chunks * chunk
            sweep_band(sweeps[0], source, 0, packed, 0, bias_lines, 0, band // bands, band % bands * sweeps[0].rows,
                       first, min(lines, first + chunk), False, out, 0, scratch, where)


@inner
def pack_weights(s, line, weight, bias, group_size, output_step, channel_step, filter_w, packed, packed_at, bias_lines):
    pack_line(s, weight, line // s.blocks * group_size, line % s.blocks, output_step, channel_step, filter_w, packed,
              packed_at)
    pack_bias(s, bias, line, bias_lines)


@Loop
def _winograd_sweep(workers: int, sweeps: Sweeps, source: Row, images: int, weight: Row, bias: Row, group_size: int,
                    output_step: int, channel_step: int, filter_w: int, out: Row):
    """Transform the weights, then take blocks of tiles; return whether all results are finite."""
    lines, channels, lanes = sweeps[0].lines, sweeps[0].channels, sweeps[0].lanes
    block, size = usual_block(channels, lanes), lines * points_size(channels, lanes)
    u, bias_lines = np.empty(size, out.dtype), np.empty(lines * lanes, out.dtype)
    runs = runs_of(lines, workers)
    for worker in prange(workers):
        transform_weights(sweeps[0], runs, worker, weight, bias, group_size, output_step, channel_step, filter_w, u,
                          bias_lines)
    blocks = -(-tile_count(sweeps[0], images) // block)
    chunk = min(lines, max(4, -(-lines // max(1, -(-TASKS // blocks)))))
    chunks = -(-lines // chunk)
    finite, no_bytes = np.ones(blocks * chunks, np.uint8), np.empty(1, np.uint8)
    runs = runs_of(blocks * chunks, workers)
    for worker in prange(workers):
        t, scratch = tiling(sweeps[0], images, block), np.empty(winograd_scratch(channels, block, lanes), out.dtype)
        for task in turns(runs, worker):
            first = task % chunks * chunk
            finite[task] = winograd_block(sweeps[0], t, source, 0, u, 0, bias_lines, 0, task // chunks * block, first,
                                          min(lines, first + chunk), no_finish(), source, no_bytes, out, 0, scratch)
    return finite.all()


@inner
def transform_weights(s, runs, worker, weight, bias, group_size, output_step, channel_step, filter_w, u, bias_lines):
    """Pack the lines of weights that fall to a worker and bring them to their points."""
    size = s.depth * s.lanes
    packed = np.empty(size + HALF, u.dtype)
    for line in turns(runs, worker):
        pack_weights(s, line, weight, bias, group_size, output_step, channel_step, filter_w, packed, 0, bias_lines)
        transform_line(s, tiling(s, 1, 1), packed, 0, u, line * points_size(s.channels, s.lanes), packed[size:])


@Loop
def _points_sweep(workers: int, sweeps: Sweeps, source: Row, images: int, weight: Row, bias: Row, group_size: int,
                  output_step: int, channel_step: int, filter_w: int, together: int, u: Row, out: Row):
    """The same where the weights' points come from memory (winograd_points.py)."""
    lines, lanes = sweeps[0].lines, sweeps[0].lanes
    bias_lines, runs = np.empty(lines * lanes, out.dtype), runs_of(lines, workers)
    for worker in prange(workers):
        transform_weights(sweeps[0], runs, worker, weight, bias, group_size, output_step, channel_step, filter_w, u,
                          bias_lines)
    t = tiling(sweeps[0], images, together)
    v, m = np.empty(POINTS * t.v_step, out.dtype), np.empty(lines * POINTS * t.m_step, out.dtype)
    chunk = -(-lines // 4)
    chunks, finite = -(-lines // chunk), np.ones(-(-together // FEW_TILES), np.uint8)
    blank = np.empty(together, np.int64)
    for first in range(0, t.count, together):
        tiles = min(together, t.count - first)
        runs = runs_of(-(-tiles // FEW_TILES), workers)
        for worker in prange(workers):
            for task in turns(runs, worker):
                input_task(sweeps[0], images, together, source, first, task, tiles, v, blank)
        runs = runs_of(POINTS * chunks, workers)
        for worker in prange(workers):
            for task in turns(runs, worker):
                line = task % chunks * chunk
                product_task(sweeps[0], images, together, v, tiles, u, task // chunks, line, min(lines, line + chunk),
                             m)
        runs = runs_of(-(-tiles // FEW_TILES), workers)
        for worker in prange(workers):
            for task in turns(runs, worker):
                finite[task] &= output_task(sweeps[0], images, together, m, blank, bias_lines, first, task, tiles, out)
    return finite.all()


# ---- weight gradient

@Loop
def _direct_gradient(workers: int, sweeps: Sweeps, x: Row, dout: Row, images: int, filter_size: int, dweight: Row,
                     dbias: Row, lanes: int, chunk: int, buffer: int, places: int):
    """Lanes of bands, each with a private gradient [line][depth + 1][lane outputs], the last for the bias.

    The number of lanes follows from the sizes, so the order of the sum does too.
    """
    lines, units, line_size = sweeps[0].lines, images * sweeps[0].bands, (sweeps[0].depth + 1) * sweeps[0].lanes
    chunks = -(-lines // chunk)
    sums = aligned(lanes * lines * line_size, x)
    runs = runs_of(lanes * chunks, workers)
    for worker in prange(workers):
        scratch, where = aligned(buffer, x), np.empty(places, np.int64)
        for task in turns(runs, worker):
            lane, first = task // chunks, task % chunks * chunk
            last, at = min(lines, first + chunk), lane * lines * line_size
            zero(sums, at + first * line_size, (last - first) * line_size)
            gradient_lane(sweeps[0], x, 0, dout, 0, units * lane // lanes, units * (lane + 1) // lanes, first, last,
                          sums, at, scratch, where)
    runs = runs_of(lines, workers)
    for worker in prange(workers):
        for line in turns(runs, worker):
            add_lanes(sweeps[0], sums, 0, lanes, lines * line_size, line, filter_size, dweight, dbias)


@Loop
def _winograd_gradient(workers: int, sweeps: Sweeps, x: Row, dout: Row, images: int, filter_size: int, dweight: Row,
                       dbias: Row, lanes: int, chunk: int, buffer: int):
    """Lanes of blocks of tiles; return whether all results are finite."""
    lines, channels, width = sweeps[0].lines, sweeps[0].channels, sweeps[0].lanes
    block, u_size = usual_block(channels, width), points_size(channels, width)
    units, lane_size, chunks = -(-tile_count(sweeps[0], images) // block), lines * (u_size + width), -(-lines // chunk)
    u = np.empty(lanes * lane_size, x.dtype)
    runs = runs_of(lanes * chunks, workers)
    for worker in prange(workers):
        t, scratch = tiling(sweeps[0], images, block), np.empty(buffer, x.dtype)
        for task in turns(runs, worker):
            lane, first = task // chunks, task % chunks * chunk
            at = lane * lane_size
            gradient_blocks(sweeps[0], t, x, 0, dout, 0, units * lane // lanes, units * (lane + 1) // lanes, first,
                            min(lines, first + chunk), u, at, u, at + lines * u_size, scratch)
    finite = np.ones(lines, np.uint8)
    runs = runs_of(lines, workers)
    for worker in prange(workers):
        for line in turns(runs, worker):
            finite[line] = finish_line(sweeps[0], line, u, lanes, lane_size, filter_size, dweight, dbias)
    return finite.all()


@inner
def finish_line(s, line, u, lanes, lane_size, filter_size, dweight, dbias):
    """Add one line over the lanes and bring it back to 3x3 taps; say whether they are finite."""
    size, u_size = s.depth * s.lanes, points_size(s.channels, s.lanes)
    taps, half = np.empty(size + s.lanes, u.dtype), np.empty(2 * HALF, u.dtype)
    finite = line_taps(s, tiling(s, 1, 1), u, line * u_size, lanes, lane_size, taps, half, half[HALF:])
    at = s.lines * u_size + line * s.lanes
    total = load(u, at)
    for lane in range(1, lanes):
        total = total + load(u, lane * lane_size + at)
    store(taps, size, total)
    add_lanes(s, taps, -line * (size + s.lanes), 1, 0, line, filter_size, dweight, dbias)
    return finite


@Loop
def _points_gradient(workers: int, sweeps: Sweeps, x: Row, dout: Row, images: int, filter_size: int, dweight: Row,
                     dbias: Row, together: int, u: Row):
    """The same where the weights' points come from memory (winograd_points.py)."""
    lines, t = sweeps[0].lines, tiling(sweeps[0], images, together)
    totals = lines * POINTS * t.u_step  # where they stand in u, for the bias
    v, z = np.empty(POINTS * t.v_step, x.dtype), np.empty(lines * POINTS * t.m_step, x.dtype)
    blank = np.empty(together, np.int64)
    chunk = -(-lines // 4)
    chunks, finite = -(-lines // chunk), np.ones(lines, np.uint8)
    for first in range(0, t.count, together):
        tiles = min(together, t.count - first)
        runs = runs_of(-(-tiles // FEW_TILES), workers)
        for worker in prange(workers):
            for task in turns(runs, worker):
                input_task(sweeps[0], images, together, x, first, task, tiles, v, blank)
        runs = runs_of(lines, workers)
        for worker in prange(workers):
            for line in turns(runs, worker):
                dout_task(sweeps[0], images, together, dout, first, line, tiles, z, u, totals)
        runs = runs_of(POINTS * chunks, workers)
        for worker in prange(workers):
            for task in turns(runs, worker):
                line = task % chunks * chunk
                point_task(sweeps[0], images, together, v, z, tiles, first, task // chunks, line,
                           min(lines, line + chunk), u)
    runs = runs_of(lines, workers)
    for worker in prange(workers):
        for line in turns(runs, worker):
            finite[line] = finish_line(sweeps[0], line, u, 1, 0, filter_size, dweight, dbias)
    return finite.all()


def _points_memory(s, dtype):
    """Return memory for all weights at their points, and a line for each of the bias; used before, if there is some."""
    return empty((int(s["lines"]) * (points_size(int(s["channels"]), int(s["lanes"])) + int(s["lanes"])),), dtype)


# ---- how sweeps are cut

@lru_cache(maxsize=512)
def _forward_job(x_shape, w_shape, stride, pad, dilation, groups, out_shape, item):
    h, w = _forward_axes(x_shape, w_shape, stride, pad, dilation, out_shape)
    return _cut(sweep(h, w, x_shape[3], out_shape[3], groups, LINE_BYTES // item), x_shape[0], item)


@lru_cache(maxsize=512)
def _data_jobs(dout_shape, w_shape, stride, pad, dilation, groups, dx_shape, item):
    jobs = []
    for i in range(min(stride[0], dx_shape[1])):
        for j in range(min(stride[1], dx_shape[2])):
            h, w = (phase_axis(dout_shape[1 + k], w_shape[2 + k], stride[k], pad[k], dilation[k], dx_shape[1 + k], at)
                    for k, at in enumerate((i, j)))
            jobs.append(_cut(sweep(h, w, dout_shape[3], dx_shape[3], groups, LINE_BYTES // item), dout_shape[0], item))
    return jobs


def _cut(s, images, item):
    """Return the job of a sweep, None where it has no results."""
    if images == 0 or s["h"].grid == 0 or s["w"].grid == 0:
        return None
    split_rows(s, _band_rows(s, item))
    chunk = s["lines"]
    if images * s["bands"] < TASKS:
        if s["depthwise"] or s["lines"] * s["depth"] * LINE_BYTES <= WEIGHT_BYTES:
            split_rows(s, min(s["rows"], max(4, -(-images * s["h"].grid // TASKS))))
        else:
            chunk = -(-s["lines"] // -(-TASKS // (images * s["bands"])))
    winograd = winograd_pays(s, images, True)
    return Job(records([s]), s["groups"], winograd, _together(s, images), _work(s, images), chunk, 0,
               band_size(s) + MR * s["lanes"], s["runs"] + PLACES)


@lru_cache(maxsize=512)
def _gradient_job(x_shape, w_shape, stride, pad, dilation, groups, out_shape, item, winograd):
    h, w = _forward_axes(x_shape, w_shape, stride, pad, dilation, out_shape)
    images, s = x_shape[0], sweep(h, w, x_shape[3], out_shape[3], groups, LINE_BYTES // item)
    if winograd and images > 0 and winograd_pays(s, images, True):
        together = _together(s, images)
        if together:
            return Job(records([s]), s["groups"], True, together, _work(s, images), 0, 1, 0, 0)
        block = usual_block(s["channels"], s["lanes"])
        units = -(-images * -(-h.grid // 4) * -(-w.grid // 4) // block)
        lane_bytes = s["lines"] * (POINTS * (s["channels"] | 1) + 1) * LINE_BYTES
        lanes = max(1, min(units, SUMS, POINTS_BYTES // lane_bytes))
        chunk = min(s["lines"], max(4, -(-s["lines"] // -(-TASKS // lanes)))) if lanes < SUMS // 2 else s["lines"]
        return Job(records([s]), s["groups"], True, 0, _work(s, images), chunk, lanes,
                   winograd_scratch(s["channels"], block, s["lanes"]), 0)
    split_rows(s, _band_rows(s, item))
    if images * s["bands"] < SUMS:
        split_rows(s, min(s["rows"], max(4, -(-images * h.grid // SUMS))))
    lanes = max(1, min(images * s["bands"], SUMS, SUMS_BYTES // (s["lines"] * (s["depth"] + 1) * LINE_BYTES)))
    tasks = SUMS // 2 if s["depthwise"] else TASKS  # each of them copies its band with all channels
    chunk = -(-s["lines"] // min(s["lines"], -(-tasks // lanes))) if lanes < SUMS // 2 else s["lines"]
    return Job(records([s]), s["groups"], False, 0, _work(s, images), chunk, lanes, band_size(s) + gradient_buffer(s),
               gradient_places(s))


def _forward_axes(x_shape, w_shape, stride, pad, dilation, out_shape):
    return (forward_axis(x_shape[1 + i], w_shape[2 + i], stride[i], pad[i], dilation[i], out_shape[1 + i])
            for i in (0, 1))


def _band_rows(s, item):
    return BAND_BYTES // (s["h"].step * max(s["band_w"], 1) * s["channels"] * item + 1)


def _together(s, images):
    count = images * -(-s["h"].grid // 4) * -(-s["w"].grid // 4)
    return tiles_together(s, count) if from_memory(s) else 0


def _work(s, images):
    each = DEPTHWISE_WORK if s["depthwise"] else 1
    return images * s["h"].grid * s["w"].grid * s["lines"] * s["lanes"] * s["depth"] * each
