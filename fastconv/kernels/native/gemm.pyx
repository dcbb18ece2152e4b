"""Matrix product on the register tile, blocked and packed after Goto, van de Geijn, "Anatomy of High-Performance
Matrix Multiplication" (ACM TOMS 34, 2008). The NumPy twin is ../reference/gemm.py.

    for each panel of b:
        pack it into blocks [block][line][KC][lane]              (shared)
        for each MC rows of a, NC lines of b:                    (one task: it owns its part of out)
            for each block of the panel:
                rows of a lie one after another (packed where a is transposed)
                tile: MR rows times one line
"""
from cython.parallel cimport parallel, prange, threadid
from libc.stddef cimport ptrdiff_t
from libc.string cimport memcpy, memset

cimport numpy as cnp

from .common cimport (LINE_BYTES, MAX_MR, MR, SERIAL_SIZE, SERIAL_WORK, SUM_ROWS, Scratch, float_mode, flush_denormals,
                      free_scratch, is_float, new_scratch, parts, real, restore_mode, sum_rows, tile, up_to)

cnp.import_array()

__all__ = ["gemm", "bias_backward"]

cdef enum:
    KC = 256       # a packed line of b, KC * 64 bytes, stays in L1
    MC = 120       # rows of a per task at most: MC * KC values stay in L2; a multiple of every MR
    NC = 32        # lines of b per task
    PANEL_BYTES = 1 << 22
    ROW_PARTS = 16
    GROUP = 8      # lines packed together: b is read in pieces of GROUP * 64 bytes

cdef struct Matrices:
    ptrdiff_t m
    ptrdiff_t n
    ptrdiff_t k
    ptrdiff_t a_row        # strides in elements
    ptrdiff_t a_column
    ptrdiff_t b_row
    ptrdiff_t b_column
    ptrdiff_t lanes        # outputs per line
    ptrdiff_t lines


def gemm(cnp.ndarray a, cnp.ndarray b, cnp.ndarray bias, cnp.ndarray out, int n_threads):
    """Write a (M,K) times b (K,N), any strides, plus bias (N,) or None, to out (M,N)."""
    cdef Matrices s
    cdef ptrdiff_t size = cnp.PyArray_ITEMSIZE(a)
    cdef void* initial = NULL if bias is None else cnp.PyArray_DATA(bias)
    s.m, s.k, s.n = a.shape[0], a.shape[1], b.shape[1]
    s.a_row, s.a_column = a.strides[0] // size, a.strides[1] // size
    s.b_row, s.b_column = b.strides[0] // size, b.strides[1] // size
    s.lanes = LINE_BYTES // size
    s.lines = parts(s.n, s.lanes)
    if is_float(a):
        multiply[float](&s, <float*> cnp.PyArray_DATA(a), <float*> cnp.PyArray_DATA(b), <float*> initial,
                        <float*> cnp.PyArray_DATA(out), n_threads)
    else:
        multiply[double](&s, <double*> cnp.PyArray_DATA(a), <double*> cnp.PyArray_DATA(b), <double*> initial,
                         <double*> cnp.PyArray_DATA(out), n_threads)


def bias_backward(cnp.ndarray dout, cnp.ndarray dbias, int n_threads):
    """Write the column sums of dout (M,N) to dbias (N,)."""
    if is_float(dout):
        column_sums[float](<float*> cnp.PyArray_DATA(dout), dout.shape[0], dout.shape[1],
                           <float*> cnp.PyArray_DATA(dbias), n_threads)
    else:
        column_sums[double](<double*> cnp.PyArray_DATA(dout), dout.shape[0], dout.shape[1],
                            <double*> cnp.PyArray_DATA(dbias), n_threads)


