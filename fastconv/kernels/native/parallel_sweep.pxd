"""A sweep shared by all threads: what its tasks read and write, and how they are cut; never by the number of threads.

    direct         a task takes a band of an image, for some lines of outputs
    Winograd's     a task takes a block of tiles, for some lines of outputs; its points stay in its L2
    at points      where the weights' points come from memory: all tiles that fit into POINTS_MEMORY are transformed (a task:
                   a few tiles), then multiplied (a task: one point, some lines of outputs), then transformed back, so that
                   each weight is read once for all of them
"""
from libc.stddef cimport ptrdiff_t
from libc.string cimport memset

from .common cimport LINE_BYTES, MR, WIDE_LINES, parts, real, tile_row, up_to
from .depthwise cimport is_depthwise
from .direct cimport sweep_band
from .pool cimport parallel_for
from .relu_pool cimport relu_pool_rows
from .sweep cimport Sweep, band_size, split_bands, split_rows
from .winograd cimport (FAR, FLOAT_LANES, POINTS, Finish, Tiling, group_of_tiles, set_steps, tiling, transform_input, winograd_block,
                        winograd_scratch, write_tile)

cdef enum:
    TASKS = 64                # enough for every core, whatever their number
    WEIGHT_BYTES = 1 << 18    # packed weights that stay in L2 beside it
    FEW_TILES = 8             # that a task transforms

cdef struct Job:
    Sweep s
    Tiling t
    bint single               # float, else double
    ptrdiff_t item            # bytes of an element
    ptrdiff_t images
    const void* source
    void* out
    const char* packed        # lines of weights, the same at Winograd's points, lines of biases
    const char* u
    const char* bias_lines
    Finish finish
    char* private             # scratch of each worker,
    ptrdiff_t own             # its bytes,
    char* points              # and of all
    ptrdiff_t lines
    ptrdiff_t chunk           # lines per task
    ptrdiff_t chunks
    ptrdiff_t first           # tile of the group that is at its points
    ptrdiff_t tiles
    bint shared               # at points
    int broken                # some result is not finite


cdef inline ptrdiff_t points_bytes(const Job* j) noexcept nogil:
    """Return the bytes of a group of tiles at their points, and of what is blank in them."""
    return POINTS * (j.t.v_step + j.lines * j.t.m_step) * j.item + j.t.block * sizeof(short) if j.shared else 0


cdef inline unsigned short* blank_of(const Job* j, ptrdiff_t tile) noexcept nogil:
    return <unsigned short*> (j.points + POINTS * (j.t.v_step + j.lines * j.t.m_step) * j.item) + tile


cdef inline void cut_direct(Job* j) noexcept nogil:
    """Cut a direct sweep into tasks, and say what scratch memory they need."""
    cdef Sweep* s = &j.s
    cdef ptrdiff_t even = 2 if j.finish.winner != NULL else 1
    j.lines = j.chunk = s.groups * s.blocks
    split_bands(s, j.item)
    if j.images * s.bands < TASKS and j.lines * s.depth * LINE_BYTES <= WEIGHT_BYTES:
        split_rows(s, min(s.rows, max(4, parts(j.images * s.h.grid, TASKS))))
    if j.images * s.bands < TASKS and even == 1 and not is_depthwise(s):
        j.chunk = up_to(parts(j.lines, parts(TASKS, j.images * s.bands)), WIDE_LINES)
    if even == 2:             # the pooling needs pairs of rows, and all lines
        split_rows(s, up_to(s.rows, 2))
    j.chunks = parts(j.lines, j.chunk)
    j.own = up_to(band_size(s) * j.item + s.runs * sizeof(ptrdiff_t), LINE_BYTES)
    if even == 2:
        j.own += up_to(s.rows * s.w.size * s.outputs * j.item, LINE_BYTES)


