"""Dropout (Srivastava et al., JMLR 15, 2014), the book's form: scaled at prediction. The NumPy twin is
../reference/dropout.py."""
from cython.parallel cimport parallel, prange
from libc.stddef cimport ptrdiff_t

cimport numpy as cnp

from .common cimport SERIAL_SIZE, float_mode, flush_denormals, is_float, real, restore_mode

cnp.import_array()

__all__ = ["dropout_forward", "dropout_backward"]


def dropout_forward(cnp.ndarray x, cnp.ndarray random, double ratio, cnp.ndarray mask, cnp.ndarray out, int n_threads):
    """mask = random > ratio (bool, of random float64 in [0, 1)); out = x * mask."""
    cdef const double* r = <double*> cnp.PyArray_DATA(random)
    cdef cnp.npy_bool* keep = <cnp.npy_bool*> cnp.PyArray_DATA(mask)
    cdef ptrdiff_t i
    for i in range(cnp.PyArray_SIZE(random)):
        keep[i] = r[i] > ratio
    dropout_backward(x, mask, out, n_threads)


def dropout_backward(cnp.ndarray dout, cnp.ndarray mask, cnp.ndarray dx, int n_threads):
    """dx = dout * mask."""
    if is_float(dout):
        apply_mask[float](<float*> cnp.PyArray_DATA(dout), <cnp.npy_bool*> cnp.PyArray_DATA(mask),
                          cnp.PyArray_SIZE(dout), <float*> cnp.PyArray_DATA(dx), n_threads)
    else:
        apply_mask[double](<double*> cnp.PyArray_DATA(dout), <cnp.npy_bool*> cnp.PyArray_DATA(mask),
                           cnp.PyArray_SIZE(dout), <double*> cnp.PyArray_DATA(dx), n_threads)


cdef void apply_mask(const real* x, const cnp.npy_bool* mask, ptrdiff_t size, real* out, int n_threads) noexcept:
    cdef ptrdiff_t i
    cdef float_mode mode = 0
    if size < SERIAL_SIZE:
        n_threads = 1
    with nogil, parallel(num_threads=n_threads):
        mode = flush_denormals()
        for i in prange(size, schedule="static"):
            out[i] = x[i] * mask[i]
        restore_mode(mode)
