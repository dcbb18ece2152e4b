"""What the kernel files share: the element type, the register tile, scratch memory."""
from libc.stddef cimport ptrdiff_t
from libc.stdint cimport uintptr_t
from libc.stdlib cimport free, malloc
from libc.string cimport memset

cimport numpy as cnp
from cpython.ref cimport Py_INCREF, Py_XDECREF, PyObject

ctypedef fused real:
    float
    double

cdef extern from "tile.h" nogil:
    const ptrdiff_t MR
    const ptrdiff_t TALL
    const ptrdiff_t LESS
    const ptrdiff_t LINE_BYTES
    void tile_float(const float* const* x, const ptrdiff_t* offset, ptrdiff_t runs, ptrdiff_t length, ptrdiff_t step,
                    const float* w, const float* const* init, float* const* y)
    void tile_double(const double* const* x, const ptrdiff_t* offset, ptrdiff_t runs, ptrdiff_t length,
                     ptrdiff_t step, const double* w, const double* const* init, double* const* y)
    void tile_row_float(const float* x, ptrdiff_t x_step, const ptrdiff_t* offset, ptrdiff_t runs, ptrdiff_t length,
                        const float* w, const float* init, bint relu, float* y, ptrdiff_t y_step)
    void tile_row_double(const double* x, ptrdiff_t x_step, const ptrdiff_t* offset, ptrdiff_t runs, ptrdiff_t length,
                         const double* w, const double* init, bint relu, double* y, ptrdiff_t y_step)
    void largest_line_float(const float* x, ptrdiff_t row, ptrdiff_t column, ptrdiff_t h, ptrdiff_t w, float* out)
    void largest_line_double(const double* x, ptrdiff_t row, ptrdiff_t column, ptrdiff_t h, ptrdiff_t w, double* out)
    void depthwise_row_float(const float* x, ptrdiff_t x_step, const ptrdiff_t* offset, ptrdiff_t taps, const float* w,
                             const float* bias, bint relu, float* y, ptrdiff_t y_step, ptrdiff_t count)
    void depthwise_row_double(const double* x, ptrdiff_t x_step, const ptrdiff_t* offset, ptrdiff_t taps, const double* w,
                              const double* bias, bint relu, double* y, ptrdiff_t y_step, ptrdiff_t count)
    void depthwise_taps_float(const float* x, ptrdiff_t x_step, const ptrdiff_t* offset, const float* dy, ptrdiff_t dy_step,
                              ptrdiff_t count, float* sums)
    void depthwise_taps_double(const double* x, ptrdiff_t x_step, const ptrdiff_t* offset, const double* dy, ptrdiff_t dy_step,
                               ptrdiff_t count, double* sums)
    const ptrdiff_t WIDE_ROWS
    const ptrdiff_t WIDE_LINES
    void tile_wide_float(const float* const* x, const ptrdiff_t* offset, ptrdiff_t runs, ptrdiff_t length, const float* w,
                         ptrdiff_t w_line, const float* init, bint relu, float* const* y, const float* ahead)
    void tile_wide_double(const double* const* x, const ptrdiff_t* offset, ptrdiff_t runs, ptrdiff_t length, const double* w,
                          ptrdiff_t w_line, const double* init, bint relu, double* const* y, const double* ahead)
    const ptrdiff_t FEW_ROWS
    void few_rows_line_float(const float* x, ptrdiff_t x_row, ptrdiff_t x_step, int rows, ptrdiff_t length, const float* w,
                             ptrdiff_t w_step, float* y, ptrdiff_t y_row)
    void few_rows_line_double(const double* x, ptrdiff_t x_row, ptrdiff_t x_step, int rows, ptrdiff_t length, const double* w,
                              ptrdiff_t w_step, double* y, ptrdiff_t y_row)
    void few_rows_lines_float(const float* x, ptrdiff_t x_row, ptrdiff_t x_step, int rows, ptrdiff_t length, const float* w,
                              ptrdiff_t w_step, float* y, ptrdiff_t y_row)
    void few_rows_lines_double(const double* x, ptrdiff_t x_row, ptrdiff_t x_step, int rows, ptrdiff_t length, const double* w,
                               ptrdiff_t w_step, double* y, ptrdiff_t y_row)
    const ptrdiff_t DOTS
    void dots_float(const float* x, ptrdiff_t x_step, const ptrdiff_t* offset, ptrdiff_t runs, ptrdiff_t length, const float* w,
                    float* y)
    void dots_double(const double* x, ptrdiff_t x_step, const ptrdiff_t* offset, ptrdiff_t runs, ptrdiff_t length,
                     const double* w, double* y)
    void sum_lines_float(const float* y, ptrdiff_t step, ptrdiff_t count, float* total)
    void sum_lines_double(const double* y, ptrdiff_t step, ptrdiff_t count, double* total)
    void tile_half_float(const float* const* x, const ptrdiff_t* offset, ptrdiff_t runs, ptrdiff_t length, ptrdiff_t step,
                         const float* w, ptrdiff_t w_line, const float* init, float* const* y, ptrdiff_t y_line)
    void tile_tall_float(const float* const* x, const ptrdiff_t* offset, ptrdiff_t runs, ptrdiff_t length, ptrdiff_t step,
                         const float* w, ptrdiff_t w_line, const float* init, float* const* y, ptrdiff_t y_line)
    void tile_less_float(const float* const* x, const ptrdiff_t* offset, ptrdiff_t runs, ptrdiff_t length, ptrdiff_t step,
                         const float* w, ptrdiff_t w_line, const float* init, float* const* y, ptrdiff_t y_line)
    void tile_less_double(const double* const* x, const ptrdiff_t* offset, ptrdiff_t runs, ptrdiff_t length, ptrdiff_t step,
                          const double* w, ptrdiff_t w_line, const double* init, double* const* y, ptrdiff_t y_line)
    void tile_single_float(const float* const* x, const ptrdiff_t* offset, ptrdiff_t runs, ptrdiff_t length,
                           ptrdiff_t step, const float* w, ptrdiff_t w_line, const float* init, float* const* y,
                           ptrdiff_t y_line)
    void tile_tall_double(const double* const* x, const ptrdiff_t* offset, ptrdiff_t runs, ptrdiff_t length, ptrdiff_t step,
                         const double* w, ptrdiff_t w_line, const double* init, double* const* y, ptrdiff_t y_line)
    void tile_single_double(const double* const* x, const ptrdiff_t* offset, ptrdiff_t runs, ptrdiff_t length,
                            ptrdiff_t step, const double* w, ptrdiff_t w_line, const double* init, double* const* y,
                            ptrdiff_t y_line)

