"""Convolution as implicit im2col: the register tile reads the image where the column matrix would be.

The method is that of the direct convolutions of Zhang, Franchetti, Low, "High Performance Zero-Memory Overhead Direct
Convolutions" (ICML 2018), on channels-last memory: MR result pixels times a line of filters stay in registers while
the products of one filter window are summed (direct.pxd). 3x3 filters at stride 1 take fewer products by Winograd's
method (winograd.pxd). The NumPy twin with the same names is ../reference/convolution.py.
"""
from libc.stddef cimport ptrdiff_t
from libc.string cimport memcpy, memset

cimport numpy as cnp

from fastconv.kernels import settings

from .common cimport LINE_BYTES, SERIAL_WORK, Scratch, free_scratch, is_float, new_scratch, parts, real, up_to
from .depthwise cimport is_depthwise
from .direct cimport pack_bias, pack_line
from .gradient cimport add_lanes, gradient_lane, gradient_scratch
from .parallel_sweep cimport (FEW_TILES, TASKS, Job, cut_direct, cut_winograd, input_task, points_bytes, run_direct,
                              run_winograd)
from .pool cimport parallel_for
from .sweep cimport Sweep, band_size, dense_maps, finish_sweep, forward_axis, phase_axis, split_bands, split_rows
from .winograd cimport LARGE_BLOCK, POINTS, set_steps, tiling, transform_line, winograd_pays, winograd_scratch
from .winograd_gradient cimport add_point, gradient_blocks, gradient_pays, line_taps, read_tile

cnp.import_array()

__all__ = ["convolution_forward", "convolution_backward_data", "convolution_backward_weight"]

cdef enum:
    SUMS = 16                # private weight gradients, added up in order
    SUMS_BYTES = 1 << 21     # memory that they may take
    GRADIENT_BYTES = 5 << 20 # the same for those of Winograd, four times as large


cdef struct Call:            # a call's arrays beside what its sweep reads and writes, and how they are cut
    Job job
    void* weight
    void* bias
    void* dout
    void* dbias
    char* packed             # weights, or private gradients
    char* bias_lines
    char* u                  # weights, or private gradients, at Winograd's points
    ptrdiff_t group_size     # strides of the weight
    ptrdiff_t output_step
    ptrdiff_t channel_step
    ptrdiff_t filter_w
    ptrdiff_t filter_size
    ptrdiff_t units          # bands, or blocks of tiles, of a weight gradient
    ptrdiff_t lanes          # of its sum
    ptrdiff_t lane_size      # elements


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

    One sweep of the forward kernel per stride phase that has pixels, over dout, with rotated and transposed weights.
    """
    cdef Sweep s
    cdef ptrdiff_t i, j
    for i in range(min(<ptrdiff_t> stride[0], dx.shape[1])):
        for j in range(min(<ptrdiff_t> stride[1], dx.shape[2])):
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
    cdef Call call
    s.h = forward_axis(x.shape[1], dweight.shape[2], stride[0], pad[0], dilation[0], dout.shape[1])
    s.w = forward_axis(x.shape[2], dweight.shape[3], stride[1], pad[1], dilation[1], dout.shape[2])
    s.channels, s.outputs, s.groups = x.shape[3], dout.shape[3], groups
    start(&call, &s, x, dweight)
    call.dout, call.job.out, call.dbias = cnp.PyArray_DATA(dout), cnp.PyArray_DATA(dweight), cnp.PyArray_DATA(dbias)
    weight_gradient(&call, n_threads)


cdef run_sweep(Sweep* s, cnp.ndarray source, cnp.ndarray weight, cnp.ndarray bias, ptrdiff_t output_step,
               ptrdiff_t channel_step, cnp.ndarray out, int n_threads):
    cdef Call call
    start(&call, s, source, weight)
    call.weight, call.job.out = cnp.PyArray_DATA(weight), cnp.PyArray_DATA(out)
    call.bias = NULL if bias is None else cnp.PyArray_DATA(bias)
    call.group_size = weight.shape[0] // s.groups * weight.shape[1] * call.filter_size
    call.output_step, call.channel_step = output_step, channel_step
    sweep(&call, n_threads)


cdef void start(Call* call, Sweep* s, cnp.ndarray source, cnp.ndarray weight) noexcept:
    """Fill in what forward and backward passes share."""
    cdef Job* job = &call.job
    memset(call, 0, sizeof(Call))
    job.images, job.single, job.item = source.shape[0], is_float(source), cnp.PyArray_ITEMSIZE(source)
    job.source = cnp.PyArray_DATA(source)
    call.filter_w, call.filter_size = weight.shape[3], weight.shape[2] * weight.shape[3]
    dense_maps(s)
    finish_sweep(s, LINE_BYTES // job.item)
    job.s = s[0]
    job.lines = job.chunk = s.groups * s.blocks


# ---- forward and data gradient

cdef int sweep(Call* call, int n_threads) except -1:
    """Pack the weights into lines, then sweep; by Winograd's method where that pays and all results are finite."""
    cdef Job* job = &call.job
    cdef Sweep* s = &job.s
    if job.images == 0 or s.h.grid == 0 or s.w.grid == 0:
        return 0
    if job.images * s.h.grid * s.w.grid * job.lines * s.depth < SERIAL_WORK:
        n_threads = 1
    if settings.winograd and winograd_pays(s, job.images, True) and sweep_by(call, True, n_threads):
        return 0
    sweep_by(call, False, n_threads)
    return 0


