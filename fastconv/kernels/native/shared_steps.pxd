"""Steps that all workers share: where one image is work enough for every core, and its weights are more than its values.

A step with filters is cut as parallel_sweep.pxd cuts a sweep, any other by images and rows. An Affine layer reads its weights
where they are (thin.pxd).
"""
from libc.stddef cimport ptrdiff_t
from libc.string cimport memset

from .common cimport LINE_BYTES, SERIAL_SIZE, SERIAL_WORK, parts, real, up_to
from .convolution_plan cimport (Filters, affine_row, filters_scratch, forward_images, line_bytes, lines_of, pack_weights,
                                u_line_bytes)
from .parallel_sweep cimport Job, cut_direct, cut_winograd, points_bytes, run_direct, run_winograd
from .plan_state cimport SHARED_IMAGES, Chunk, Map, Run, Step, at, map_of
from .plan_steps cimport clear_surroundings, finish_of
from .pool cimport parallel_for
from .sweep cimport Sweep
from .thin cimport Thin, cut_thin, run_thin, thin_bytes
from .winograd cimport Finish, Tiling, tiling, transform_line, winograd_pays

cdef enum:
    PARTS = 8            # of an image's rows at most, enough for so many cores together with its images

cdef struct Shared:      # one step for a chunk of images
    const Step* step
    Chunk k
    ptrdiff_t parts      # of each image's rows
    char* scratch        # of each worker
    ptrdiff_t own        # its bytes

cdef struct Making:      # weights made for one step
    Filters* filters
    bint single
    char* packed         # of all lines, or of each worker
    char* u              # NULL: packed is all that is wanted


cdef inline void run_shared(const Step* step, Chunk* k, char* scratch, int n_threads) noexcept nogil:
    if step.filters != NULL and step.filters.in_place:
        affine(step, k, scratch, n_threads)
    elif step.filters != NULL and not step.filters.affine:
        convolution(step, k, scratch, n_threads)
    elif step.filters != NULL:
        k.scratch = scratch
        step.run(step, k)
    else:
        rows(step, k, scratch, n_threads)
        return
    if step.clear:
        clear_surroundings(map_of(k, step.out), k.n, at(k, step.out))


cdef inline ptrdiff_t shared_scratch(const Run* run, const Step* step, ptrdiff_t images, int n_threads) noexcept nogil:
    """Return the bytes that a step needs for so many images."""
    cdef Filters* f = step.filters
    cdef ptrdiff_t item = sizeof(float) if run.single else sizeof(double)
    cdef Job j
    cdef Thin t
    if f == NULL:
        return n_threads * run.scratch_bytes
    if f.in_place:
        t = product(run, f, images)
        return up_to(images * f.forward.channels * item, LINE_BYTES) + thin_bytes(&t)
    if f.affine:
        return filters_scratch(f, item, images)
    j = job_of(run, f, images)
    j.finish.winner = <unsigned char*> 1 if step.c >= 0 else NULL
    cut_direct(&j)
    cdef ptrdiff_t most = n_threads * j.own + (0 if f.keeps_packed else lines_of(&f.forward) * line_bytes(&f.forward))
    if f.winograd:
        cut_winograd(&j)
        most = max(most, n_threads * (j.own + line_bytes(&f.forward)) + up_to(points_bytes(&j), LINE_BYTES)
                   + (0 if f.keeps_u else lines_of(&f.forward) * u_line_bytes(&f.forward)))
    return most


# ---- convolution

cdef inline Job job_of(const Run* run, const Filters* f, ptrdiff_t images) noexcept nogil:
    cdef Job j
    memset(&j, 0, sizeof(j))
    j.s, j.images, j.single = f.forward, images, run.single
    j.item = sizeof(float) if run.single else sizeof(double)
    j.packed, j.bias_lines, j.u = f.packed, f.bias_lines, f.u
    return j


cdef inline void convolution(const Step* step, Chunk* k, char* scratch, int n_threads) noexcept nogil:
    """By Winograd's method where that pays and all results are finite."""
    cdef Filters* f = step.filters
    cdef Job j = job_of(k.run, f, k.n)
    cdef Making m
    j.source, j.out, j.finish = at(k, step.a), at(k, step.out), finish_of(step, k)
    if k.n * f.forward.h.grid * f.forward.w.grid * lines_of(&f.forward) * f.forward.depth < SERIAL_WORK:
        n_threads = 1
    m.filters, m.single, m.packed, m.u = f, k.run.single, scratch, NULL
    if f.winograd and winograd_pays(&f.forward, k.n, not f.keeps_u):
        cut_winograd(&j)
        if not f.keeps_u:
            m.u = scratch + n_threads * line_bytes(&f.forward)
            parallel_for(n_threads, j.lines, make_line, &m)
            j.u = m.u
            scratch = m.u + j.lines * u_line_bytes(&f.forward)
        j.points = scratch
        j.private = scratch + up_to(points_bytes(&j), LINE_BYTES)
        if run_winograd(&j, n_threads):
            return
        m.u, scratch = NULL, m.packed
    cut_direct(&j)
    if not f.keeps_packed:
        parallel_for(n_threads, j.lines, make_line, &m)
        j.packed = m.packed
        scratch = m.packed + j.lines * line_bytes(&f.forward)
    j.private = scratch
    run_direct(&j, n_threads)