cdef enum:
    MAX_MR = 9             # no instruction set has a higher tile (MR and TALL in tile.h)
    LARGE_SCRATCH = 1 << 18  # bytes that are better used again than handed back
    SERIAL_WORK = 1 << 18  # lines of multiply-adds below which waking a second thread costs more than it saves
    SERIAL_SIZE = 1 << 17  # the same for elementwise work, in elements
    TASK_SIZE = 1 << 12    # elements that make taking a task worth while
    SUM_ROWS = 256         # rows per partial sum: column sums are taken part by part, then over the parts in order


cdef inline void tile(const real* const* x, const ptrdiff_t* offset, ptrdiff_t runs, ptrdiff_t length, ptrdiff_t step,
                      const real* w, const real* const* init, real* const* y) noexcept nogil:
    if real is float:
        tile_float(x, offset, runs, length, step, w, init, y)
    else:
        tile_double(x, offset, runs, length, step, w, init, y)


cdef inline void tile_row(const real* x, ptrdiff_t x_step, const ptrdiff_t* offset, ptrdiff_t runs, ptrdiff_t length,
                          const real* w, const real* init, bint relu, real* y, ptrdiff_t y_step) noexcept nogil:
    if real is float:
        tile_row_float(x, x_step, offset, runs, length, w, init, relu, y, y_step)
    else:
        tile_row_double(x, x_step, offset, runs, length, w, init, relu, y, y_step)


cdef inline void largest_line(const real* x, ptrdiff_t row, ptrdiff_t column, ptrdiff_t h, ptrdiff_t w, real* out) noexcept nogil:
    if real is float:
        largest_line_float(x, row, column, h, w, out)
    else:
        largest_line_double(x, row, column, h, w, out)


cdef inline void depthwise_row(const real* x, ptrdiff_t x_step, const ptrdiff_t* offset, ptrdiff_t taps, const real* w,
                               const real* bias, bint relu, real* y, ptrdiff_t y_step, ptrdiff_t count) noexcept nogil:
    if real is float:
        depthwise_row_float(x, x_step, offset, taps, w, bias, relu, y, y_step, count)
    else:
        depthwise_row_double(x, x_step, offset, taps, w, bias, relu, y, y_step, count)


cdef inline void depthwise_taps(const real* x, ptrdiff_t x_step, const ptrdiff_t* offset, const real* dy, ptrdiff_t dy_step,
                                ptrdiff_t count, real* sums) noexcept nogil:
    if real is float:
        depthwise_taps_float(x, x_step, offset, dy, dy_step, count, sums)
    else:
        depthwise_taps_double(x, x_step, offset, dy, dy_step, count, sums)


cdef inline void tile_wide(const real* const* x, const ptrdiff_t* offset, ptrdiff_t runs, ptrdiff_t length, const real* w,
                           ptrdiff_t w_line, const real* init, bint relu, real* const* y, const real* ahead) noexcept nogil:
    if real is float:
        tile_wide_float(x, offset, runs, length, w, w_line, init, relu, y, ahead)
    else:
        tile_wide_double(x, offset, runs, length, w, w_line, init, relu, y, ahead)


