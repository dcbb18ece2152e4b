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
from .direct cimport pack_bias, pack_line, sweep_band
from .gradient cimport add_lanes, gradient_lane, gradient_scratch
from .pool cimport parallel_for
from .sweep cimport Sweep, band_size, dense_maps, finish_sweep, forward_axis, phase_axis, split_rows
from .winograd cimport (POINTS, Finish, Tiling, gradient_blocks, line_taps, tiling, transform_line, winograd_block,
                        winograd_pays, winograd_scratch)

cnp.import_array()

__all__ = ["convolution_forward", "convolution_backward_data", "convolution_backward_weight"]

cdef enum:
    TASKS = 64               # enough for every core, whatever their number; the cut never depends on it
    BAND_BYTES = 1 << 18     # a band of the image should stay in L2
    WEIGHT_BYTES = 1 << 18   # packed weights that stay in L2 beside it
    SUMS = 16                # private weight gradients, added up in order
    SUMS_BYTES = 1 << 21     # memory that they may take
    POINTS_BYTES = 5 << 20   # the same for those of Winograd, four times as large


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
    cdef Job job
    s.h = forward_axis(x.shape[1], dweight.shape[2], stride[0], pad[0], dilation[0], dout.shape[1])
    s.w = forward_axis(x.shape[2], dweight.shape[3], stride[1], pad[1], dilation[1], dout.shape[2])
    s.channels, s.outputs, s.groups = x.shape[3], dout.shape[3], groups
    start(&job, &s, x, dweight)
    job.source, job.dout = cnp.PyArray_DATA(x), cnp.PyArray_DATA(dout)
    job.out, job.dbias = cnp.PyArray_DATA(dweight), cnp.PyArray_DATA(dbias)
    weight_gradient(&job, n_threads)


cdef run_sweep(Sweep* s, cnp.ndarray source, cnp.ndarray weight, cnp.ndarray bias, ptrdiff_t output_step,
               ptrdiff_t channel_step, cnp.ndarray out, int n_threads):
    cdef Job job
    start(&job, s, source, weight)
    job.source, job.weight, job.out = cnp.PyArray_DATA(source), cnp.PyArray_DATA(weight), cnp.PyArray_DATA(out)
    job.bias = NULL if bias is None else cnp.PyArray_DATA(bias)
    job.group_size = weight.shape[0] // s.groups * weight.shape[1] * job.filter_size
    job.output_step, job.channel_step = output_step, channel_step
    sweep(&job, n_threads)


