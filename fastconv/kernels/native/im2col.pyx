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

cdef enum:
    CHANNELS = 16          # of an image that are added up together: their maps stay in the cache

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
    ptrdiff_t rows         # of results per task; pieces of images for col2im
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
    s.rows = task_rows(s.oh * s.ow * min(s.c, CHANNELS) * s.fh * s.fw)
    if s.n * s.oh * row_size(&s) < SERIAL_SIZE:
        n_threads = 1
    with nogil:
        parallel_for(n_threads, parts(s.n * parts(s.c, CHANNELS), s.rows), scatter_task, &s)


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
    cdef ptrdiff_t chunks = parts(s.c, CHANNELS), piece, start, to, first
    for piece in range(task * s.rows, min(s.n * chunks, (task + 1) * s.rows)):
        start, to = piece // chunks * s.oh * row_size(s), piece // chunks * s.step[0]
        first = piece % chunks * CHANNELS
        if s.single:
            scatter_channels(s, <float*> s.col + start, first, min(s.c, first + CHANNELS), <float*> s.image + to)
        else:
            scatter_channels(s, <double*> s.col + start, first, min(s.c, first + CHANNELS), <double*> s.image + to)


cdef void scatter_channels(const Windows* s, const real* col, ptrdiff_t first, ptrdiff_t last, real* dx) noexcept nogil:
    """Add up the windows of some channels of one image."""
    cdef ptrdiff_t size = s.fh * s.fw, map = s.h * s.w, oh, ow, c, fh, fw, h, w, h0, h1, w0, w1
    cdef const real* window
    cdef real* to
    memset(dx + first * map, 0, (last - first) * map * sizeof(real))
    for oh in range(s.oh):
        h = oh * s.sh - s.ph
        h0, h1 = max(0, -h), min(s.fh, s.h - h)
        for ow in range(s.ow):
            w = ow * s.sw - s.pw
            w0, w1 = max(0, -w), min(s.fw, s.w - w)
            window, to = col + first * size, dx + first * map + h * s.w + w
            for c in range(first, last):
                for fh in range(h0, h1):
                    for fw in range(w0, w1):
                        to[fh * s.w + fw] += window[fh * s.fw + fw]
                window += size
                to += map
            col += s.c * size