cdef inline void cut_winograd(Job* j) noexcept nogil:
    cdef Sweep* s = &j.s
    cdef ptrdiff_t blocks
    j.t = tiling(s, j.images)
    j.lines = s.groups * s.blocks
    j.shared = POINTS * s.group_channels * s.outputs * j.item > FAR
    if j.shared:
        j.t.block = min(group_of_tiles(s), up_to(j.t.count, MR))
        set_steps(&j.t, s)
        j.chunk, j.own = max(1, parts(j.lines, 4)), up_to(POINTS * s.channels * j.item, LINE_BYTES)
    else:
        blocks = parts(j.t.count, j.t.block)
        j.chunk = min(j.lines, max(4, parts(j.lines, parts(TASKS, blocks))))
        j.own = up_to(winograd_scratch(s, &j.t) * j.item, LINE_BYTES)
    j.chunks = parts(j.lines, j.chunk)


cdef inline void run_direct(Job* j, int n_threads) noexcept nogil:
    parallel_for(n_threads, j.images * j.s.bands * j.chunks, pooled_task if j.finish.winner != NULL else band_task, j)


cdef inline bint run_winograd(Job* j, int n_threads) noexcept nogil:
    """Return whether all results are finite."""
    j.broken = 0
    if not j.shared:
        parallel_for(n_threads, parts(j.t.count, j.t.block) * j.chunks, block_task, j)
        return not j.broken
    j.first = 0
    while j.first < j.t.count:
        j.tiles = min(j.t.block, j.t.count - j.first)
        parallel_for(n_threads, parts(j.tiles, FEW_TILES), input_task, j)
        parallel_for(n_threads, POINTS * j.chunks, product_task, j)
        parallel_for(n_threads, parts(j.tiles, FEW_TILES), output_task, j)
        j.first += j.tiles
    return not j.broken


# ---- direct

cdef inline void band_task(void* context, ptrdiff_t task, int worker) noexcept nogil:
    cdef Job* j = <Job*> context
    cdef ptrdiff_t band = task // j.chunks, first = task % j.chunks * j.chunk, last = min(j.lines, first + j.chunk)
    cdef ptrdiff_t image = band // j.s.bands, row = band % j.s.bands * j.s.rows
    cdef char* private = j.private + worker * j.own
    if j.single:
        sweep_band(&j.s, <float*> j.source, <float*> j.packed, <float*> j.bias_lines, image, row, first, last,
                   j.finish.relu, <float*> j.out, private)
    else:
        sweep_band(&j.s, <double*> j.source, <double*> j.packed, <double*> j.bias_lines, image, row, first, last,
                   j.finish.relu, <double*> j.out, private)


cdef inline void pooled_task(void* context, ptrdiff_t task, int worker) noexcept nogil:
    cdef Job* j = <Job*> context
    cdef ptrdiff_t image = task // j.s.bands, row = task % j.s.bands * j.s.rows
    if j.single:
        pooled_band(j, image, row, <float*> j.source, <float*> j.packed, <float*> j.bias_lines, <float*> j.out,
                    j.private + worker * j.own)
    else:
        pooled_band(j, image, row, <double*> j.source, <double*> j.packed, <double*> j.bias_lines, <double*> j.out,
                    j.private + worker * j.own)


