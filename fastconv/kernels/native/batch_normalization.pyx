"""Batch normalisation (Ioffe, Szegedy, arXiv:1502.03167) over the columns of a matrix (M,D): D features of M samples,
or D channels of M = N*H*W pixels. The NumPy twin is ../reference/batch_normalization.py.

Column sums are taken in double, over parts of SUM_ROWS rows, then over the parts in order: the same bits on any number of
threads, and no digits lost where the data have an offset.
"""
from cython.parallel cimport parallel, prange
from libc.math cimport sqrt
from libc.stddef cimport ptrdiff_t
from libc.string cimport memset

cimport numpy as cnp

from .common cimport (SERIAL_SIZE, SUM_ROWS, Scratch, float_mode, flush_denormals, free_scratch, is_float, new_scratch,
                      parts, real, restore_mode, sum_rows)

cnp.import_array()

__all__ = ["batch_normalization_forward", "batch_normalization_inference", "batch_normalization_backward"]


def batch_normalization_forward(cnp.ndarray x, cnp.ndarray gamma, cnp.ndarray beta, double eps, cnp.ndarray out,
                                cnp.ndarray mean, cnp.ndarray var, int n_threads):
    """Write the batch's mean and biased variance (D,) and out = gamma*(x - mean)/sqrt(var + eps) + beta (M,D)."""
    if is_float(x):
        statistics[float](<float*> cnp.PyArray_DATA(x), x.shape[0], x.shape[1], <float*> cnp.PyArray_DATA(mean),
                          <float*> cnp.PyArray_DATA(var), n_threads)
    else:
        statistics[double](<double*> cnp.PyArray_DATA(x), x.shape[0], x.shape[1], <double*> cnp.PyArray_DATA(mean),
                           <double*> cnp.PyArray_DATA(var), n_threads)
    batch_normalization_inference(x, gamma, beta, mean, var, eps, out, n_threads)


def batch_normalization_inference(cnp.ndarray x, cnp.ndarray gamma, cnp.ndarray beta, cnp.ndarray mean, cnp.ndarray var,
                                  double eps, cnp.ndarray out, int n_threads):
    """out = gamma*(x - mean)/sqrt(var + eps) + beta with given statistics."""
    if is_float(x):
        normalize[float](<float*> cnp.PyArray_DATA(x), <float*> cnp.PyArray_DATA(gamma), <float*> cnp.PyArray_DATA(beta),
                         <float*> cnp.PyArray_DATA(mean), <float*> cnp.PyArray_DATA(var), eps, x.shape[0], x.shape[1],
                         <float*> cnp.PyArray_DATA(out), n_threads)
    else:
        normalize[double](<double*> cnp.PyArray_DATA(x), <double*> cnp.PyArray_DATA(gamma),
                          <double*> cnp.PyArray_DATA(beta), <double*> cnp.PyArray_DATA(mean),
                          <double*> cnp.PyArray_DATA(var), eps, x.shape[0], x.shape[1],
                          <double*> cnp.PyArray_DATA(out), n_threads)


def batch_normalization_backward(cnp.ndarray dout, cnp.ndarray x, cnp.ndarray gamma, cnp.ndarray mean, cnp.ndarray var,
                                 double eps, cnp.ndarray dx, cnp.ndarray dgamma, cnp.ndarray dbeta, int n_threads):
    """With xn = (x - mean)/std: dbeta = sum dout, dgamma = sum dout*xn,
    dx = gamma/std * (dout - dbeta/M - xn*dgamma/M)."""
    if is_float(x):
        gradient[float](<float*> cnp.PyArray_DATA(dout), <float*> cnp.PyArray_DATA(x), <float*> cnp.PyArray_DATA(gamma),
                        <float*> cnp.PyArray_DATA(mean), <float*> cnp.PyArray_DATA(var), eps, x.shape[0], x.shape[1],
                        <float*> cnp.PyArray_DATA(dx), <float*> cnp.PyArray_DATA(dgamma),
                        <float*> cnp.PyArray_DATA(dbeta), n_threads)
    else:
        gradient[double](<double*> cnp.PyArray_DATA(dout), <double*> cnp.PyArray_DATA(x),
                         <double*> cnp.PyArray_DATA(gamma), <double*> cnp.PyArray_DATA(mean),
                         <double*> cnp.PyArray_DATA(var), eps, x.shape[0], x.shape[1], <double*> cnp.PyArray_DATA(dx),
                         <double*> cnp.PyArray_DATA(dgamma), <double*> cnp.PyArray_DATA(dbeta), n_threads)


