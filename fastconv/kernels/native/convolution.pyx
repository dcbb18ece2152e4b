"""Convolution as implicit im2col: the register tile reads the image where the column matrix would be.

The method is that of the direct convolutions of Zhang, Franchetti, Low, "High Performance Zero-Memory Overhead Direct
Convolutions" (ICML 2018), on channels-last memory: MR result pixels times a line of filters stay in registers while
the products of one filter window are summed (direct.pxd). 3x3 filters at stride 1 in float32 take fewer products by
Winograd's method (winograd.pxd). The NumPy twin with the same names is ../reference/convolution.py.
"""
import os

from cython.parallel cimport parallel, prange, threadid
from libc.stddef cimport ptrdiff_t
from libc.string cimport memcpy, memset

cimport numpy as cnp

from .common cimport (LINE_BYTES, MAX_MR, MR, SERIAL_WORK, Scratch, float_mode, flush_denormals, free_scratch, is_float,
                      new_scratch, parts, real, restore_mode, tile, up_to)
from .direct cimport pack_bias, pack_line, sweep_band
from .sweep cimport Sweep, band, band_size, finish_sweep, forward_axis, phase_axis, pitch, split_rows
from .winograd cimport (LANES, POINTS, Tiling, gradient_blocks, gradient_taps, tiling, transform_line, winograd_block,
                        winograd_pays, winograd_scratch)

cnp.import_array()

__all__ = ["convolution_forward", "convolution_backward_data", "convolution_backward_weight"]

cdef bint use_winograd = os.environ.get("FASTCONV_WINOGRAD", "1") != "0"

cdef enum:
    TASKS = 64               # enough for every core, whatever their number; the cut never depends on it
    BAND_BYTES = 1 << 18     # a band of the image should stay in L2
    WEIGHT_BYTES = 1 << 18   # packed weights that stay in L2 beside it
    STRIP_BYTES = 7 << 12    # rows of a band, or of dout, that should stay in L1 (weight gradient)
    SUMS = 16                # private weight gradients, added up in order
    SUMS_BYTES = 1 << 21     # memory that they may take
    POINTS_BYTES = 5 << 20   # the same for those of Winograd, four times as large


def set_winograd(bint enabled):
    """Let 3x3 stride-1 sweeps in float32 use Winograd's F(4x4, 3x3), or not; return what was set before.

    The default is yes; FASTCONV_WINOGRAD=0 in the environment makes it no.
    """
    global use_winograd
    before, use_winograd = use_winograd, enabled
    return bool(before)


def convolution_forward(cnp.ndarray x, cnp.ndarray weight, cnp.ndarray bias, tuple stride, tuple pad, tuple dilation,
                        int groups, cnp.ndarray out, int n_threads):
    """Write the cross-correlation of x (N,H,W,C) with weight (FN,C/groups,FH,FW), plus bias (FN,) or None, to out
    (N,OH,OW,FN). Equation: out[n,i,j,f] = b[f] + sum x[n, i*s - p + kh*d, j*s - p + kw*d, c] * w[f,c,kh,kw]."""
    cdef Sweep s
    s.h = forward_axis(x.shape[1], weight.shape[2], stride[0], pad[0], dilation[0], out.shape[1])
    s.w = forward_axis(x.shape[2], weight.shape[3], stride[1], pad[1], dilation[1], out.shape[2])
    s.channels, s.outputs, s.groups = x.shape[3], out.shape[3], groups
    run_sweep(&s, x, weight, bias, weight.shape[1] * weight.shape[2] * weight.shape[3],
              weight.shape[2] * weight.shape[3], out, n_threads)


def convolution_backward_data(cnp.ndarray dout, cnp.ndarray weight, tuple stride, tuple pad, tuple dilation,
                              int groups, cnp.ndarray dx, int n_threads):
    """Write the gradient to the data: dout (N,OH,OW,FN), weight (FN,C/groups,FH,FW) to dx (N,H,W,C).

    One sweep of the forward kernel per stride phase, over dout, with rotated and transposed weights.
    """
    cdef Sweep s
    cdef ptrdiff_t i, j
    for i in range(stride[0]):
        for j in range(stride[1]):
            s.h = phase_axis(dout.shape[1], weight.shape[2], stride[0], pad[0], dilation[0], dx.shape[1], i)
            s.w = phase_axis(dout.shape[2], weight.shape[3], stride[1], pad[1], dilation[1], dx.shape[2], j)
            s.channels, s.outputs, s.groups = dout.shape[3], dx.shape[3], groups
            run_sweep(&s, dout, weight, None, weight.shape[2] * weight.shape[3],
                      weight.shape[1] * weight.shape[2] * weight.shape[3], dx, n_threads)


