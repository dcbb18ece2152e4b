"""Max and average pooling on channels-last memory: the innermost loop runs over channels, which lie side by side.
The NumPy twin is ../reference/pooling.py."""
from cython.parallel cimport parallel, prange
from libc.stddef cimport ptrdiff_t
from libc.string cimport memcpy, memset

cimport numpy as cnp

from .common cimport LINE_BYTES, SERIAL_SIZE, float_mode, flush_denormals, is_float, parts, real, restore_mode
from .max_line cimport larger, take

cnp.import_array()

__all__ = ["max_pooling_forward", "max_pooling_backward", "average_pooling_forward", "average_pooling_backward"]

cdef enum:
    CHANNELS = 64       # per task of a backward pass

cdef struct Pool:
    ptrdiff_t n
    ptrdiff_t h
    ptrdiff_t w
    ptrdiff_t c
    ptrdiff_t oh
    ptrdiff_t ow
    ptrdiff_t ph        # window
    ptrdiff_t pw
    ptrdiff_t sh        # stride
    ptrdiff_t sw
    ptrdiff_t top       # pad
    ptrdiff_t left

cdef struct Window:     # the part of a window inside the image
    ptrdiff_t h0
    ptrdiff_t h1
    ptrdiff_t w0
    ptrdiff_t w1


def max_pooling_forward(cnp.ndarray x, tuple window, tuple stride, tuple pad, cnp.ndarray out, int n_threads):
    """x (N,H,W,C) to out (N,OH,OW,C); padding never wins, nan does."""
    forward(geometry(x, out, window, stride, pad), x, out, True, n_threads)


def average_pooling_forward(cnp.ndarray x, tuple window, tuple stride, tuple pad, cnp.ndarray out, int n_threads):
    """x (N,H,W,C) to out (N,OH,OW,C): sum over the window / window area; padding counts as zeros."""
    forward(geometry(x, out, window, stride, pad), x, out, False, n_threads)


def max_pooling_backward(cnp.ndarray dout, cnp.ndarray x, cnp.ndarray out, tuple window, tuple stride, tuple pad,
                         cnp.ndarray dx, int n_threads):
    """dx (N,H,W,C): each dout goes to the first maximum of its window; x and out are the forward pass's."""
    backward(geometry(dx, dout, window, stride, pad), dout, x, out, dx, True, n_threads)


def average_pooling_backward(cnp.ndarray dout, tuple window, tuple stride, tuple pad, cnp.ndarray dx, int n_threads):
    """dx (N,H,W,C): each dout / window area goes to every pixel of its window."""
    backward(geometry(dx, dout, window, stride, pad), dout, dout, dout, dx, False, n_threads)


cdef Pool geometry(cnp.ndarray image, cnp.ndarray result, tuple window, tuple stride, tuple pad):
    cdef Pool s
    s.n, s.h, s.w, s.c = image.shape[0], image.shape[1], image.shape[2], image.shape[3]
    s.oh, s.ow = result.shape[1], result.shape[2]
    s.ph, s.pw = window
    s.sh, s.sw = stride
    s.top, s.left = pad
    return s


cdef forward(Pool s, cnp.ndarray x, cnp.ndarray out, bint largest, int n_threads):
    if is_float(x):
        forward_rows[float](&s, <float*> cnp.PyArray_DATA(x), <float*> cnp.PyArray_DATA(out), largest, n_threads)
    else:
        forward_rows[double](&s, <double*> cnp.PyArray_DATA(x), <double*> cnp.PyArray_DATA(out), largest, n_threads)


cdef backward(Pool s, cnp.ndarray dout, cnp.ndarray x, cnp.ndarray out, cnp.ndarray dx, bint largest, int n_threads):
    if is_float(dx):
        backward_images[float](&s, <float*> cnp.PyArray_DATA(dout), <float*> cnp.PyArray_DATA(x),
                               <float*> cnp.PyArray_DATA(out), <float*> cnp.PyArray_DATA(dx), largest, n_threads)
    else:
        backward_images[double](&s, <double*> cnp.PyArray_DATA(dout), <double*> cnp.PyArray_DATA(x),
                                <double*> cnp.PyArray_DATA(out), <double*> cnp.PyArray_DATA(dx), largest, n_threads)


cdef inline Window inside(const Pool* s, ptrdiff_t oh, ptrdiff_t ow) noexcept nogil:
    cdef Window v
    v.h0, v.w0 = max(oh * s.sh - s.top, 0), max(ow * s.sw - s.left, 0)
    v.h1, v.w1 = min(oh * s.sh - s.top + s.ph, s.h), min(ow * s.sw - s.left + s.pw, s.w)
    return v