cdef int sweep_by(Call* call, bint winograd, int n_threads) except -1:
    """Return whether all results are finite, as far as that matters."""
    cdef Job* job = &call.job
    cdef ptrdiff_t packed_bytes = job.s.depth * LINE_BYTES, u_bytes = 0
    cdef bint done = True
    if winograd:
        cut_winograd(job)
        u_bytes = POINTS * job.t.u_step * job.item
    else:
        cut_direct(job)
    cdef ptrdiff_t shared = up_to(points_bytes(job), LINE_BYTES) if winograd else 0
    cdef Scratch scratch = new_scratch(job.lines * (packed_bytes + u_bytes + LINE_BYTES) + shared + n_threads * job.own)
    call.u = scratch.memory
    call.packed = call.u + job.lines * u_bytes
    call.bias_lines = call.packed + job.lines * packed_bytes
    job.points = call.bias_lines + job.lines * LINE_BYTES
    job.private = job.points + shared
    job.u, job.packed, job.bias_lines = call.u, call.packed, call.bias_lines
    with nogil:
        if winograd:
            parallel_for(n_threads, job.lines, transform_task, call)
            done = run_winograd(job, n_threads)
        else:
            parallel_for(n_threads, job.lines, pack_task, call)
            run_direct(job, n_threads)
    free_scratch(&scratch)
    return done


cdef void pack_task(void* context, ptrdiff_t line, int worker) noexcept nogil:
    cdef Call* call = <Call*> context
    if call.job.single:
        pack(call, <float*> call.weight, <float*> call.bias, line, <float*> call.packed, <float*> call.bias_lines)
    else:
        pack(call, <double*> call.weight, <double*> call.bias, line, <double*> call.packed, <double*> call.bias_lines)


cdef void pack(const Call* call, const real* weight, const real* bias, ptrdiff_t line, real* packed,
               real* bias_lines) noexcept nogil:
    cdef const Sweep* s = &call.job.s
    pack_line(s, weight + line // s.blocks * call.group_size, line % s.blocks, call.output_step, call.channel_step,
              call.filter_w, packed + line * s.depth * s.lanes)
    pack_bias(s, bias, line, bias_lines + line * s.lanes)


cdef void transform_task(void* context, ptrdiff_t line, int worker) noexcept nogil:
    cdef Call* call = <Call*> context
    pack_task(context, line, worker)
    if call.job.single:
        transform(&call.job, line, <float*> call.packed, <float*> call.u)
    else:
        transform(&call.job, line, <double*> call.packed, <double*> call.u)


cdef void transform(const Job* job, ptrdiff_t line, const real* packed, real* u) noexcept nogil:
    transform_line(&job.s, &job.t, packed + line * job.s.depth * job.s.lanes, u + line * POINTS * job.t.u_step)


# ---- weight gradient

