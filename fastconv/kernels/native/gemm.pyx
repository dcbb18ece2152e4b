"""Matrix product on the register tile, blocked and packed after Goto, van de Geijn, "Anatomy of High-Performance
Matrix Multiplication" (ACM TOMS 34, 2008). The NumPy twin is ../reference/gemm.py.

    for each panel of b:
        pack it into blocks [block][line][KC][lane]              (shared)
        for each MC rows of a, NC lines of b:                    (one task: it owns its part of out)
            for each block of the panel:
                rows of a lie one after another (packed where a is transposed)
                tile: MR rows times one line

Where a is no higher than MC, nothing is shared, and threads meet once:

    for some lines of b:                                         (one task: it owns its columns of out)
        for each block of KC rows: pack it, and take all rows of a with it where they are

Up to THIN rows of a read b where it is (thin.pxd).
"""
from libc.stddef cimport ptrdiff_t
from libc.string cimport memcpy, memset

cimport numpy as cnp

from .common cimport (LINE_BYTES, MAX_MR, MR, SERIAL_SIZE, SUM_ROWS, Scratch, free_scratch, is_float,
                      new_scratch, parts, real, sum_rows, tile, up_to)
from .pool cimport parallel_for
from .thin cimport THIN, Matrices, Thin, cut_thin, run_thin, thin_bytes

cnp.import_array()

__all__ = ["gemm", "bias_backward"]

cdef enum:
    KC = 256       # a packed line of b, KC * 64 bytes, stays in L1
    MC = 120       # rows of a per task at most: MC * KC values stay in L2; a multiple of every MR
    NC = 32        # lines of b per task
    PANEL_BYTES = 1 << 22
    ROW_PARTS = 16
    GROUP = 8      # lines packed together: b is read in pieces of GROUP * 64 bytes
    TASKS = 32     # of lines of b, where nothing is shared
    SERIAL_PRODUCT = 1 << 16  # lines of multiply-adds that one thread does sooner than two

cdef struct Product:       # of the panel whose blocks are [first, last)
    Matrices size
    bint single
    void* a
    void* b
    void* bias
    void* out
    char* packed           # [last - first][lines][KC][lanes]
    char* buffers          # [worker][own] bytes: rows of a transposed a, or lines of b where they are not shared
    ptrdiff_t own
    ptrdiff_t first
    ptrdiff_t last
    ptrdiff_t groups       # per block
    ptrdiff_t rows         # per task
    ptrdiff_t lines        # per task that shares nothing
    ptrdiff_t line_tasks

cdef struct Columns:
    ptrdiff_t m
    ptrdiff_t n
    ptrdiff_t parts
    bint single
    void* dout
    double* sums           # [parts][n], then their sum [n]


def gemm(cnp.ndarray a, cnp.ndarray b, cnp.ndarray bias, cnp.ndarray out, int n_threads):
    """Write a (M,K) times b (K,N), any strides, plus bias (N,) or None, to out (M,N)."""
    cdef Product p
    cdef Matrices* s = &p.size
    cdef ptrdiff_t size = cnp.PyArray_ITEMSIZE(a)
    s.m, s.k, s.n = a.shape[0], a.shape[1], b.shape[1]
    s.a_row, s.a_column = a.strides[0] // size, a.strides[1] // size
    s.b_row, s.b_column = b.strides[0] // size, b.strides[1] // size
    s.lanes = LINE_BYTES // size
    s.lines = parts(s.n, s.lanes)
    p.single = is_float(a)
    p.a, p.b, p.out = cnp.PyArray_DATA(a), cnp.PyArray_DATA(b), cnp.PyArray_DATA(out)
    p.bias = NULL if bias is None else cnp.PyArray_DATA(bias)
    if s.m <= THIN and s.b_column == 1 and s.n >= s.lanes:
        multiply_thin(&p, n_threads)
    else:
        if s.m * s.lines * max(s.k, 1) < SERIAL_PRODUCT:
            n_threads = 1
        if s.m <= MC and s.a_column > 0 and s.k * s.lines * LINE_BYTES <= PANEL_BYTES:  # the tile's steps are positive
            multiply_apart(&p, n_threads)
        else:
            multiply(&p, size, n_threads)


def bias_backward(cnp.ndarray dout, cnp.ndarray dbias, int n_threads):
    """Write the column sums of dout (M,N) to dbias (N,)."""
    cdef Columns c
    c.m, c.n, c.single, c.dout = dout.shape[0], dout.shape[1], is_float(dout), cnp.PyArray_DATA(dout)
    c.parts = parts(c.m, SUM_ROWS)
    cdef Scratch scratch = new_scratch((c.parts + 1) * c.n * sizeof(double))
    c.sums = <double*> scratch.memory
    with nogil:
        parallel_for(1 if c.m * c.n < SERIAL_SIZE else n_threads, c.parts, sum_part, &c)
        if c.single:
            add_sums[float](&c, <float*> cnp.PyArray_DATA(dbias))
        else:
            add_sums[double](&c, <double*> cnp.PyArray_DATA(dbias))
    free_scratch(&scratch)