cdef inline void few_rows(const real* x, ptrdiff_t x_row, ptrdiff_t x_step, int rows, ptrdiff_t length, const real* w,
                          ptrdiff_t w_step, real* y, ptrdiff_t y_row, ptrdiff_t lines) noexcept nogil:
    """Take one or two lines."""
    if real is float:
        if lines == 2:
            few_rows_lines_float(x, x_row, x_step, rows, length, w, w_step, y, y_row)
        else:
            few_rows_line_float(x, x_row, x_step, rows, length, w, w_step, y, y_row)
    else:
        if lines == 2:
            few_rows_lines_double(x, x_row, x_step, rows, length, w, w_step, y, y_row)
        else:
            few_rows_line_double(x, x_row, x_step, rows, length, w, w_step, y, y_row)


cdef inline void dots(const real* x, ptrdiff_t x_step, const ptrdiff_t* offset, ptrdiff_t runs, ptrdiff_t length,
                      const real* w, real* y) noexcept nogil:
    if real is float:
        dots_float(x, x_step, offset, runs, length, w, y)
    else:
        dots_double(x, x_step, offset, runs, length, w, y)


cdef inline void sum_lines(const real* y, ptrdiff_t step, ptrdiff_t count, real* total) noexcept nogil:
    if real is float:
        sum_lines_float(y, step, count, total)
    else:
        sum_lines_double(y, step, count, total)


cdef inline void tile_tall(const real* const* x, const ptrdiff_t* offset, ptrdiff_t runs, ptrdiff_t length,
                           ptrdiff_t step, const real* w, const real* init, real* const* y) noexcept nogil:
    if real is float:
        tile_tall_float(x, offset, runs, length, step, w, 0, init, y, 0)
    else:
        tile_tall_double(x, offset, runs, length, step, w, 0, init, y, 0)


cdef inline void tile_less(const real* const* x, const ptrdiff_t* offset, ptrdiff_t runs, ptrdiff_t length,
                           ptrdiff_t step, const real* w, const real* init, real* const* y) noexcept nogil:
    if real is float:
        tile_less_float(x, offset, runs, length, step, w, 0, init, y, 0)
    else:
        tile_less_double(x, offset, runs, length, step, w, 0, init, y, 0)


cdef inline void tile_single(const real* const* x, const ptrdiff_t* offset, ptrdiff_t runs, ptrdiff_t length,
                             ptrdiff_t step, const real* w, ptrdiff_t w_line, const real* init, real* const* y,
                             ptrdiff_t y_line) noexcept nogil:
    if real is float:
        tile_single_float(x, offset, runs, length, step, w, w_line, init, y, y_line)
    else:
        tile_single_double(x, offset, runs, length, step, w, w_line, init, y, y_line)


cdef inline bint is_float(cnp.ndarray x) noexcept:
    return cnp.PyArray_TYPE(x) == cnp.NPY_FLOAT32


cdef inline ptrdiff_t up_to(ptrdiff_t n, ptrdiff_t multiple) noexcept nogil:
    """Return n rounded up to a multiple."""
    return (n + multiple - 1) // multiple * multiple


cdef inline ptrdiff_t parts(ptrdiff_t n, ptrdiff_t size) noexcept nogil:
    """Return the number of parts of `size` that hold n."""
    return (n + size - 1) // size


cdef inline ptrdiff_t task_rows(ptrdiff_t width) noexcept nogil:
    """Return how many rows of `width` elements make a task."""
    return max(1, TASK_SIZE // max(width, 1))


cdef struct Scratch:
    void* allocated
    PyObject* block        # what holds the memory instead, if it is large
    char* memory           # aligned to a line


cdef inline Scratch new_scratch(size_t size) except *:
    """Return `size` bytes of aligned memory; MemoryError where there is none. End it with free_scratch."""
    cdef Scratch s
    cdef void* first
    s.allocated, s.block = NULL, NULL
    if size >= LARGE_SCRATCH:
        from fastconv.buffers import buffers
        block = buffers.take(size + LINE_BYTES)
        memory = block.base
        Py_INCREF(memory)
        s.block = <PyObject*> memory
        first = cnp.PyArray_DATA(<cnp.ndarray> block)
    else:
        first = s.allocated = malloc(size + LINE_BYTES)
        if first == NULL:
            raise MemoryError(f"fastconv: no memory for {size:,} bytes of working space")
    s.memory = <char*> ((<uintptr_t> first + LINE_BYTES - 1) // LINE_BYTES * LINE_BYTES)
    return s


cdef inline void free_scratch(Scratch* s) noexcept:
    free(s.allocated)
    Py_XDECREF(s.block)
    memset(s, 0, sizeof(Scratch))


cdef inline void sum_rows(const real* x, ptrdiff_t m, ptrdiff_t n, double* total) noexcept nogil:
    """Write the column sums of x (m,n)."""
    cdef ptrdiff_t i, j
    memset(total, 0, n * sizeof(double))
    for i in range(m):
        for j in range(n):
            total[j] += x[i * n + j]
