"""The explicit column matrix of the book, for those who ask for it. The NumPy twin is ../reference/im2col.py.

    col[n*OH*OW + oh*OW + ow, c*FH*FW + fh*FW + fw] = x[n, c, oh*sh - ph + fh, ow*sw - pw + fw]
"""
from libc.stddef cimport ptrdiff_t
from libc.string cimport memset

cimport numpy as cnp

from .common cimport SERIAL_SIZE, is_float, parts, real, task_rows
from .pool cimport parallel_for

cnp.import_array()

__all__ = ["im2col", "col2im"]

cdef struct Windows:
    ptrdiff_t n
    ptrdiff_t c
    ptrdiff_t h
    ptrdiff_t w
    ptrdiff_t step[4]      # of the image, in elements
    ptrdiff_t fh
    ptrdiff_t fw
    ptrdiff_t sh
    ptrdiff_t sw
    ptrdiff_t ph
    ptrdiff_t pw
    ptrdiff_t oh
    ptrdiff_t ow
    ptrdiff_t rows         # of results per task; images for col2im
    bint single
    void* image
    void* col


def im2col(cnp.ndarray x, tuple filter_size, tuple stride, tuple pad, cnp.ndarray col, int n_threads):
    """x (N,C,H,W), any strides, to col (N*OH*OW, C*FH*FW)."""
    cdef Windows s = windows(x, filter_size, stride, pad, col)
    s.rows = task_rows(row_size(&s))
    if s.n * s.oh * row_size(&s) < SERIAL_SIZE:
        n_threads = 1
    with nogil:
        parallel_for(n_threads, parts(s.n * s.oh, s.rows), gather_task, &s)


def col2im(cnp.ndarray col, tuple filter_size, tuple stride, tuple pad, cnp.ndarray dx, int n_threads):
    """col (N*OH*OW, C*FH*FW) to dx (N,C,H,W), C-contiguous; where windows overlap, their values add up."""
    cdef Windows s = windows(dx, filter_size, stride, pad, col)
    s.rows = task_rows(s.oh * row_size(&s))
    if s.n * s.oh * row_size(&s) < SERIAL_SIZE:
        n_threads = 1
    with nogil:
        parallel_for(n_threads, parts(s.n, s.rows), scatter_task, &s)


cdef Windows windows(cnp.ndarray image, tuple filter_size, tuple stride, tuple pad, cnp.ndarray col):
    cdef Windows s
    cdef int axis
    s.n, s.c, s.h, s.w = image.shape[0], image.shape[1], image.shape[2], image.shape[3]
    for axis in range(4):
        s.step[axis] = image.strides[axis] // <ptrdiff_t> cnp.PyArray_ITEMSIZE(image)
    s.fh, s.fw = filter_size
    s.sh, s.sw = stride
    s.ph, s.pw = pad
    s.oh, s.ow = (s.h + 2 * s.ph - s.fh) // s.sh + 1, (s.w + 2 * s.pw - s.fw) // s.sw + 1
    s.single, s.image, s.col = is_float(image), cnp.PyArray_DATA(image), cnp.PyArray_DATA(col)
    return s


cdef inline ptrdiff_t row_size(const Windows* s) noexcept nogil:
    """Return the elements of col that belong to one row of results."""
    return s.ow * s.c * s.fh * s.fw


cdef void gather_task(void* context, ptrdiff_t task, int worker) noexcept nogil:
    cdef const Windows* s = <Windows*> context
    cdef ptrdiff_t row, to, start
    for row in range(task * s.rows, min(s.n * s.oh, (task + 1) * s.rows)):
        start, to = row // s.oh * s.step[0], row * row_size(s)
        if s.single:
            gather_row(s, <float*> s.image + start, row % s.oh, <float*> s.col + to)
        else:
            gather_row(s, <double*> s.image + start, row % s.oh, <double*> s.col + to)


cdef void gather_row(const Windows* s, const real* image, ptrdiff_t oh, real* col) noexcept nogil:
    """Write the windows of one output row."""
    cdef ptrdiff_t ow, c, fh, fw, h, w
    for ow in range(s.ow):
        for c in range(s.c):
            for fh in range(s.fh):
                h = oh * s.sh - s.ph + fh
                for fw in range(s.fw):
                    w = ow * s.sw - s.pw + fw
                    col[fw] = (image[c * s.step[1] + h * s.step[2] + w * s.step[3]]
                               if 0 <= h < s.h and 0 <= w < s.w else 0)
                col += s.fw


cdef void scatter_task(void* context, ptrdiff_t task, int worker) noexcept nogil:
    cdef const Windows* s = <Windows*> context
    cdef ptrdiff_t image, start, to
    for image in range(task * s.rows, min(s.n, (task + 1) * s.rows)):
        start, to = image * s.oh * row_size(s), image * s.step[0]
        if s.single:
            scatter_image(s, <float*> s.col + start, <float*> s.image + to)
        else:
            scatter_image(s, <double*> s.col + start, <double*> s.image + to)


cdef void scatter_image(const Windows* s, const real* col, real* dx) noexcept nogil:
    cdef ptrdiff_t oh, ow, c, fh, fw, h, w
    memset(dx, 0, s.c * s.h * s.w * sizeof(real))
    for oh in range(s.oh):
        for ow in range(s.ow):
            for c in range(s.c):
                for fh in range(s.fh):
                    h = oh * s.sh - s.ph + fh
                    for fw in range(s.fw):
                        w = ow * s.sw - s.pw + fw
                        if 0 <= h < s.h and 0 <= w < s.w:
                            dx[(c * s.h + h) * s.w + w] += col[fw]
                    col += s.fw
