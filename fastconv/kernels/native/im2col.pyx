"""The explicit column matrix of the book, for those who ask for it. The NumPy twin is ../reference/im2col.py.

    col[n*OH*OW + oh*OW + ow, c*FH*FW + fh*FW + fw] = x[n, c, oh*sh - ph + fh, ow*sw - pw + fw]
"""
from cython.parallel cimport parallel, prange
from libc.stddef cimport ptrdiff_t
from libc.string cimport memset

cimport numpy as cnp

from .common cimport SERIAL_SIZE, float_mode, flush_denormals, is_float, real, restore_mode

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


def im2col(cnp.ndarray x, tuple filter_size, tuple stride, tuple pad, cnp.ndarray col, int n_threads):
    """x (N,C,H,W), any strides, to col (N*OH*OW, C*FH*FW)."""
    cdef Windows s = windows(x, filter_size, stride, pad)
    if is_float(x):
        gather[float](&s, <float*> cnp.PyArray_DATA(x), <float*> cnp.PyArray_DATA(col), n_threads)
    else:
        gather[double](&s, <double*> cnp.PyArray_DATA(x), <double*> cnp.PyArray_DATA(col), n_threads)


def col2im(cnp.ndarray col, tuple filter_size, tuple stride, tuple pad, cnp.ndarray dx, int n_threads):
    """col (N*OH*OW, C*FH*FW) to dx (N,C,H,W), C-contiguous; where windows overlap, their values add up."""
    cdef Windows s = windows(dx, filter_size, stride, pad)
    if is_float(dx):
        scatter[float](&s, <float*> cnp.PyArray_DATA(col), <float*> cnp.PyArray_DATA(dx), n_threads)
    else:
        scatter[double](&s, <double*> cnp.PyArray_DATA(col), <double*> cnp.PyArray_DATA(dx), n_threads)


cdef Windows windows(cnp.ndarray image, tuple filter_size, tuple stride, tuple pad):
    cdef Windows s
    cdef int axis
    s.n, s.c, s.h, s.w = image.shape[0], image.shape[1], image.shape[2], image.shape[3]
    for axis in range(4):
        s.step[axis] = image.strides[axis] // <ptrdiff_t> cnp.PyArray_ITEMSIZE(image)
    s.fh, s.fw = filter_size
    s.sh, s.sw = stride
    s.ph, s.pw = pad
    s.oh, s.ow = (s.h + 2 * s.ph - s.fh) // s.sh + 1, (s.w + 2 * s.pw - s.fw) // s.sw + 1
    return s


cdef void gather(const Windows* s, const real* x, real* col, int n_threads) noexcept:
    cdef ptrdiff_t row, width = s.ow * s.c * s.fh * s.fw
    cdef float_mode mode = 0
    if s.n * s.oh * width < SERIAL_SIZE:
        n_threads = 1
    with nogil, parallel(num_threads=n_threads):
        mode = flush_denormals()
        for row in prange(s.n * s.oh, schedule="static"):
            gather_row(s, x + row // s.oh * s.step[0], row % s.oh, col + row * width)
        restore_mode(mode)


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


cdef void scatter(const Windows* s, const real* col, real* dx, int n_threads) noexcept:
    cdef ptrdiff_t image, size = s.oh * s.ow * s.c * s.fh * s.fw
    cdef float_mode mode = 0
    if s.n * size < SERIAL_SIZE:
        n_threads = 1
    with nogil, parallel(num_threads=n_threads):
        mode = flush_denormals()
        for image in prange(s.n, schedule="static"):
            scatter_image(s, col + image * size, dx + image * s.step[0])
        restore_mode(mode)


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