cdef int multiply_thin(const Product* p, int n_threads) except -1:
    """Multiply a few rows of a with b, which is read once and where it is."""
    cdef Thin t
    t.size, t.single, t.a, t.b, t.bias, t.out = p.size, p.single, p.a, p.b, p.bias, p.out
    cut_thin(&t)
    cdef Scratch scratch = new_scratch(thin_bytes(&t))
    with nogil:
        run_thin(&t, scratch.memory, n_threads)
    free_scratch(&scratch)
    return 0


cdef int multiply_apart(Product* p, int n_threads) except -1:
    """Multiply all rows of a with some lines of b per task."""
    cdef const Matrices* s = &p.size
    p.lines = max(1, min(GROUP, parts(s.lines, TASKS)))
    p.own = p.lines * LINE_BYTES * min(s.k, KC)
    cdef ptrdiff_t tasks = parts(s.lines, p.lines)
    n_threads = <int> max(1, min(n_threads, tasks))
    cdef Scratch scratch = new_scratch(n_threads * p.own)
    p.buffers = scratch.memory
    with nogil:
        parallel_for(n_threads, tasks, lines_task, p)
    free_scratch(&scratch)
    return 0


cdef int multiply(Product* p, ptrdiff_t item, int n_threads) except -1:
    cdef const Matrices* s = &p.size
    cdef ptrdiff_t block_bytes = s.lines * LINE_BYTES * KC, blocks = max(1, parts(s.k, KC))
    cdef ptrdiff_t panel = min(blocks, max(1, PANEL_BYTES // max(1, block_bytes))), row_tasks
    p.rows = min(MC, max(MR, parts(parts(s.m, ROW_PARTS), MR) * MR))
    p.groups, p.line_tasks, row_tasks = parts(s.lines, GROUP), parts(s.lines, NC), parts(s.m, p.rows)
    p.own = up_to(p.rows * min(s.k, KC) * item, LINE_BYTES) if s.a_column != 1 else 0
    cdef Scratch scratch = new_scratch(panel * block_bytes + n_threads * p.own)
    p.packed, p.buffers = scratch.memory, scratch.memory + panel * block_bytes
    p.first = 0
    with nogil:
        while p.first < blocks:
            p.last = min(p.first + panel, blocks)
            parallel_for(n_threads, (p.last - p.first) * p.groups, pack_task, p)
            parallel_for(n_threads, row_tasks * p.line_tasks, multiply_task, p)
            p.first = p.last
    free_scratch(&scratch)
    return 0


cdef void lines_task(void* context, ptrdiff_t task, int worker) noexcept nogil:
    cdef const Product* p = <Product*> context
    cdef ptrdiff_t line = task * p.lines, last = min(p.size.lines, line + p.lines)
    cdef char* buffer = p.buffers + worker * p.own
    if p.single:
        multiply_lines(&p.size, <float*> p.a, <float*> p.b, <float*> p.bias, line, last, <float*> p.out,
                       <float*> buffer)
    else:
        multiply_lines(&p.size, <double*> p.a, <double*> p.b, <double*> p.bias, line, last, <double*> p.out,
                       <double*> buffer)


cdef void pack_task(void* context, ptrdiff_t task, int worker) noexcept nogil:
    cdef const Product* p = <Product*> context
    cdef const Matrices* s = &p.size
    cdef ptrdiff_t block = task // p.groups, line = task % p.groups * GROUP, first = (p.first + block) * KC
    cdef ptrdiff_t last = min(line + GROUP, s.lines)
    cdef char* packed = p.packed + (block * s.lines * KC + line * min(KC, s.k - first)) * LINE_BYTES
    if p.single:
        pack_lines(s, <float*> p.b, first, line, last, <float*> packed)
    else:
        pack_lines(s, <double*> p.b, first, line, last, <double*> packed)


cdef void multiply_task(void* context, ptrdiff_t task, int worker) noexcept nogil:
    cdef const Product* p = <Product*> context
    cdef char* buffer = p.buffers + worker * p.own
    cdef ptrdiff_t row = task // p.line_tasks * p.rows, line = task % p.line_tasks * NC
    if p.single:
        multiply_blocks(p, <float*> p.a, <float*> p.bias, <float*> p.packed, row, line, <float*> p.out, <float*> buffer)
    else:
        multiply_blocks(p, <double*> p.a, <double*> p.bias, <double*> p.packed, row, line, <double*> p.out,
                        <double*> buffer)


cdef void pack_lines(const Matrices* s, const real* b, ptrdiff_t first, ptrdiff_t line, ptrdiff_t last,
                     real* packed) noexcept nogil:
    """Write packed [line][depth][lane]: rows [first, first + KC) of some lines of b, zeros behind the last column."""
    cdef ptrdiff_t depth = min(KC, s.k - first), k, l, j, used
    cdef const real* source
    cdef real* target
    for k in range(depth):
        for l in range(line, last):
            source = b + (first + k) * s.b_row + l * s.lanes * s.b_column
            target = packed + ((l - line) * depth + k) * s.lanes
            used = min(s.lanes, s.n - l * s.lanes)
            if s.b_column == 1 and used == s.lanes:
                memcpy(target, source, LINE_BYTES)
            else:
                for j in range(used):
                    target[j] = source[j * s.b_column]
                for j in range(used, s.lanes):
                    target[j] = 0


cdef void multiply_lines(const Matrices* s, const real* a, const real* b, const real* bias, ptrdiff_t line,
                         ptrdiff_t last, real* out, real* packed) noexcept nogil:
    """Multiply all of a with some lines of b."""
    cdef ptrdiff_t block
    for block in range(max(1, parts(s.k, KC))):
        pack_lines(s, b, block * KC, line, last, packed)
        multiply_block(s, a, bias, block * KC, packed, 0, s.m, line, last, out, NULL)


cdef void multiply_blocks(const Product* p, const real* a, const real* bias, const real* packed, ptrdiff_t row,
                          ptrdiff_t line, real* out, real* buffer) noexcept nogil:
    """Add the products of a panel's blocks."""
    cdef const Matrices* s = &p.size
    cdef ptrdiff_t block, at
    for block in range(p.first, p.last):
        at = (block - p.first) * s.lines * KC + line * min(KC, s.k - block * KC)
        multiply_block(s, a, bias, block * KC, packed + at * s.lanes, row, min(s.m, row + p.rows), line,
                       min(s.lines, line + NC), out, buffer)


cdef void multiply_block(const Matrices* s, const real* a, const real* bias, ptrdiff_t first, const real* packed,
                         ptrdiff_t row, ptrdiff_t last_row, ptrdiff_t first_line, ptrdiff_t last_line, real* out,
                         real* buffer) noexcept nogil:
    """Add columns [first, first + KC) of some rows of a times packed lines to out; the first block starts at bias.

    A transposed a is packed to the buffer, if there is one."""
    cdef const real* x[MAX_MR]
    cdef const real* init[MAX_MR]
    cdef real* y[MAX_MR]
    cdef real part[MAX_MR * 16]
    cdef real start[16]
    cdef ptrdiff_t none = 0, depth = min(KC, s.k - first), line, i, r, used, x_row = s.a_row, step = s.a_column
    cdef const real* top = a + row * s.a_row + first * s.a_column
    cdef real* target
    if step != 1 and buffer != NULL:
        for r in range(depth):
            for i in range(last_row - row):
                buffer[i * depth + r] = top[i * s.a_row + r * s.a_column]
        top, x_row, step = buffer, depth, 1
    memset(start, 0, sizeof(start))
    for line in range(first_line, last_line):
        used = min(s.lanes, s.n - line * s.lanes)
        if bias != NULL:
            memcpy(start, bias + line * s.lanes, used * sizeof(real))
        r = row
        while r < last_row:
            for i in range(MR):
                target = out + (r + i) * s.n + line * s.lanes
                x[i] = top + (min(r + i, last_row - 1) - row) * x_row
                y[i] = target if used == s.lanes and r + i < last_row else part + i * s.lanes
                init[i] = y[i] if first else start
                if first and y[i] != target:
                    memset(y[i], 0, LINE_BYTES)
                    if r + i < last_row:
                        memcpy(y[i], target, used * sizeof(real))
            tile(x, &none, 1, depth, step, packed + (line - first_line) * s.lanes * depth, init, y)
            if used < s.lanes:
                for i in range(min(MR, last_row - r)):
                    memcpy(out + (r + i) * s.n + line * s.lanes, y[i], used * sizeof(real))
            r = r + MR


cdef void sum_part(void* context, ptrdiff_t task, int worker) noexcept nogil:
    cdef const Columns* c = <Columns*> context
    cdef ptrdiff_t rows = min(SUM_ROWS, c.m - task * SUM_ROWS), at = task * SUM_ROWS * c.n
    if c.single:
        sum_rows(<float*> c.dout + at, rows, c.n, c.sums + task * c.n)
    else:
        sum_rows(<double*> c.dout + at, rows, c.n, c.sums + task * c.n)


cdef void add_sums(const Columns* c, real* dbias) noexcept nogil:
    cdef double* total = c.sums + c.parts * c.n
    cdef ptrdiff_t j
    sum_rows[double](c.sums, c.parts, c.n, total)
    for j in range(c.n):
        dbias[j] = <real> total[j]
