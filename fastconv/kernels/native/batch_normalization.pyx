"""Batch normalisation (Ioffe, Szegedy, arXiv:1502.03167) over the columns of a matrix (M,D): D features of M samples,
or D channels of M = N*H*W pixels. The NumPy twin is ../reference/batch_normalization.py.

Column sums are taken in double, over parts of SUM_ROWS rows, then over the parts in order: the same bits on any number
of threads, and no digits lost where the data have an offset.
"""
from libc.math cimport sqrt
from libc.stddef cimport ptrdiff_t
from libc.string cimport memset

cimport numpy as cnp

from .common cimport (SERIAL_SIZE, SUM_ROWS, Scratch, free_scratch, is_float, new_scratch, parts, real, sum_rows,
                      task_rows)
from .pool cimport parallel_for

cnp.import_array()

__all__ = ["batch_normalization_forward", "batch_normalization_inference", "batch_normalization_backward"]

cdef struct Batch:
    ptrdiff_t m
    ptrdiff_t d
    ptrdiff_t parts
    ptrdiff_t rows         # per task where nothing is summed
    int n_threads
    bint single
    double eps
    void* x                # (M,D), like dout, out and dx; the others are (D,)
    void* gamma
    void* beta
    void* mean
    void* var
    void* out
    void* dout
    void* dx
    void* dgamma
    void* dbeta
    void* scale            # gamma/std forward, 1/std backward
    double* sums           # [parts][d] of x or dout
    double* products       # [parts][d] of dout * (x - mean)


def batch_normalization_forward(cnp.ndarray x, cnp.ndarray gamma, cnp.ndarray beta, double eps, cnp.ndarray out,
                                cnp.ndarray mean, cnp.ndarray var, int n_threads):
    """Write the batch's mean and biased variance (D,) and out = gamma*(x - mean)/sqrt(var + eps) + beta (M,D)."""
    cdef Batch s = batch(x, gamma, mean, var, eps, n_threads)
    if s.single:
        statistics[float](&s, <float*> s.mean, <float*> s.var)
    else:
        statistics[double](&s, <double*> s.mean, <double*> s.var)
    batch_normalization_inference(x, gamma, beta, mean, var, eps, out, n_threads)


def batch_normalization_inference(cnp.ndarray x, cnp.ndarray gamma, cnp.ndarray beta, cnp.ndarray mean, cnp.ndarray var,
                                  double eps, cnp.ndarray out, int n_threads):
    """out = gamma*(x - mean)/sqrt(var + eps) + beta with given statistics."""
    cdef Batch s = batch(x, gamma, mean, var, eps, n_threads)
    s.beta, s.out = cnp.PyArray_DATA(beta), cnp.PyArray_DATA(out)
    if s.single:
        normalize[float](&s, <float*> s.gamma, <float*> s.var)
    else:
        normalize[double](&s, <double*> s.gamma, <double*> s.var)


def batch_normalization_backward(cnp.ndarray dout, cnp.ndarray x, cnp.ndarray gamma, cnp.ndarray mean, cnp.ndarray var,
                                 double eps, cnp.ndarray dx, cnp.ndarray dgamma, cnp.ndarray dbeta, int n_threads):
    """With xn = (x - mean)/std: dbeta = sum dout, dgamma = sum dout*xn,
    dx = gamma/std * (dout - dbeta/M - xn*dgamma/M)."""
    cdef Batch s = batch(x, gamma, mean, var, eps, n_threads)
    s.dout, s.dx = cnp.PyArray_DATA(dout), cnp.PyArray_DATA(dx)
    s.dgamma, s.dbeta = cnp.PyArray_DATA(dgamma), cnp.PyArray_DATA(dbeta)
    if s.single:
        gradient[float](&s, <float*> s.var, <float*> s.dgamma, <float*> s.dbeta)
    else:
        gradient[double](&s, <double*> s.var, <double*> s.dgamma, <double*> s.dbeta)