cdef inline void pooled_band(const Job* j, ptrdiff_t image, ptrdiff_t row, const real* source, const real* packed,
                             const real* bias, real* out, char* private) noexcept nogil:
    """Sweep a band into scratch memory; its positive part, pooled, goes out."""
    cdef Sweep s = j.s
    cdef const Finish* f = &j.finish
    cdef ptrdiff_t rows = min(s.rows, s.h.grid - row), h
    cdef real* band = <real*> private
    s.out_row, s.out_image, s.h.first = s.w.size * s.outputs, 0, -row * s.h.stride
    sweep_band(&s, source, packed, bias, image, row, 0, j.lines, False, band,
               private + up_to(s.rows * s.out_row * sizeof(real), LINE_BYTES))
    for h in range(rows // 2):
        relu_pool_rows(band + 2 * h * s.out_row, band + (2 * h + 1) * s.out_row, s.w.size // 2, s.outputs,
                       out + image * f.pooled_image + (row // 2 + h) * f.pooled_row,
                       f.winner + image * f.winner_image + (row // 2 + h) * f.winner_row)


# ---- Winograd's method, block by block

cdef inline void block_task(void* context, ptrdiff_t task, int worker) noexcept nogil:
    cdef Job* j = <Job*> context
    cdef char* private = j.private + worker * j.own
    if j.single:
        take_tiles(j, task, <float*> j.source, <float*> j.u, <float*> j.bias_lines, <float*> j.out, <float*> private)
    else:
        take_tiles(j, task, <double*> j.source, <double*> j.u, <double*> j.bias_lines, <double*> j.out, <double*> private)


cdef inline void take_tiles(Job* j, ptrdiff_t task, const real* source, const real* u, const real* bias, real* out,
                            real* private) noexcept nogil:
    cdef ptrdiff_t blocks = parts(j.t.count, j.t.block), first = task // blocks * j.chunk
    if not winograd_block(&j.s, &j.t, source, u, bias, task % blocks * j.t.block, first,
                          min(j.lines, first + j.chunk), &j.finish, out, private):
        j.broken = 1


# ---- and at its points

cdef inline void input_task(void* context, ptrdiff_t task, int worker) noexcept nogil:
    cdef Job* j = <Job*> context
    cdef ptrdiff_t first = task * FEW_TILES, tiles = min(FEW_TILES, j.tiles - first)
    cdef char* private = j.private + worker * j.own
    cdef char* v = j.points + first * j.s.channels * j.item
    if j.single:
        transform_input(&j.s, &j.t, <float*> j.source, j.first + first, tiles, <float*> v, <float*> private, blank_of(j, first))
    else:
        transform_input(&j.s, &j.t, <double*> j.source, j.first + first, tiles, <double*> v, <double*> private, blank_of(j, first))


cdef inline void product_task(void* context, ptrdiff_t task, int worker) noexcept nogil:
    cdef Job* j = <Job*> context
    cdef ptrdiff_t point = task // j.chunks, first = task % j.chunks * j.chunk, last = min(j.lines, first + j.chunk)
    cdef char* m = j.points + POINTS * j.t.v_step * j.item
    if j.single:
        multiply_point(j, point, first, last, <float*> j.points, <float*> j.u, <float*> m)
    else:
        multiply_point(j, point, first, last, <double*> j.points, <double*> j.u, <double*> m)


cdef inline void multiply_point(const Job* j, ptrdiff_t point, ptrdiff_t first, ptrdiff_t last, const real* v, const real* u,
                                real* m) noexcept nogil:
    """m [line][point][tile][lane] = v [point][tile][channel] times u [line][point][channel][lane].

    Rows behind the last tile hold old data and are not used.
    """
    cdef real zero[FLOAT_LANES]
    cdef ptrdiff_t none = 0, lanes = j.s.lanes, channels = j.s.channels, line, row
    cdef const real* group
    memset(zero, 0, sizeof(zero))
    v += point * j.t.v_step
    u += point * j.t.u_step
    m += point * j.t.m_step
    for line in range(first, last):
        group = v + line // j.s.blocks * j.s.group_channels
        for row in range(parts(j.tiles, MR)):
            tile_row(group + row * MR * channels, channels, &none, 1, j.s.group_channels, u + line * POINTS * j.t.u_step,
                     <const real*> zero, False, m + line * POINTS * j.t.m_step + row * MR * lanes, lanes)


cdef inline void output_task(void* context, ptrdiff_t task, int worker) noexcept nogil:
    cdef Job* j = <Job*> context
    cdef ptrdiff_t first = task * FEW_TILES, tiles = min(FEW_TILES, j.tiles - first)
    cdef char* m = j.points + POINTS * j.t.v_step * j.item
    if j.single:
        write_tiles(j, first, tiles, <float*> m, <float*> j.bias_lines, <float*> j.out)
    else:
        write_tiles(j, first, tiles, <double*> m, <double*> j.bias_lines, <double*> j.out)


cdef inline void write_tiles(Job* j, ptrdiff_t first, ptrdiff_t tiles, const real* m, const real* bias,
                             real* out) noexcept nogil:
    cdef ptrdiff_t line, i, lanes = j.s.lanes
    for line in range(j.lines):
        for i in range(first, first + tiles):
            if not write_tile(&j.s, &j.t, m + line * POINTS * j.t.m_step + i * lanes, bias + line * lanes, blank_of(j, i)[0],
                              j.first + i, line * lanes, &j.finish, out):
                j.broken = 1