cdef void start(Job* job, Sweep* s, cnp.ndarray source, cnp.ndarray weight) noexcept:
    """Fill in what forward and backward passes share."""
    job.s, job.images, job.single, job.item = s, source.shape[0], is_float(source), cnp.PyArray_ITEMSIZE(source)
    job.filter_w, job.filter_size = weight.shape[3], weight.shape[2] * weight.shape[3]
    dense_maps(s)
    finish_sweep(s, LINE_BYTES // job.item)
    job.lines = job.chunk = s.groups * s.blocks


cdef struct Job:             # one parallel loop: what its tasks read and write, and how they are cut
    Sweep* s
    Tiling t
    bint single              # float, else double
    ptrdiff_t item           # bytes of an element
    ptrdiff_t images
    void* source             # x
    void* weight
    void* bias
    void* out                # out or dweight
    void* dout
    void* dbias
    char* packed             # weights, or private gradients
    char* bias_lines
    char* u                  # weights at Winograd's points
    char* private            # scratch of each worker
    ptrdiff_t own            # its bytes
    ptrdiff_t group_size     # strides of the weight
    ptrdiff_t output_step
    ptrdiff_t channel_step
    ptrdiff_t filter_w
    ptrdiff_t filter_size
    ptrdiff_t units          # bands, or blocks of tiles
    ptrdiff_t lines
    ptrdiff_t chunk          # lines per task
    ptrdiff_t chunks
    ptrdiff_t lanes          # of a sum
    ptrdiff_t lane_size      # elements
    int broken               # some result is not finite


# ---- forward and data gradient

cdef int sweep(Job* job, int n_threads) except -1:
    """Pack the weights into lines, then take the tile over every band of every image."""
    cdef Sweep* s = job.s
    cdef ptrdiff_t packed_bytes = job.lines * s.depth * LINE_BYTES
    if job.images == 0 or s.h.grid == 0 or s.w.grid == 0:
        return 0
    if job.images * s.h.grid * s.w.grid * job.lines * s.depth < SERIAL_WORK:
        n_threads = 1
    if settings.winograd and winograd_pays(s, job.images, True) and winograd_sweep(job, n_threads):
        return 0
    split_rows(s, BAND_BYTES // (s.h.step * max(s.band_w, 1) * s.channels * job.item + 1))
    if job.images * s.bands < TASKS:
        if packed_bytes <= WEIGHT_BYTES:
            split_rows(s, min(s.rows, max(4, parts(job.images * s.h.grid, TASKS))))
        else:
            job.chunk = parts(job.lines, parts(TASKS, job.images * s.bands))
    job.chunks = parts(job.lines, job.chunk)
    job.own = up_to(band_size(s) * job.item + s.runs * sizeof(ptrdiff_t), LINE_BYTES)
    cdef Scratch scratch = new_scratch(packed_bytes + job.lines * LINE_BYTES + n_threads * job.own)
    job.packed = scratch.memory
    job.bias_lines = job.packed + packed_bytes
    job.private = job.bias_lines + job.lines * LINE_BYTES
    with nogil:
        parallel_for(n_threads, job.lines, pack_task, job)
        parallel_for(n_threads, job.images * s.bands * job.chunks, sweep_task, job)
    free_scratch(scratch)
    return 0


cdef void pack_task(void* context, ptrdiff_t line, int worker) noexcept nogil:
    cdef Job* job = <Job*> context
    if job.single:
        pack(job, <float*> job.weight, <float*> job.bias, line, <float*> job.packed, <float*> job.bias_lines)
    else:
        pack(job, <double*> job.weight, <double*> job.bias, line, <double*> job.packed, <double*> job.bias_lines)


cdef void pack(const Job* job, const real* weight, const real* bias, ptrdiff_t line, real* packed,
               real* bias_lines) noexcept nogil:
    cdef const Sweep* s = job.s
    pack_line(s, weight + line // s.blocks * job.group_size, line % s.blocks, job.output_step, job.channel_step,
              job.filter_w, packed + line * s.depth * s.lanes)
    pack_bias(s, bias, line, bias_lines + line * s.lanes)


cdef void sweep_task(void* context, ptrdiff_t task, int worker) noexcept nogil:
    cdef Job* job = <Job*> context
    cdef Sweep* s = job.s
    cdef ptrdiff_t band = task // job.chunks, first = task % job.chunks * job.chunk
    cdef ptrdiff_t image = band // s.bands, row = band % s.bands * s.rows, last = min(job.lines, first + job.chunk)
    cdef char* private = job.private + worker * job.own
    if job.single:
        sweep_band(s, <float*> job.source, <float*> job.packed, <float*> job.bias_lines, image, row, first, last, False,
                   <float*> job.out, private)
    else:
        sweep_band(s, <double*> job.source, <double*> job.packed, <double*> job.bias_lines, image, row, first, last, False,
                   <double*> job.out, private)


cdef int winograd_sweep(Job* job, int n_threads) except -1:
    """Transform the weights, then take blocks of tiles; return whether all results are finite."""
    cdef Sweep* s = job.s
    job.t = tiling(s, job.images)
    cdef ptrdiff_t packed_bytes = s.depth * LINE_BYTES, u_bytes = POINTS * job.t.u_step * job.item
    cdef ptrdiff_t blocks = parts(job.t.count, job.t.block)
    job.chunk = min(job.lines, max(4, parts(job.lines, parts(TASKS, blocks))))
    job.chunks, job.own = parts(job.lines, job.chunk), up_to(winograd_scratch(s, &job.t) * job.item, LINE_BYTES)
    cdef Scratch scratch = new_scratch(job.lines * (packed_bytes + u_bytes + LINE_BYTES) + n_threads * job.own)
    job.u = scratch.memory
    job.packed = job.u + job.lines * u_bytes
    job.bias_lines = job.packed + job.lines * packed_bytes
    job.private = job.bias_lines + job.lines * LINE_BYTES
    job.broken = 0
    with nogil:
        parallel_for(n_threads, job.lines, transform_task, job)
        parallel_for(n_threads, blocks * job.chunks, winograd_task, job)
    free_scratch(scratch)
    job.chunk = job.lines
    return not job.broken


cdef void transform_task(void* context, ptrdiff_t line, int worker) noexcept nogil:
    cdef Job* job = <Job*> context
    pack_task(context, line, worker)
    if job.single:
        transform(job, line, <float*> job.packed, <float*> job.u)
    else:
        transform(job, line, <double*> job.packed, <double*> job.u)


cdef void transform(Job* job, ptrdiff_t line, const real* packed, real* u) noexcept nogil:
    transform_line(job.s, &job.t, packed + line * job.s.depth * job.s.lanes, u + line * POINTS * job.t.u_step)


cdef void winograd_task(void* context, ptrdiff_t task, int worker) noexcept nogil:
    cdef Job* job = <Job*> context
    cdef char* private = job.private + worker * job.own
    if job.single:
        take_tiles(job, task, <float*> job.source, <float*> job.u, <float*> job.bias_lines, <float*> job.out,
                   <float*> private)
    else:
        take_tiles(job, task, <double*> job.source, <double*> job.u, <double*> job.bias_lines, <double*> job.out,
                   <double*> private)


cdef void take_tiles(Job* job, ptrdiff_t task, const real* source, const real* u, const real* bias, real* out,
                     real* private) noexcept nogil:
    cdef Finish nothing
    cdef ptrdiff_t first = task % job.chunks * job.chunk
    memset(&nothing, 0, sizeof(nothing))
    if not winograd_block(job.s, &job.t, source, u, bias, task // job.chunks * job.t.block, first,
                          min(job.lines, first + job.chunk), &nothing, out, private):
        job.broken = 1


# ---- weight gradient

cdef int weight_gradient(Job* job, int n_threads) except -1:
    """Lanes of bands, each with a private gradient [line][depth][lane outputs] and [line][1][lane outputs] for the bias.

    The number of lanes follows from the sizes, so the order of the sum does too.
    """
    cdef Sweep* s = job.s
    cdef ptrdiff_t lane_bytes = job.lines * (s.depth + 1) * LINE_BYTES
    if job.images * s.h.grid * s.w.grid * job.lines * s.depth < SERIAL_WORK:
        n_threads = 1
    if (settings.winograd and job.images > 0 and winograd_pays(s, job.images, True)
            and winograd_weight_gradient(job, n_threads)):
        return 0
    split_rows(s, BAND_BYTES // (s.h.step * max(s.band_w, 1) * s.channels * job.item + 1))
    if job.images * s.bands < SUMS:
        split_rows(s, min(s.rows, max(4, parts(job.images * s.h.grid, SUMS))))
    job.units, job.lane_size = job.images * s.bands, lane_bytes // job.item
    job.lanes = max(1, min(min(job.units, SUMS), SUMS_BYTES // lane_bytes))
    job.chunk = parts(job.lines, min(job.lines, parts(TASKS, job.lanes))) if job.lanes < SUMS // 2 else job.lines
    job.chunks = parts(job.lines, job.chunk)
    job.own = up_to(band_size(s) * job.item + gradient_scratch(s), LINE_BYTES)
    cdef Scratch scratch = new_scratch(job.lanes * lane_bytes + n_threads * job.own)
    job.packed = scratch.memory
    job.private = scratch.memory + job.lanes * lane_bytes
    with nogil:
        parallel_for(n_threads, job.lanes * job.chunks, gradient_task, job)
        parallel_for(n_threads, job.lines, add_task, job)
    free_scratch(scratch)
    return 0


cdef void gradient_task(void* context, ptrdiff_t task, int worker) noexcept nogil:
    cdef Job* job = <Job*> context
    cdef ptrdiff_t lane = task // job.chunks, first = task % job.chunks * job.chunk
    cdef ptrdiff_t last = min(job.lines, first + job.chunk)
    cdef ptrdiff_t start = job.units * lane // job.lanes, end = job.units * (lane + 1) // job.lanes
    cdef ptrdiff_t line_bytes = (job.s.depth + 1) * LINE_BYTES
    cdef char* sums = job.packed + lane * job.lines * line_bytes
    cdef char* private = job.private + worker * job.own
    memset(sums + first * line_bytes, 0, (last - first) * line_bytes)
    if job.single:
        gradient_lane(job.s, <float*> job.source, <float*> job.dout, start, end, first, last, <float*> sums, private)
    else:
        gradient_lane(job.s, <double*> job.source, <double*> job.dout, start, end, first, last, <double*> sums, private)


cdef void add_task(void* context, ptrdiff_t line, int worker) noexcept nogil:
    cdef Job* job = <Job*> context
    cdef char* sums = job.packed + line * (job.s.depth + 1) * LINE_BYTES
    if job.single:
        add_lanes(job.s, <float*> sums, job.lanes, job.lane_size, line, job.filter_size, <float*> job.out,
                  <float*> job.dbias)
    else:
        add_lanes(job.s, <double*> sums, job.lanes, job.lane_size, line, job.filter_size, <double*> job.out,
                  <double*> job.dbias)


cdef int winograd_weight_gradient(Job* job, int n_threads) except -1:
    """Lanes of blocks of tiles; return whether all results are finite."""
    cdef Sweep* s = job.s
    job.t = tiling(s, job.images)
    job.units, job.lane_size = parts(job.t.count, job.t.block), job.lines * (POINTS * job.t.u_step + s.lanes)
    job.lanes = max(1, min(min(job.units, SUMS), POINTS_BYTES // (job.lane_size * job.item)))
    job.chunk = job.lines
    if job.lanes < SUMS // 2:
        job.chunk = min(job.lines, max(4, parts(job.lines, parts(TASKS, job.lanes))))
    job.chunks = parts(job.lines, job.chunk)
    job.own = up_to(max(winograd_scratch(s, &job.t), (s.depth + 1) * s.lanes) * job.item, LINE_BYTES)
    cdef Scratch scratch = new_scratch(job.lanes * job.lane_size * job.item + n_threads * job.own)
    job.u = scratch.memory
    job.private = scratch.memory + job.lanes * job.lane_size * job.item
    job.broken = 0
    with nogil:
        parallel_for(n_threads, job.lanes * job.chunks, winograd_gradient_task, job)
        parallel_for(n_threads, job.lines, taps_task, job)
    free_scratch(scratch)
    return not job.broken


cdef void winograd_gradient_task(void* context, ptrdiff_t task, int worker) noexcept nogil:
    cdef Job* job = <Job*> context
    cdef char* private = job.private + worker * job.own
    if job.single:
        add_tiles(job, task, <float*> job.source, <float*> job.dout, <float*> job.u, <float*> private)
    else:
        add_tiles(job, task, <double*> job.source, <double*> job.dout, <double*> job.u, <double*> private)


cdef void add_tiles(Job* job, ptrdiff_t task, const real* source, const real* dout, real* u,
                    real* private) noexcept nogil:
    cdef ptrdiff_t lane = task // job.chunks, first = task % job.chunks * job.chunk
    u += lane * job.lane_size
    gradient_blocks(job.s, &job.t, source, dout, job.units * lane // job.lanes, job.units * (lane + 1) // job.lanes, first,
                    min(job.lines, first + job.chunk), u, u + job.lines * POINTS * job.t.u_step, private)


cdef void taps_task(void* context, ptrdiff_t line, int worker) noexcept nogil:
    cdef Job* job = <Job*> context
    cdef char* private = job.private + worker * job.own
    if job.single:
        finish_line(job, line, <float*> job.u, <float*> private, <float*> job.out, <float*> job.dbias)
    else:
        finish_line(job, line, <double*> job.u, <double*> private, <double*> job.out, <double*> job.dbias)


cdef void finish_line(Job* job, ptrdiff_t line, const real* u, real* taps, real* dweight, real* dbias) noexcept nogil:
    """Add one line over the lanes and bring it back to 3x3 taps; the bias is what the line has after them."""
    cdef Sweep* s = job.s
    cdef real* bias = taps + s.depth * s.lanes
    cdef const real* total = u + job.lines * POINTS * job.t.u_step + line * s.lanes
    cdef ptrdiff_t lane, f
    if not line_taps(s, &job.t, u + line * POINTS * job.t.u_step, job.lanes, job.lane_size, taps):
        job.broken = 1
    memset(bias, 0, LINE_BYTES)
    for lane in range(job.lanes):
        for f in range(s.lanes):
            bias[f] += total[lane * job.lane_size + f]
    add_lanes(s, taps, 1, 0, line, job.filter_size, dweight, dbias)
