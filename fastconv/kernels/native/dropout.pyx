"""Dropout (Srivastava et al., JMLR 15, 2014), the book's form: scaled at prediction. The masks are those of philox.h.
The NumPy twin is ../reference/dropout.py."""
from libc.stddef cimport ptrdiff_t
from libc.stdint cimport int64_t, uint64_t

cimport numpy as cnp

from .common cimport SERIAL_SIZE, is_float, parts, real
from .philox cimport dropout_range, dropout_threshold
from .pool cimport parallel_for

cnp.import_array()

__all__ = ["dropout_forward", "dropout_backward"]

cdef enum:
    CHUNK = 1 << 14     # elements per task, whole blocks of the generator

cdef struct Arrays:
    bint single            # float, else double
    void* x
    cnp.npy_bool* mask
    void* out
    ptrdiff_t size
    ptrdiff_t first        # the place of x[0] in the key's sequence
    uint64_t key
    int64_t threshold


def dropout_forward(cnp.ndarray x, uint64_t key, double ratio, cnp.ndarray mask, cnp.ndarray out, int n_threads):
    """mask (bool) = word i of the key's sequence > ratio * 2**32 for element i in C order; out = x * mask."""
    dropout_part(x, 0, key, ratio, mask, out, n_threads)


def dropout_part(cnp.ndarray x, ptrdiff_t first, uint64_t key, double ratio, cnp.ndarray mask, cnp.ndarray out,
                 int n_threads):
    """dropout_forward of a part of an array: x[0] is its element `first`."""
    cdef Arrays a = arrays(x, mask, out)
    a.first, a.key, a.threshold = first, key, dropout_threshold(ratio)
    with nogil:
        parallel_for(1 if a.size < SERIAL_SIZE else n_threads, parts(a.size, CHUNK), forward_task, &a)


def dropout_backward(cnp.ndarray dout, cnp.ndarray mask, cnp.ndarray dx, int n_threads):
    """dx = dout * mask."""
    cdef Arrays a = arrays(dout, mask, dx)
    with nogil:
        parallel_for(1 if a.size < SERIAL_SIZE else n_threads, parts(a.size, CHUNK), backward_task, &a)


cdef Arrays arrays(cnp.ndarray x, cnp.ndarray mask, cnp.ndarray out) noexcept:
    cdef Arrays a
    a.single, a.size = is_float(x), cnp.PyArray_SIZE(x)
    a.x, a.out = cnp.PyArray_DATA(x), cnp.PyArray_DATA(out)
    a.mask = <cnp.npy_bool*> cnp.PyArray_DATA(mask)
    a.first, a.key, a.threshold = 0, 0, 0
    return a


cdef void forward_task(void* context, ptrdiff_t task, int worker) noexcept nogil:
    cdef const Arrays* a = <Arrays*> context
    cdef ptrdiff_t i = task * CHUNK, count = min(CHUNK, a.size - i)
    if a.single:
        dropout_range(<float*> a.x + i, a.first + i, count, a.key, a.threshold, a.mask + i, <float*> a.out + i)
    else:
        dropout_range(<double*> a.x + i, a.first + i, count, a.key, a.threshold, a.mask + i, <double*> a.out + i)


cdef void backward_task(void* context, ptrdiff_t task, int worker) noexcept nogil:
    cdef const Arrays* a = <Arrays*> context
    cdef ptrdiff_t i = task * CHUNK, count = min(CHUNK, a.size - i)
    if a.single:
        apply_mask(<float*> a.x + i, a.mask + i, count, <float*> a.out + i)
    else:
        apply_mask(<double*> a.x + i, a.mask + i, count, <double*> a.out + i)


cdef void apply_mask(const real* x, const cnp.npy_bool* mask, ptrdiff_t count, real* out) noexcept nogil:
    cdef ptrdiff_t i
    for i in range(count):
        out[i] = x[i] * mask[i]