cdef void forward_rows(const Pool* s, const real* x, real* out, bint largest, int n_threads) noexcept:
    cdef ptrdiff_t row
    cdef float_mode mode = 0
    if s.n * s.h * s.w * s.c < SERIAL_SIZE:
        n_threads = 1
    with nogil, parallel(num_threads=n_threads):
        mode = flush_denormals()
        for row in prange(s.n * s.oh, schedule="static"):
            if largest:
                max_row(s, x + row // s.oh * s.h * s.w * s.c, row % s.oh, out + row * s.ow * s.c)
            else:
                average_row(s, x + row // s.oh * s.h * s.w * s.c, row % s.oh, out + row * s.ow * s.c)
        restore_mode(mode)


cdef void max_row(const Pool* s, const real* image, ptrdiff_t oh, real* out) noexcept nogil:
    cdef ptrdiff_t ow, line, h, w, lanes = LINE_BYTES // sizeof(real), used
    cdef const real* x
    cdef real best[16]
    cdef real some[16]
    cdef Window v
    memset(best, 0, sizeof(best))
    memset(some, 0, sizeof(some))
    for ow in range(s.ow):
        v = inside(s, oh, ow)
        for line in range(parts(s.c, lanes)):
            used = min(lanes, s.c - line * lanes)
            copy(best, image + (v.h0 * s.w + v.w0) * s.c + line * lanes, used)
            for h in range(v.h0, v.h1):
                for w in range(v.w0, v.w1):
                    x = image + (h * s.w + w) * s.c + line * lanes
                    if used < lanes:
                        copy(some, x, used)
                        x = some
                    larger(x, best)
            copy(out + line * lanes, best, used)
        out += s.c


cdef inline void copy(real* to, const real* source, ptrdiff_t used) noexcept nogil:
    """Copy a line or the first part of one; a size known to the compiler is one instruction, not a call."""
    if used * <ptrdiff_t> sizeof(real) == LINE_BYTES:
        memcpy(to, source, LINE_BYTES)
    else:
        memcpy(to, source, used * sizeof(real))


cdef void average_row(const Pool* s, const real* image, ptrdiff_t oh, real* out) noexcept nogil:
    cdef ptrdiff_t ow, h, w, c
    cdef const real* x
    cdef Window v
    cdef real area = <real> (s.ph * s.pw)
    for ow in range(s.ow):
        v = inside(s, oh, ow)
        memset(out, 0, s.c * sizeof(real))
        for h in range(v.h0, v.h1):
            for w in range(v.w0, v.w1):
                x = image + (h * s.w + w) * s.c
                for c in range(s.c):
                    out[c] += x[c]
        for c in range(s.c):
            out[c] /= area
        out += s.c


cdef void backward_images(const Pool* s, const real* dout, const real* x, const real* out, real* dx, bint largest,
                          int n_threads) noexcept:
    """One task per image and CHANNELS channels: windows may overlap, tasks don't."""
    cdef ptrdiff_t task, chunks = parts(s.c, CHANNELS), image_size = s.h * s.w * s.c, result_size = s.oh * s.ow * s.c
    cdef ptrdiff_t image, first, used
    cdef float_mode mode = 0
    if s.n * image_size < SERIAL_SIZE:
        n_threads = 1
    with nogil, parallel(num_threads=n_threads):
        mode = flush_denormals()
        for task in prange(s.n * chunks, schedule="static"):
            image = task // chunks
            first = task % chunks * CHANNELS
            used = min(CHANNELS, s.c - first)
            clear(s, dx + image * image_size + first, used)
            if largest:
                max_gradient(s, dout + image * result_size + first, x + image * image_size + first,
                             out + image * result_size + first, dx + image * image_size + first, used)
            else:
                average_gradient(s, dout + image * result_size + first, dx + image * image_size + first, used)
        restore_mode(mode)


cdef void clear(const Pool* s, real* dx, ptrdiff_t channels) noexcept nogil:
    cdef ptrdiff_t i
    for i in range(s.h * s.w):
        memset(dx + i * s.c, 0, channels * sizeof(real))


cdef void max_gradient(const Pool* s, const real* dout, const real* x, const real* out, real* dx,
                       ptrdiff_t channels) noexcept nogil:
    cdef ptrdiff_t oh, ow, line, h, w, at, lanes = LINE_BYTES // sizeof(real), used
    cdef real left[16]
    cdef real best[16]
    cdef real some[2][16]
    cdef Window v
    memset(left, 0, sizeof(left))
    memset(best, 0, sizeof(best))
    memset(some, 0, sizeof(some))
    for oh in range(s.oh):
        for ow in range(s.ow):
            v = inside(s, oh, ow)
            for line in range(parts(channels, lanes)):
                used = min(lanes, channels - line * lanes)
                copy(left, dout + line * lanes, used)
                copy(best, out + line * lanes, used)
                for h in range(v.h0, v.h1):
                    for w in range(v.w0, v.w1):
                        at = (h * s.w + w) * s.c + line * lanes
                        if used == lanes:
                            take(x + at, best, left, dx + at)
                        else:
                            copy(some[0], x + at, used)
                            copy(some[1], dx + at, used)
                            take(some[0], best, left, some[1])
                            copy(dx + at, some[1], used)
            dout += s.c
            out += s.c


cdef void average_gradient(const Pool* s, const real* dout, real* dx, ptrdiff_t channels) noexcept nogil:
    cdef ptrdiff_t oh, ow, h, w, c, at
    cdef real area = <real> (s.ph * s.pw)
    cdef Window v
    for oh in range(s.oh):
        for ow in range(s.ow):
            v = inside(s, oh, ow)
            for h in range(v.h0, v.h1):
                for w in range(v.w0, v.w1):
                    at = (h * s.w + w) * s.c
                    for c in range(channels):
                        dx[at + c] += dout[c] / area
            dout += s.c