cdef Batch batch(cnp.ndarray x, cnp.ndarray gamma, cnp.ndarray mean, cnp.ndarray var, double eps, int n_threads):
    cdef Batch s
    s.m, s.d, s.single, s.eps = x.shape[0], x.shape[1], is_float(x), eps
    s.parts, s.rows = parts(s.m, SUM_ROWS), task_rows(s.d)
    s.n_threads = 1 if s.m * s.d < SERIAL_SIZE else n_threads
    s.x, s.gamma = cnp.PyArray_DATA(x), cnp.PyArray_DATA(gamma)
    s.mean, s.var = cnp.PyArray_DATA(mean), cnp.PyArray_DATA(var)
    return s


cdef int statistics(Batch* s, real* mean, real* var) except -1:
    """Two passes: the mean, then the mean square of what is left of it."""
    cdef Scratch scratch = new_scratch((s.parts + 1) * s.d * sizeof(double))
    s.sums = <double*> scratch.memory
    with nogil:
        parallel_for(s.n_threads, s.parts, sum_part, s)
        average(s, mean)
        parallel_for(s.n_threads, s.parts, square_part, s)
        average(s, var)
    free_scratch(&scratch)
    return 0


cdef void average(const Batch* s, real* result) noexcept nogil:
    cdef double* total = s.sums + s.parts * s.d
    cdef ptrdiff_t j
    sum_rows[double](s.sums, s.parts, s.d, total)
    for j in range(s.d):
        result[j] = <real> (total[j] / max(s.m, 1))


cdef int normalize(Batch* s, const real* gamma, const real* var) except -1:
    cdef Scratch scratch = new_scratch(s.d * sizeof(real))
    cdef real* scale = <real*> scratch.memory
    cdef ptrdiff_t j
    s.scale = scale
    for j in range(s.d):
        scale[j] = gamma[j] / <real> sqrt(var[j] + s.eps)
    with nogil:
        parallel_for(s.n_threads, parts(s.m, s.rows), normalize_task, s)
    free_scratch(&scratch)
    return 0


cdef int gradient(Batch* s, const real* var, real* dgamma, real* dbeta) except -1:
    cdef Scratch scratch = new_scratch((2 * s.parts + 3) * s.d * sizeof(double))
    cdef double* total                                  # [2][d]
    cdef real* inverse
    cdef ptrdiff_t j
    s.sums = <double*> scratch.memory
    s.products = s.sums + s.parts * s.d
    total = s.products + s.parts * s.d
    inverse = <real*> (total + 2 * s.d)
    s.scale = inverse
    with nogil:
        parallel_for(s.n_threads, s.parts, product_part, s)
        sum_rows[double](s.sums, s.parts, s.d, total)
        sum_rows[double](s.products, s.parts, s.d, total + s.d)
        for j in range(s.d):
            inverse[j] = <real> (1 / sqrt(var[j] + s.eps))
            dbeta[j] = <real> total[j]
            dgamma[j] = <real> (total[s.d + j] * inverse[j])
        parallel_for(s.n_threads, parts(s.m, s.rows), gradient_task, s)
    free_scratch(&scratch)
    return 0


cdef void sum_part(void* context, ptrdiff_t part, int worker) noexcept nogil:
    cdef const Batch* s = <Batch*> context
    cdef ptrdiff_t at = part * SUM_ROWS * s.d, m = min(SUM_ROWS, s.m - part * SUM_ROWS)
    if s.single:
        sum_rows(<float*> s.x + at, m, s.d, s.sums + part * s.d)
    else:
        sum_rows(<double*> s.x + at, m, s.d, s.sums + part * s.d)


cdef void square_part(void* context, ptrdiff_t part, int worker) noexcept nogil:
    cdef const Batch* s = <Batch*> context
    cdef ptrdiff_t at = part * SUM_ROWS * s.d, m = min(SUM_ROWS, s.m - part * SUM_ROWS)
    if s.single:
        sum_squares(<float*> s.x + at, <float*> s.mean, m, s.d, s.sums + part * s.d)
    else:
        sum_squares(<double*> s.x + at, <double*> s.mean, m, s.d, s.sums + part * s.d)


