"""Softmax and cross-entropy over the rows of a matrix. The NumPy twin is ../reference/loss.py."""
from cython.parallel cimport parallel, prange
from libc.math cimport INFINITY, log
from libc.stddef cimport ptrdiff_t

cimport numpy as cnp

from .common cimport LINE_BYTES, SERIAL_SIZE, float_mode, flush_denormals, is_float, real, restore_mode
from .exponential cimport exponential
from .max_line cimport larger

cnp.import_array()

__all__ = ["softmax_forward", "softmax_loss_forward", "softmax_loss_backward"]

cdef extern from "<math.h>" nogil:
    float logf(float)

cdef enum:
    LANES = 16                  # values per line at most

cdef double EPSILON = 1e-7      # the book's guard against log(0)


def softmax_forward(cnp.ndarray x, cnp.ndarray out, int n_threads):
    """out[n] = exp(x[n] - max) / sum(exp(x[n] - max)); x, out (N,K)."""
    if is_float(x):
        softmax[float](<float*> cnp.PyArray_DATA(x), x.shape[0], x.shape[1], <float*> cnp.PyArray_DATA(out), n_threads)
    else:
        softmax[double](<double*> cnp.PyArray_DATA(x), x.shape[0], x.shape[1], <double*> cnp.PyArray_DATA(out), n_threads)


def softmax_loss_forward(cnp.ndarray x, cnp.ndarray t, cnp.ndarray y, cnp.ndarray loss, int n_threads):
    """y = softmax(x) (N,K); loss[n] = -log(y[n, t[n]] + 1e-7); t int64 (N,)."""
    softmax_forward(x, y, n_threads)
    if is_float(x):
        cross_entropy[float](<float*> cnp.PyArray_DATA(y), <cnp.npy_int64*> cnp.PyArray_DATA(t), y.shape[0], y.shape[1],
                             <float*> cnp.PyArray_DATA(loss))
    else:
        cross_entropy[double](<double*> cnp.PyArray_DATA(y), <cnp.npy_int64*> cnp.PyArray_DATA(t), y.shape[0],
                              y.shape[1], <double*> cnp.PyArray_DATA(loss))


def softmax_loss_backward(cnp.ndarray y, cnp.ndarray t, cnp.ndarray dx, int n_threads):
    """dx = (y - onehot(t)) / N."""
    if is_float(y):
        difference[float](<float*> cnp.PyArray_DATA(y), <cnp.npy_int64*> cnp.PyArray_DATA(t), y.shape[0], y.shape[1],
                          <float*> cnp.PyArray_DATA(dx), n_threads)
    else:
        difference[double](<double*> cnp.PyArray_DATA(y), <cnp.npy_int64*> cnp.PyArray_DATA(t), y.shape[0], y.shape[1],
                           <double*> cnp.PyArray_DATA(dx), n_threads)


cdef void softmax(const real* x, ptrdiff_t n, ptrdiff_t k, real* out, int n_threads) noexcept:
    cdef ptrdiff_t row
    cdef float_mode mode = 0
    if n * k < SERIAL_SIZE:
        n_threads = 1
    with nogil, parallel(num_threads=n_threads):
        mode = flush_denormals()
        for row in prange(n, schedule="static"):
            softmax_row(x + row * k, k, out + row * k)
        restore_mode(mode)


cdef void softmax_row(const real* x, ptrdiff_t k, real* out) noexcept nogil:
    """Maximum and sum go through LANES partial results: the compiler may not reorder a sum, but we may."""
    cdef real best[LANES]
    cdef real sums[LANES]
    cdef real largest = -INFINITY, total = 0
    cdef ptrdiff_t j, i, lanes = LINE_BYTES // sizeof(real), whole = k // lanes
    for i in range(lanes):
        best[i], sums[i] = largest, 0
    for j in range(whole):
        larger(x + j * lanes, best)
    for i in range(lanes):
        largest = maximum(best[i], largest)
    for j in range(whole * lanes, k):
        largest = maximum(x[j], largest)
    for j in range(k):
        out[j] = exponential(x[j] - largest)
    for j in range(whole):
        for i in range(LINE_BYTES // sizeof(real)):
            sums[i] += out[j * lanes + i]
    for i in range(lanes):
        total += sums[i]
    for j in range(whole * lanes, k):
        total += out[j]
    for j in range(k):
        out[j] /= total


cdef inline real maximum(real a, real b) noexcept nogil:
    """max(a, b); nan wins, and makes the row nan, as in NumPy."""
    return a if a > b or a != a else b


cdef void cross_entropy(const real* y, const cnp.npy_int64* t, ptrdiff_t n, ptrdiff_t k, real* loss) noexcept nogil:
    cdef ptrdiff_t row
    cdef real p
    for row in range(n):
        p = y[row * k + t[row]] + <real> EPSILON
        loss[row] = -(logf(p) if real is float else log(p))


cdef void difference(const real* y, const cnp.npy_int64* t, ptrdiff_t n, ptrdiff_t k, real* dx, int n_threads) noexcept:
    cdef ptrdiff_t row, j
    cdef float_mode mode = 0
    if n * k < SERIAL_SIZE:
        n_threads = 1
    with nogil, parallel(num_threads=n_threads):
        mode = flush_denormals()
        for row in prange(n, schedule="static"):
            for j in range(k):
                dx[row * k + j] = (y[row * k + j] - <real> (j == t[row])) / <real> n
        restore_mode(mode)