cdef int multiply(const Matrices* s, const real* a, const real* b, const real* bias, real* out,
                  int n_threads) except -1:
    cdef ptrdiff_t rows = min(MC, max(MR, parts(parts(s.m, ROW_PARTS), MR) * MR))
    cdef ptrdiff_t row_tasks = parts(s.m, rows), line_tasks = parts(s.lines, NC), groups = parts(s.lines, GROUP)
    cdef ptrdiff_t block_size = s.lines * s.lanes * KC, blocks = max(1, parts(s.k, KC))
    cdef ptrdiff_t panel = min(blocks, max(1, PANEL_BYTES // max(1, block_size * <ptrdiff_t> sizeof(real))))
    if s.m * s.lines * s.lanes * max(s.k, 1) < SERIAL_WORK:
        n_threads = 1
    cdef ptrdiff_t own = up_to(rows * min(s.k, KC) * sizeof(real), LINE_BYTES) if s.a_column != 1 else 0
    cdef Scratch scratch = new_scratch(panel * block_size * sizeof(real) + n_threads * own)
    cdef real* packed = <real*> scratch.memory
    cdef char* private = scratch.memory + panel * block_size * sizeof(real)
    cdef ptrdiff_t first = 0, last = 0, piece, task
    cdef float_mode mode = 0
    with nogil, parallel(num_threads=n_threads):
        mode = flush_denormals()
        for first in range(parts(blocks, panel)):
            last = min((first + 1) * panel, blocks)
            for piece in prange((last - first * panel) * groups, schedule="static"):
                pack_group(s, b, (first * panel + piece // groups) * KC, piece % groups * GROUP,
                           packed + piece // groups * block_size)
            for task in prange(row_tasks * line_tasks, schedule="dynamic"):
                multiply_blocks(s, a, bias, first * panel, last, packed, block_size, task // line_tasks * rows,
                                min(s.m, (task // line_tasks + 1) * rows), task % line_tasks * NC,
                                min(s.lines, (task % line_tasks + 1) * NC), out, <real*> (private + threadid() * own))
        restore_mode(mode)
    free_scratch(scratch)
    return 0


cdef void pack_group(const Matrices* s, const real* b, ptrdiff_t first, ptrdiff_t line, real* packed) noexcept nogil:
    """Write packed [line][depth][lane]: rows [first, first + KC) of GROUP lines of b's columns, zeros behind the last."""
    cdef ptrdiff_t depth = min(KC, s.k - first), last = min(line + GROUP, s.lines), k, l, j, used
    cdef const real* source
    cdef real* target
    for k in range(depth):
        for l in range(line, last):
            source = b + (first + k) * s.b_row + l * s.lanes * s.b_column
            target = packed + (l * depth + k) * s.lanes
            used = min(s.lanes, s.n - l * s.lanes)
            if s.b_column == 1 and used == s.lanes:
                memcpy(target, source, LINE_BYTES)
            else:
                for j in range(used):
                    target[j] = source[j * s.b_column]
                for j in range(used, s.lanes):
                    target[j] = 0


cdef void multiply_blocks(const Matrices* s, const real* a, const real* bias, ptrdiff_t first, ptrdiff_t last,
                          const real* packed, ptrdiff_t block_size, ptrdiff_t row, ptrdiff_t last_row,
                          ptrdiff_t first_line, ptrdiff_t last_line, real* out, real* buffer) noexcept nogil:
    """Add the products of the blocks [first, last) of a panel."""
    cdef ptrdiff_t block
    for block in range(first, last):
        multiply_block(s, a, bias, block * KC, packed + (block - first) * block_size, row, last_row, first_line, last_line,
                       out, buffer)


cdef void multiply_block(const Matrices* s, const real* a, const real* bias, ptrdiff_t first, const real* packed,
                         ptrdiff_t row, ptrdiff_t last_row, ptrdiff_t first_line, ptrdiff_t last_line, real* out,
                         real* buffer) noexcept nogil:
    """Add columns [first, first + KC) of some rows of a times some packed lines to out; the first block starts at bias."""
    cdef const real* x[MAX_MR]
    cdef const real* init[MAX_MR]
    cdef real* y[MAX_MR]
    cdef real part[MAX_MR * 16]
    cdef real start[16]
    cdef ptrdiff_t none = 0, depth = min(KC, s.k - first), line, i, r, used, x_row = s.a_row
    cdef const real* top = a + row * s.a_row + first * s.a_column
    cdef real* target
    if s.a_column != 1:
        for r in range(depth):
            for i in range(last_row - row):
                buffer[i * depth + r] = top[i * s.a_row + r * s.a_column]
        top, x_row = buffer, depth
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
            tile(x, &none, 1, depth, 1, packed + line * s.lanes * depth, init, y)
            if used < s.lanes:
                for i in range(min(MR, last_row - r)):
                    memcpy(out + (r + i) * s.n + line * s.lanes, y[i], used * sizeof(real))
            r = r + MR


cdef int column_sums(const real* dout, ptrdiff_t m, ptrdiff_t n, real* dbias, int n_threads) except -1:
    cdef ptrdiff_t tasks = parts(m, SUM_ROWS), task, j
    cdef Scratch scratch = new_scratch((tasks + 1) * n * sizeof(double))
    cdef double* sums = <double*> scratch.memory
    cdef double* total = sums + tasks * n
    cdef float_mode mode = 0
    if m * n < SERIAL_SIZE:
        n_threads = 1
    with nogil, parallel(num_threads=n_threads):
        mode = flush_denormals()
        for task in prange(tasks, schedule="static"):
            sum_rows(dout + task * SUM_ROWS * n, min(SUM_ROWS, m - task * SUM_ROWS), n, sums + task * n)
        restore_mode(mode)
    sum_rows[double](sums, tasks, n, total)
    for j in range(n):
        dbias[j] = <real> total[j]
    free_scratch(scratch)
    return 0