cdef void sum_squares(const real* x, const real* mean, ptrdiff_t m, ptrdiff_t d, double* total) noexcept nogil:
    cdef ptrdiff_t i, j
    memset(total, 0, d * sizeof(double))
    for i in range(m):
        for j in range(d):
            total[j] += <double> (x[i * d + j] - mean[j]) * (x[i * d + j] - mean[j])


cdef void product_part(void* context, ptrdiff_t part, int worker) noexcept nogil:
    cdef const Batch* s = <Batch*> context
    cdef ptrdiff_t at = part * SUM_ROWS * s.d, m = min(SUM_ROWS, s.m - part * SUM_ROWS)
    if s.single:
        sum_rows(<float*> s.dout + at, m, s.d, s.sums + part * s.d)
        sum_products(<float*> s.dout + at, <float*> s.x + at, <float*> s.mean, m, s.d, s.products + part * s.d)
    else:
        sum_rows(<double*> s.dout + at, m, s.d, s.sums + part * s.d)
        sum_products(<double*> s.dout + at, <double*> s.x + at, <double*> s.mean, m, s.d, s.products + part * s.d)


cdef void sum_products(const real* dout, const real* x, const real* mean, ptrdiff_t m, ptrdiff_t d,
                       double* total) noexcept nogil:
    cdef ptrdiff_t i, j
    memset(total, 0, d * sizeof(double))
    for i in range(m):
        for j in range(d):
            total[j] += <double> dout[i * d + j] * (x[i * d + j] - mean[j])


cdef void normalize_task(void* context, ptrdiff_t task, int worker) noexcept nogil:
    cdef const Batch* s = <Batch*> context
    cdef ptrdiff_t at = task * s.rows * s.d, m = min(s.rows, s.m - task * s.rows)
    if s.single:
        normalize_rows(<float*> s.x + at, <float*> s.mean, <float*> s.scale, <float*> s.beta, m, s.d,
                       <float*> s.out + at)
    else:
        normalize_rows(<double*> s.x + at, <double*> s.mean, <double*> s.scale, <double*> s.beta, m, s.d,
                       <double*> s.out + at)


cdef void normalize_rows(const real* x, const real* mean, const real* scale, const real* beta, ptrdiff_t m, ptrdiff_t d,
                         real* out) noexcept nogil:
    cdef ptrdiff_t i, j
    for i in range(m):
        for j in range(d):
            out[i * d + j] = (x[i * d + j] - mean[j]) * scale[j] + beta[j]


cdef void gradient_task(void* context, ptrdiff_t task, int worker) noexcept nogil:
    cdef const Batch* s = <Batch*> context
    cdef ptrdiff_t at = task * s.rows * s.d, m = min(s.rows, s.m - task * s.rows)
    if s.single:
        gradient_rows(s, <float*> s.dout + at, <float*> s.x + at, <float*> s.gamma, <float*> s.mean, <float*> s.scale,
                      <float*> s.dgamma, <float*> s.dbeta, m, <float*> s.dx + at)
    else:
        gradient_rows(s, <double*> s.dout + at, <double*> s.x + at, <double*> s.gamma, <double*> s.mean,
                      <double*> s.scale, <double*> s.dgamma, <double*> s.dbeta, m, <double*> s.dx + at)


cdef void gradient_rows(const Batch* s, const real* dout, const real* x, const real* gamma, const real* mean,
                        const real* inverse, const real* dgamma, const real* dbeta, ptrdiff_t m,
                        real* dx) noexcept nogil:
    cdef ptrdiff_t i, j, d = s.d
    for i in range(m):
        for j in range(d):
            dx[i * d + j] = gamma[j] * inverse[j] * (
                dout[i * d + j] - (dbeta[j] + (x[i * d + j] - mean[j]) * inverse[j] * dgamma[j]) / <real> s.m)