def convolution_backward_weight(cnp.ndarray x, cnp.ndarray dout, tuple stride, tuple pad, tuple dilation, int groups,
                                cnp.ndarray dweight, cnp.ndarray dbias, int n_threads):
    """Write the gradients to the weights and the bias: x (N,H,W,C), dout (N,OH,OW,FN) to dweight (FN,C/groups,FH,FW)
    and dbias (FN,)."""
    cdef Sweep s
    s.h = forward_axis(x.shape[1], dweight.shape[2], stride[0], pad[0], dilation[0], dout.shape[1])
    s.w = forward_axis(x.shape[2], dweight.shape[3], stride[1], pad[1], dilation[1], dout.shape[2])
    s.channels, s.outputs, s.groups = x.shape[3], dout.shape[3], groups
    if is_float(x):
        finish_sweep(&s, LINE_BYTES // sizeof(float))
        weight_gradient[float](&s, <float*> cnp.PyArray_DATA(x), <float*> cnp.PyArray_DATA(dout), x.shape[0],
                               dweight.shape[2], dweight.shape[3], <float*> cnp.PyArray_DATA(dweight),
                               <float*> cnp.PyArray_DATA(dbias), n_threads)
    else:
        finish_sweep(&s, LINE_BYTES // sizeof(double))
        weight_gradient[double](&s, <double*> cnp.PyArray_DATA(x), <double*> cnp.PyArray_DATA(dout), x.shape[0],
                                dweight.shape[2], dweight.shape[3], <double*> cnp.PyArray_DATA(dweight),
                                <double*> cnp.PyArray_DATA(dbias), n_threads)


cdef run_sweep(Sweep* s, cnp.ndarray source, cnp.ndarray weight, cnp.ndarray bias, ptrdiff_t output_step,
               ptrdiff_t channel_step, cnp.ndarray out, int n_threads):
    cdef void* b = NULL if bias is None else cnp.PyArray_DATA(bias)
    cdef ptrdiff_t group_size = weight.shape[0] // s.groups * weight.shape[1] * weight.shape[2] * weight.shape[3]
    if is_float(source):
        finish_sweep(s, LINE_BYTES // sizeof(float))
        sweep[float](s, <float*> cnp.PyArray_DATA(source), source.shape[0], <float*> cnp.PyArray_DATA(weight), group_size,
                     output_step, channel_step, weight.shape[3], <float*> b, <float*> cnp.PyArray_DATA(out), n_threads)
    else:
        finish_sweep(s, LINE_BYTES // sizeof(double))
        sweep[double](s, <double*> cnp.PyArray_DATA(source), source.shape[0], <double*> cnp.PyArray_DATA(weight),
                      group_size, output_step, channel_step, weight.shape[3], <double*> b,
                      <double*> cnp.PyArray_DATA(out), n_threads)


# ---- forward and data gradient

cdef int sweep(Sweep* s, const real* source, ptrdiff_t images, const real* weight, ptrdiff_t group_size,
               ptrdiff_t output_step, ptrdiff_t channel_step, ptrdiff_t filter_w, const real* bias, real* out,
               int n_threads) except -1:
    """Pack the weights into lines, then take the tile over every band of every image."""
    if images == 0 or s.h.grid == 0 or s.w.grid == 0:
        return 0
    if images * s.h.grid * s.w.grid * s.groups * s.blocks * s.lanes * s.depth < SERIAL_WORK:
        n_threads = 1
    if real is float:
        if use_winograd and winograd_pays(s) and winograd_sweep(s, source, images, weight, output_step, channel_step,
                                                                filter_w, bias, out, n_threads):
            return 0
    cdef ptrdiff_t lines = s.groups * s.blocks
    cdef ptrdiff_t packed_size = lines * s.depth * s.lanes
    split_rows(s, BAND_BYTES // (s.h.step * max(s.band_w, 1) * s.channels * sizeof(real) + 1))
    cdef ptrdiff_t chunk = lines                       # lines per task
    if images * s.bands < TASKS:
        if packed_size * <ptrdiff_t> sizeof(real) <= WEIGHT_BYTES:
            split_rows(s, min(s.rows, max(4, parts(images * s.h.grid, TASKS))))
        else:
            chunk = parts(lines, parts(TASKS, images * s.bands))
    cdef ptrdiff_t chunks = parts(lines, chunk)
    cdef ptrdiff_t tasks = images * s.bands * chunks
    cdef ptrdiff_t own = up_to(band_size(s) * sizeof(real) + s.runs * sizeof(ptrdiff_t), LINE_BYTES)
    cdef Scratch scratch = new_scratch((packed_size + lines * s.lanes) * sizeof(real) + n_threads * own)
    cdef real* packed = <real*> scratch.memory
    cdef real* bias_lines = packed + packed_size
    cdef char* private = <char*> (bias_lines + lines * s.lanes)
    cdef ptrdiff_t line, task
    cdef float_mode mode = 0
    with nogil, parallel(num_threads=n_threads):
        mode = flush_denormals()
        for line in prange(lines, schedule="static"):
            pack_line(s, weight + line // s.blocks * group_size, line % s.blocks, output_step, channel_step, filter_w,
                      packed + line * s.depth * s.lanes)
            pack_bias(s, bias, line, bias_lines + line * s.lanes)
        for task in prange(tasks, schedule="dynamic"):
            sweep_band(s, source, packed, bias_lines, task // chunks // s.bands, task // chunks % s.bands * s.rows,
                       task % chunks * chunk, min(lines, (task % chunks + 1) * chunk), out, private + threadid() * own)
        restore_mode(mode)
    free_scratch(scratch)
    return 0


cdef int winograd_sweep(Sweep* s, const float* source, ptrdiff_t images, const float* weight, ptrdiff_t output_step,
                        ptrdiff_t channel_step, ptrdiff_t filter_w, const float* bias, float* out,
                        int n_threads) except -1:
    """Transform the weights, then take blocks of tiles; return whether all results are finite."""
    cdef Tiling t = tiling(s, images)
    cdef ptrdiff_t lines = s.blocks, line_size = s.depth * LANES, u_size = POINTS * s.channels * LANES
    cdef ptrdiff_t blocks = parts(t.count, t.block)
    cdef ptrdiff_t chunk = min(lines, max(4, parts(lines, parts(TASKS, blocks))))
    cdef ptrdiff_t chunks = parts(lines, chunk), own = up_to(winograd_scratch(s, &t), LANES)
    cdef Scratch scratch = new_scratch((lines * (line_size + u_size + LANES) + n_threads * own) * sizeof(float))
    cdef float* u = <float*> scratch.memory
    cdef float* packed = u + lines * u_size
    cdef float* bias_lines = packed + lines * line_size
    cdef float* private = bias_lines + lines * LANES
    cdef ptrdiff_t line, task
    cdef int broken = 0
    cdef float_mode mode = 0
    with nogil, parallel(num_threads=n_threads):
        mode = flush_denormals()
        for line in prange(lines, schedule="static"):
            pack_line(s, weight, line, output_step, channel_step, filter_w, packed + line * line_size)
            pack_bias(s, bias, line, bias_lines + line * LANES)
            transform_line(s, packed + line * line_size, u + line * u_size)
        for task in prange(blocks * chunks, schedule="dynamic"):
            broken += not winograd_block(s, &t, source, u, bias_lines, task // chunks * t.block, task % chunks * chunk,
                                         min(lines, (task % chunks + 1) * chunk), out, private + threadid() * own)
        restore_mode(mode)
    free_scratch(scratch)
    return broken == 0


# ---- weight gradient

cdef int weight_gradient(Sweep* s, const real* x, const real* dout, ptrdiff_t images, ptrdiff_t filter_h,
                         ptrdiff_t filter_w, real* dweight, real* dbias, int n_threads) except -1:
    """Lanes of bands, each with a private gradient [line][depth][lane outputs] and [line][1][lane outputs] for the bias.

    The number of lanes follows from the sizes, so the order of the sum does too.
    """
    if images * s.h.grid * s.w.grid * s.groups * s.blocks * s.lanes * s.depth < SERIAL_WORK:
        n_threads = 1
    if real is float:
        if use_winograd and images > 0 and winograd_pays(s) and winograd_weight_gradient(s, x, dout, images, dweight,
                                                                                         dbias, n_threads):
            return 0
    cdef ptrdiff_t lines = s.groups * s.blocks, depth = s.depth
    cdef ptrdiff_t line_size = (depth + 1) * s.lanes
    split_rows(s, BAND_BYTES // (s.h.step * max(s.band_w, 1) * s.channels * sizeof(real) + 1))
    if images * s.bands < SUMS:
        split_rows(s, min(s.rows, max(4, parts(images * s.h.grid, SUMS))))
    cdef ptrdiff_t units = images * s.bands
    cdef ptrdiff_t lanes = max(1, min(min(units, SUMS), SUMS_BYTES // (lines * line_size * sizeof(real))))
    cdef ptrdiff_t chunk = parts(lines, min(lines, parts(TASKS, lanes))) if lanes < SUMS // 2 else lines
    cdef ptrdiff_t chunks = parts(lines, chunk), tasks = lanes * chunks
    cdef ptrdiff_t own = up_to((band_size(s) + s.rows * s.w.grid * s.lanes) * sizeof(real)
                               + (depth + s.rows) * sizeof(ptrdiff_t), LINE_BYTES)
    cdef Scratch scratch = new_scratch(lanes * lines * line_size * sizeof(real) + n_threads * own)
    cdef real* sums = <real*> scratch.memory
    cdef char* private = scratch.memory + lanes * lines * line_size * sizeof(real)
    cdef ptrdiff_t task, lane, line
    cdef float_mode mode = 0
    with nogil, parallel(num_threads=n_threads):
        mode = flush_denormals()
        for task in prange(tasks, schedule="dynamic"):
            lane = task // chunks
            gradient_lane(s, x, dout, units * lane // lanes, units * (lane + 1) // lanes, task % chunks * chunk,
                          min(lines, (task % chunks + 1) * chunk), sums + lane * lines * line_size,
                          private + threadid() * own)
        for line in prange(lines, schedule="static"):
            add_lanes(s, sums + line * line_size, lanes, lines * line_size, line, filter_h * filter_w, dweight, dbias)
        restore_mode(mode)
    free_scratch(scratch)
    return 0


cdef int winograd_weight_gradient(Sweep* s, const float* x, const float* dout, ptrdiff_t images, float* dweight,
                                  float* dbias, int n_threads) except -1:
    """Lanes of blocks of tiles; return whether all results are finite."""
    cdef Tiling t = tiling(s, images)
    cdef ptrdiff_t lines = s.blocks, blocks = parts(t.count, t.block), u_size = POINTS * s.channels * LANES
    cdef ptrdiff_t lane_size = lines * (u_size + LANES)
    cdef ptrdiff_t lanes = max(1, min(min(blocks, SUMS), POINTS_BYTES // (lane_size * <ptrdiff_t> sizeof(float))))
    cdef ptrdiff_t chunk = lines if lanes >= SUMS // 2 else min(lines, max(4, parts(lines, parts(TASKS, lanes))))
    cdef ptrdiff_t chunks = parts(lines, chunk), own = up_to(winograd_scratch(s, &t), LANES)
    cdef Scratch scratch = new_scratch((lanes * lane_size + n_threads * own) * sizeof(float))
    cdef float* u = <float*> scratch.memory
    cdef float* total = u + lines * u_size
    cdef float* private = u + lanes * lane_size
    cdef ptrdiff_t task, lane, line
    cdef int broken = 0
    cdef float_mode mode = 0
    with nogil, parallel(num_threads=n_threads):
        mode = flush_denormals()
        for task in prange(lanes * chunks, schedule="dynamic"):
            lane = task // chunks
            gradient_blocks(s, &t, x, dout, blocks * lane // lanes, blocks * (lane + 1) // lanes, task % chunks * chunk,
                            min(lines, (task % chunks + 1) * chunk), u + lane * lane_size, total + lane * lane_size,
                            private + threadid() * own)
        for line in prange(lines, schedule="static"):
            broken += not gradient_taps(s, u + line * u_size, total + line * LANES, lanes, lane_size, line, dweight, dbias)
        restore_mode(mode)
    free_scratch(scratch)
    return broken == 0


cdef void gradient_lane(const Sweep* s, const real* x, const real* dout, ptrdiff_t first, ptrdiff_t last,
                        ptrdiff_t first_line, ptrdiff_t last_line, real* sums, char* private) noexcept nogil:
    """Add up the bands [first, last) for the lines [first_line, last_line)."""
    cdef ptrdiff_t depth = s.depth, line_size = (depth + 1) * s.lanes
    cdef ptrdiff_t* entry = <ptrdiff_t*> private         # [depth] offset of each (tap, channel) from tap (0, 0)
    cdef ptrdiff_t* strip = entry + depth                # [rows] offset of each row of a strip from its first
    cdef real* pixels = <real*> (strip + s.rows)         # [rows][grid][lane outputs] of dout
    cdef real* buffer = pixels + s.rows * s.w.grid * s.lanes
    cdef ptrdiff_t unit, line, i, row, rows, x_row = s.h.step * pitch(s)
    cdef const real* top
    cdef const real* packed
    # rows whose x and dout stay in L1 while every tile of the gradient passes over them; at least 32 pixels
    cdef ptrdiff_t strip_rows = max(STRIP_BYTES // (max(x_row, s.w.grid * s.lanes) * sizeof(real) + 1),
                                    parts(32, max(s.w.grid, 1)))
    memset(sums + first_line * line_size, 0, (last_line - first_line) * line_size * sizeof(real))
    for i in range(s.rows):
        strip[i] = i * x_row
    for unit in range(first, last):
        row = unit % s.bands * s.rows
        rows = min(s.rows, s.h.grid - row)
        top = band(s, x, unit // s.bands, row, rows, buffer)
        for line in range(first_line, last_line):
            entries(s, line // s.blocks, entry)
            packed = pack_pixels(s, dout + (unit // s.bands * s.h.size + row) * s.w.size * s.outputs, rows, line, pixels,
                                 sums + line * line_size + depth * s.lanes)
            for i in range(parts(rows, strip_rows)):
                gradient_strip(s, top + i * strip_rows * x_row, packed + i * strip_rows * s.w.grid * s.lanes,
                               min(strip_rows, rows - i * strip_rows), entry, strip, sums + line * line_size)


cdef void entries(const Sweep* s, ptrdiff_t group, ptrdiff_t* entry) noexcept nogil:
    """Write the offset of every product below a result pixel, in the order of the packed weights."""
    cdef ptrdiff_t i, j, c
    for i in range(s.h.taps):
        for j in range(s.w.taps):
            for c in range(s.group_channels):
                entry[0] = (i * s.h.at_step * pitch(s) + j * s.w.at_step * s.channels
                            + group * s.group_channels + c)
                entry += 1


cdef const real* pack_pixels(const Sweep* s, const real* dout, ptrdiff_t rows, ptrdiff_t line, real* pixels,
                             real* bias_sum) noexcept nogil:
    """Return one line of each pixel of dout as [rows*grid][lane outputs], zeros behind; add their sum to bias_sum.

    It is dout itself where a pixel is a line, else a copy in `pixels`.
    """
    cdef ptrdiff_t p, f, first = line % s.blocks * s.lanes, used = min(s.lanes, s.group_outputs - first)
    cdef real total[16]
    dout += line // s.blocks * s.group_outputs + first
    memset(total, 0, sizeof(total))
    for p in range(rows * s.w.grid):
        for f in range(used):
            total[f] += dout[p * s.outputs + f]
    for f in range(used):
        bias_sum[f] += total[f]
    if s.outputs == s.lanes:
        return dout
    if used < s.lanes:
        memset(pixels, 0, rows * s.w.grid * s.lanes * sizeof(real))
    for p in range(rows * s.w.grid):
        memcpy(pixels + p * s.lanes, dout + p * s.outputs, used * sizeof(real))
    return pixels


cdef void gradient_strip(const Sweep* s, const real* top, const real* pixels, ptrdiff_t rows, const ptrdiff_t* entry,
                         const ptrdiff_t* strip, real* sums) noexcept nogil:
    """sums[e][f] += sum over the strip's pixels p of x[p, e] * dout[p, f], MR entries e at a time."""
    cdef const real* x[MAX_MR]
    cdef real* y[MAX_MR]
    cdef real spare[MAX_MR * 16]
    cdef ptrdiff_t e = 0, i
    memset(spare, 0, sizeof(spare))
    while e < s.depth:
        for i in range(MR):
            x[i] = top + entry[min(e + i, s.depth - 1)]
            y[i] = sums + (e + i) * s.lanes if e + i < s.depth else spare + i * s.lanes
        e = e + MR
        tile(x, strip, rows, s.w.grid, s.w.step * s.channels, pixels, <const real* const*> y, y)


cdef void add_lanes(const Sweep* s, const real* sums, ptrdiff_t lanes, ptrdiff_t lane_size, ptrdiff_t line,
                    ptrdiff_t filter_size, real* dweight, real* dbias) noexcept nogil:
    """Reduce one line over the lanes, in order, into dweight [f][c][tap] and dbias [f]."""
    cdef ptrdiff_t e, f, lane, tap, c, first = line % s.blocks * s.lanes
    cdef ptrdiff_t used = min(s.lanes, s.group_outputs - first), output = line // s.blocks * s.group_outputs + first
    cdef real total[16]
    for e in range(s.depth + 1):
        memcpy(total, sums + e * s.lanes, s.lanes * sizeof(real))
        for lane in range(1, lanes):
            for f in range(s.lanes):
                total[f] += sums[lane * lane_size + e * s.lanes + f]
        if e == s.depth:
            memcpy(dbias + output, total, used * sizeof(real))
            break
        tap, c = e // s.group_channels, e % s.group_channels
        for f in range(used):
            dweight[((output + f) * s.group_channels + c) * filter_size + tap] = total[f]