cdef int weight_gradient(Call* call, int n_threads) except -1:
    """Lanes of bands, each with a private gradient [line][depth][lane outputs] and [line][1][lane outputs] for the bias.

    The number of lanes follows from the sizes, so the order of the sum does too.
    """
    cdef Job* job = &call.job
    cdef Sweep* s = &job.s
    cdef ptrdiff_t lane_bytes = job.lines * (s.depth + 1) * LINE_BYTES
    if job.images * s.h.grid * s.w.grid * job.lines * s.depth < SERIAL_WORK:
        n_threads = 1
    if (settings.winograd and job.images > 0 and gradient_pays(s, job.images, True)
            and winograd_weight_gradient(call, n_threads)):
        return 0
    split_bands(s, job.item)
    if job.images * s.bands < SUMS:
        split_rows(s, min(s.rows, max(4, parts(job.images * s.h.grid, SUMS))))
    call.units, call.lane_size = job.images * s.bands, lane_bytes // job.item
    call.lanes = max(1, min(min(call.units, SUMS), SUMS_BYTES // lane_bytes))
    job.chunk = parts(job.lines, min(job.lines, parts(TASKS, call.lanes))) if call.lanes < SUMS // 2 else job.lines
    if is_depthwise(s):
        job.chunk = up_to(job.chunk, s.lanes)
    job.chunks = parts(job.lines, job.chunk)
    job.own = up_to(band_size(s) * job.item + gradient_scratch(s), LINE_BYTES)
    cdef Scratch scratch = new_scratch(call.lanes * lane_bytes + n_threads * job.own)
    call.packed = scratch.memory
    job.private = scratch.memory + call.lanes * lane_bytes
    with nogil:
        parallel_for(n_threads, call.lanes * job.chunks, gradient_task, call)
        parallel_for(n_threads, job.lines, add_task, call)
    free_scratch(&scratch)
    return 0


cdef void gradient_task(void* context, ptrdiff_t task, int worker) noexcept nogil:
    cdef Call* call = <Call*> context
    cdef Job* job = &call.job
    cdef ptrdiff_t lane = task // job.chunks, first = task % job.chunks * job.chunk
    cdef ptrdiff_t last = min(job.lines, first + job.chunk)
    cdef ptrdiff_t start = call.units * lane // call.lanes, end = call.units * (lane + 1) // call.lanes
    cdef ptrdiff_t line_bytes = (job.s.depth + 1) * LINE_BYTES
    cdef char* sums = call.packed + lane * job.lines * line_bytes
    cdef char* private = job.private + worker * job.own
    memset(sums + first * line_bytes, 0, (last - first) * line_bytes)
    if job.single:
        gradient_lane(&job.s, <float*> job.source, <float*> call.dout, start, end, first, last, <float*> sums, private)
    else:
        gradient_lane(&job.s, <double*> job.source, <double*> call.dout, start, end, first, last, <double*> sums, private)


cdef void add_task(void* context, ptrdiff_t line, int worker) noexcept nogil:
    cdef Call* call = <Call*> context
    cdef Job* job = &call.job
    cdef char* sums = call.packed + line * (job.s.depth + 1) * LINE_BYTES
    if job.single:
        add_lanes(&job.s, <float*> sums, call.lanes, call.lane_size, line, call.filter_size, <float*> job.out,
                  <float*> call.dbias)
    else:
        add_lanes(&job.s, <double*> sums, call.lanes, call.lane_size, line, call.filter_size, <double*> job.out,
                  <double*> call.dbias)


cdef int winograd_weight_gradient(Call* call, int n_threads) except -1:
    """Lanes of blocks of tiles, or where the weights' points come from memory, all tiles at their points; return whether
    all results are finite."""
    cdef Job* job = &call.job
    cdef Sweep* s = &job.s
    cdef ptrdiff_t sums, shared
    cut_winograd(job)
    if not job.shared and job.t.count >= TASKS // 8 * LARGE_BLOCK:  # the sums are read and written once for each block
        job.t.block = LARGE_BLOCK
        set_steps(&job.t, s)
    call.units, call.lane_size = parts(job.t.count, job.t.block), job.lines * (POINTS * job.t.u_step + s.lanes)
    call.lanes = 1 if job.shared else max(1, min(min(call.units, SUMS), GRADIENT_BYTES // (call.lane_size * job.item)))
    if not job.shared:
        job.chunk = job.lines
        if call.lanes < SUMS // 2:
            job.chunk = min(job.lines, max(4, parts(job.lines, parts(TASKS, call.lanes))))
        job.chunks = parts(job.lines, job.chunk)
    job.own = up_to(max(winograd_scratch(s, &job.t) if not job.shared else POINTS * s.channels,
                        (s.depth + 1) * s.lanes) * job.item, LINE_BYTES)
    sums, shared = call.lanes * call.lane_size * job.item, points_bytes(job)
    cdef Scratch scratch = new_scratch(sums + up_to(shared, LINE_BYTES) + n_threads * job.own)
    call.u = scratch.memory
    job.points = scratch.memory + sums
    job.private = job.points + up_to(shared, LINE_BYTES)
    job.broken = 0
    with nogil:
        if job.shared:
            job.first = 0
            while job.first < job.t.count:
                job.tiles = min(job.t.block, job.t.count - job.first)
                parallel_for(n_threads, parts(job.tiles, FEW_TILES), input_task, job)
                parallel_for(n_threads, job.lines, dout_task, call)
                parallel_for(n_threads, POINTS * job.chunks, point_task, call)
                job.first += job.tiles
        else:
            parallel_for(n_threads, call.lanes * job.chunks, winograd_gradient_task, call)
        parallel_for(n_threads, job.lines, taps_task, call)
    free_scratch(&scratch)
    return not job.broken


cdef void dout_task(void* context, ptrdiff_t line, int worker) noexcept nogil:
    cdef Call* call = <Call*> context
    cdef Job* job = &call.job
    cdef char* z = job.points + POINTS * (job.t.v_step + line * job.t.m_step) * job.item
    cdef char* total = call.u + (job.lines * POINTS * job.t.u_step + line * job.s.lanes) * job.item
    if job.first == 0:
        memset(total, 0, LINE_BYTES)
    if job.single:
        read_tiles(job, line, <float*> call.dout, <float*> z, <float*> total)
    else:
        read_tiles(job, line, <double*> call.dout, <double*> z, <double*> total)


cdef void read_tiles(const Job* job, ptrdiff_t line, const real* dout, real* z, real* total) noexcept nogil:
    cdef ptrdiff_t i
    for i in range(job.tiles):
        read_tile(&job.s, &job.t, dout, job.first + i, line * job.s.lanes, z + i * job.s.lanes, total)


cdef void point_task(void* context, ptrdiff_t task, int worker) noexcept nogil:
    cdef Call* call = <Call*> context
    cdef Job* job = &call.job
    cdef ptrdiff_t point = task // job.chunks, first = task % job.chunks * job.chunk, line
    cdef char* z = job.points + POINTS * job.t.v_step * job.item
    for line in range(first, min(job.lines, first + job.chunk)):
        if job.single:
            point_of_line(job, point, line, <float*> job.points, <float*> z, <float*> call.u)
        else:
            point_of_line(job, point, line, <double*> job.points, <double*> z, <double*> call.u)


cdef void point_of_line(const Job* job, ptrdiff_t point, ptrdiff_t line, const real* v, const real* z, real* u) noexcept nogil:
    add_point(v + point * job.t.v_step, z + (line * POINTS + point) * job.t.m_step, job.tiles, job.s.channels,
              job.first == 0, u + (line * POINTS + point) * job.t.u_step)


cdef void winograd_gradient_task(void* context, ptrdiff_t task, int worker) noexcept nogil:
    cdef Call* call = <Call*> context
    cdef Job* job = &call.job
    cdef char* private = job.private + worker * job.own
    if job.single:
        add_tiles(call, task, <float*> job.source, <float*> call.dout, <float*> call.u, <float*> private)
    else:
        add_tiles(call, task, <double*> job.source, <double*> call.dout, <double*> call.u, <double*> private)


cdef void add_tiles(Call* call, ptrdiff_t task, const real* source, const real* dout, real* u,
                    real* private) noexcept nogil:
    cdef Job* job = &call.job
    cdef ptrdiff_t lane = task // job.chunks, first = task % job.chunks * job.chunk
    u += lane * call.lane_size
    gradient_blocks(&job.s, &job.t, source, dout, call.units * lane // call.lanes, call.units * (lane + 1) // call.lanes, first,
                    min(job.lines, first + job.chunk), u, u + job.lines * POINTS * job.t.u_step, private)


cdef void taps_task(void* context, ptrdiff_t line, int worker) noexcept nogil:
    cdef Call* call = <Call*> context
    cdef Job* job = &call.job
    cdef char* private = job.private + worker * job.own
    if job.single:
        finish_line(call, line, <float*> call.u, <float*> private, <float*> job.out, <float*> call.dbias)
    else:
        finish_line(call, line, <double*> call.u, <double*> private, <double*> job.out, <double*> call.dbias)


cdef void finish_line(Call* call, ptrdiff_t line, const real* u, real* taps, real* dweight, real* dbias) noexcept nogil:
    """Add one line over the lanes and bring it back to 3x3 taps; the bias is what the line has after them."""
    cdef Job* job = &call.job
    cdef Sweep* s = &job.s
    cdef real* bias = taps + s.depth * s.lanes
    cdef const real* total = u + job.lines * POINTS * job.t.u_step + line * s.lanes
    cdef ptrdiff_t lane, f
    if not line_taps(s, &job.t, u + line * POINTS * job.t.u_step, call.lanes, call.lane_size, taps):
        job.broken = 1
    memset(bias, 0, LINE_BYTES)
    for lane in range(call.lanes):
        for f in range(s.lanes):
            bias[f] += total[lane * call.lane_size + f]
    add_lanes(s, taps, 1, 0, line, call.filter_size, dweight, dbias)