cdef inline void make_line(void* context, ptrdiff_t line, int worker) noexcept nogil:
    cdef Making* m = <Making*> context
    cdef Filters* f = m.filters
    cdef char* packed = m.packed + (line if m.u == NULL else worker) * line_bytes(&f.forward)
    cdef Tiling t
    if not m.single:
        pack_weights(f, line, <double*> f.weight, <double*> packed)
        return
    pack_weights(f, line, <float*> f.weight, <float*> packed)
    if m.u != NULL:
        t = tiling(&f.forward, 1)
        transform_line(&f.forward, &t, <float*> packed, <float*> (m.u + line * u_line_bytes(&f.forward)))


# ---- affine

cdef inline Thin product(const Run* run, const Filters* f, ptrdiff_t images) noexcept nogil:
    cdef Thin t
    cdef const Sweep* s = &f.forward
    memset(&t, 0, sizeof(t))
    t.size.m, t.size.k, t.size.n = images, s.channels, s.outputs
    t.size.a_row, t.size.a_column, t.size.b_row, t.size.b_column = s.channels, 1, s.outputs, 1
    t.size.lanes, t.size.lines, t.single = s.lanes, parts(s.outputs, s.lanes), run.single
    cut_thin(&t)
    return t


cdef inline void affine(const Step* step, Chunk* k, char* scratch, int n_threads) noexcept nogil:
    cdef Thin t = product(k.run, step.filters, k.n)
    cdef ptrdiff_t item = sizeof(float) if k.run.single else sizeof(double)
    t.a, t.b, t.bias, t.out = scratch, step.filters.weight, step.filters.bias, at(k, step.out)
    if k.run.single:
        book_order(step, k, <float*> at(k, step.a), <float*> scratch)
    else:
        book_order(step, k, <double*> at(k, step.a), <double*> scratch)
    run_thin(&t, scratch + up_to(k.n * t.size.k * item, LINE_BYTES), n_threads)
    if step.relu and k.run.single:
        positive_part(k.n * t.size.n, <float*> t.out)
    elif step.relu:
        positive_part(k.n * t.size.n, <double*> t.out)


cdef inline void book_order(const Step* step, const Chunk* k, const real* x, real* rows) noexcept nogil:
    """Bring images from their memory's order (h, w, c) to the book's (c, h, w)."""
    cdef const Map* m = map_of(k, step.a)
    cdef ptrdiff_t n, i, size = m.h * m.w * m.c
    for n in range(k.n):
        for i in range(size):
            rows[n * size + affine_row(step.filters, i)] = x[n * m.image + i]


cdef inline void positive_part(ptrdiff_t size, real* x) noexcept nogil:
    cdef ptrdiff_t i
    for i in range(size):
        x[i] = 0 if x[i] <= 0 else x[i]


# ---- everything else

cdef inline void rows(const Step* step, Chunk* k, char* scratch, int n_threads) noexcept nogil:
    cdef Shared s
    cdef const Map* m = map_of(k, step.out if step.out >= 0 else step.a)
    s.step, s.k, s.scratch, s.own = step, k[0], scratch, k.run.scratch_bytes
    s.parts = max(1, min(m.h, parts(PARTS, k.n))) if step.by_rows else 1
    if k.n * m.h * m.w * m.c < SERIAL_SIZE:
        n_threads = 1
    parallel_for(n_threads, k.n * s.parts, rows_task, &s)


cdef inline void rows_task(void* context, ptrdiff_t task, int worker) noexcept nogil:
    cdef Shared* s = <Shared*> context
    cdef Chunk k = s.k
    cdef ptrdiff_t image = task // s.parts
    k.first, k.begin, k.n = k.first + image, k.begin + image, 1
    k.part, k.parts, k.scratch = task % s.parts, s.parts, s.scratch + worker * s.own
    s.step.run(s.step, &k)
    if s.step.clear and k.part == 0:
        clear_surroundings(map_of(&k, s.step.out), 1, at(&k, s.step.out))