cdef int statistics(const real* x, ptrdiff_t m, ptrdiff_t d, real* mean, real* var, int n_threads) except -1:
    """Two passes: the mean, then the mean square of what is left of it."""
    cdef ptrdiff_t tasks = parts(m, SUM_ROWS), task
    cdef Scratch scratch = new_scratch((tasks + 1) * d * sizeof(double))
    cdef double* sums = <double*> scratch.memory
    cdef float_mode mode = 0
    if m * d < SERIAL_SIZE:
        n_threads = 1
    with nogil, parallel(num_threads=n_threads):
        mode = flush_denormals()
        for task in prange(tasks, schedule="static"):
            sum_rows(x + task * SUM_ROWS * d, min(SUM_ROWS, m - task * SUM_ROWS), d, sums + task * d)
        restore_mode(mode)
    average(sums, tasks, m, d, sums + tasks * d, mean)
    with nogil, parallel(num_threads=n_threads):
        mode = flush_denormals()
        for task in prange(tasks, schedule="static"):
            sum_squares(x + task * SUM_ROWS * d, mean, min(SUM_ROWS, m - task * SUM_ROWS), d, sums + task * d)
        restore_mode(mode)
    average(sums, tasks, m, d, sums + tasks * d, var)
    free_scratch(scratch)
    return 0


cdef void sum_squares(const real* x, const real* mean, ptrdiff_t m, ptrdiff_t d, double* total) noexcept nogil:
    cdef ptrdiff_t i, j
    memset(total, 0, d * sizeof(double))
    for i in range(m):
        for j in range(d):
            total[j] += <double> (x[i * d + j] - mean[j]) * (x[i * d + j] - mean[j])


cdef void average(const double* sums, ptrdiff_t tasks, ptrdiff_t m, ptrdiff_t d, double* total,
                  real* result) noexcept nogil:
    cdef ptrdiff_t j
    sum_rows[double](sums, tasks, d, total)
    for j in range(d):
        result[j] = <real> (total[j] / max(m, 1))


cdef int normalize(const real* x, const real* gamma, const real* beta, const real* mean, const real* var, double eps,
                   ptrdiff_t m, ptrdiff_t d, real* out, int n_threads) except -1:
    cdef Scratch scratch = new_scratch(d * sizeof(real))
    cdef real* scale = <real*> scratch.memory
    cdef ptrdiff_t i, j
    cdef float_mode mode = 0
    if m * d < SERIAL_SIZE:
        n_threads = 1
    for j in range(d):
        scale[j] = gamma[j] / <real> sqrt(var[j] + eps)
    with nogil, parallel(num_threads=n_threads):
        mode = flush_denormals()
        for i in prange(m, schedule="static"):
            for j in range(d):
                out[i * d + j] = (x[i * d + j] - mean[j]) * scale[j] + beta[j]
        restore_mode(mode)
    free_scratch(scratch)
    return 0


cdef int gradient(const real* dout, const real* x, const real* gamma, const real* mean, const real* var, double eps,
                  ptrdiff_t m, ptrdiff_t d, real* dx, real* dgamma, real* dbeta, int n_threads) except -1:
    cdef ptrdiff_t tasks = parts(m, SUM_ROWS), task, i, j
    cdef Scratch scratch = new_scratch((2 * tasks + 3) * d * sizeof(double))
    cdef double* sums = <double*> scratch.memory        # [tasks][d] of dout
    cdef double* products = sums + tasks * d            # [tasks][d] of dout * (x - mean)
    cdef double* total = products + tasks * d           # [2][d]
    cdef real* inverse = <real*> (total + 2 * d)        # 1 / std
    cdef float_mode mode = 0
    if m * d < SERIAL_SIZE:
        n_threads = 1
    with nogil, parallel(num_threads=n_threads):
        mode = flush_denormals()
        for task in prange(tasks, schedule="static"):
            sum_rows(dout + task * SUM_ROWS * d, min(SUM_ROWS, m - task * SUM_ROWS), d, sums + task * d)
            sum_products(dout + task * SUM_ROWS * d, x + task * SUM_ROWS * d, mean, min(SUM_ROWS, m - task * SUM_ROWS), d,
                         products + task * d)
        restore_mode(mode)
    sum_rows[double](sums, tasks, d, total)
    sum_rows[double](products, tasks, d, total + d)
    for j in range(d):
        inverse[j] = <real> (1 / sqrt(var[j] + eps))
        dbeta[j] = <real> total[j]
        dgamma[j] = <real> (total[d + j] * inverse[j])
    with nogil, parallel(num_threads=n_threads):
        mode = flush_denormals()
        for i in prange(m, schedule="static"):
            for j in range(d):
                dx[i * d + j] = gamma[j] * inverse[j] * (
                    dout[i * d + j] - (dbeta[j] + (x[i * d + j] - mean[j]) * inverse[j] * dgamma[j]) / <real> m)
        restore_mode(mode)
    free_scratch(scratch)
    return 0


cdef void sum_products(const real* dout, const real* x, const real* mean, ptrdiff_t m, ptrdiff_t d,
                       double* total) noexcept nogil:
    cdef ptrdiff_t i, j
    memset(total, 0, d * sizeof(double))
    for i in range(m):
        for j in range(d):
            total[j] += <double> dout[i * d + j] * (x[i * d + j] - mean[j])
