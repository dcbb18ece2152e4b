"""Softmax and cross-entropy over the rows of a matrix. The NumPy twin is ../reference/loss.py."""
from libc.stddef cimport ptrdiff_t

cimport numpy as cnp

from .common cimport SERIAL_SIZE, is_float, parts, real, task_rows
from .pool cimport parallel_for, work
from .softmax cimport cross_entropy, softmax_row

cnp.import_array()

__all__ = ["softmax_forward", "softmax_loss_forward", "softmax_loss_backward"]

cdef struct Rows:
    ptrdiff_t n
    ptrdiff_t k
    ptrdiff_t rows              # per task
    bint single
    void* x
    cnp.npy_int64* t
    void* out


def softmax_forward(cnp.ndarray x, cnp.ndarray out, int n_threads):
    """out[n] = exp(x[n] - max) / sum(exp(x[n] - max)); x, out (N,K)."""
    run(x, None, out, softmax_task, n_threads)


def softmax_loss_forward(cnp.ndarray x, cnp.ndarray t, cnp.ndarray y, cnp.ndarray loss, int n_threads):
    """y = softmax(x) (N,K); loss[n] = -log(y[n, t[n]] + 1e-7); t int64 (N,)."""
    softmax_forward(x, y, n_threads)
    if is_float(x):
        cross_entropies[float](<float*> cnp.PyArray_DATA(y), <cnp.npy_int64*> cnp.PyArray_DATA(t), y.shape[0], y.shape[1],
                               <float*> cnp.PyArray_DATA(loss))
    else:
        cross_entropies[double](<double*> cnp.PyArray_DATA(y), <cnp.npy_int64*> cnp.PyArray_DATA(t), y.shape[0],
                                y.shape[1], <double*> cnp.PyArray_DATA(loss))


def softmax_loss_backward(cnp.ndarray y, cnp.ndarray t, cnp.ndarray dx, int n_threads):
    """dx = (y - onehot(t)) / N."""
    run(y, t, dx, difference_task, n_threads)


cdef run(cnp.ndarray x, cnp.ndarray t, cnp.ndarray out, work task, int n_threads):
    cdef Rows s
    s.n, s.k, s.rows, s.single = x.shape[0], x.shape[1], task_rows(x.shape[1]), is_float(x)
    s.x, s.out = cnp.PyArray_DATA(x), cnp.PyArray_DATA(out)
    s.t = NULL if t is None else <cnp.npy_int64*> cnp.PyArray_DATA(t)
    with nogil:
        parallel_for(1 if s.n * s.k < SERIAL_SIZE else n_threads, parts(s.n, s.rows), task, &s)


cdef void softmax_task(void* context, ptrdiff_t task, int worker) noexcept nogil:
    cdef const Rows* s = <Rows*> context
    cdef ptrdiff_t row
    for row in range(task * s.rows, min(s.n, (task + 1) * s.rows)):
        if s.single:
            softmax_row(<float*> s.x + row * s.k, s.k, <float*> s.out + row * s.k)
        else:
            softmax_row(<double*> s.x + row * s.k, s.k, <double*> s.out + row * s.k)


cdef void cross_entropies(const real* y, const cnp.npy_int64* t, ptrdiff_t n, ptrdiff_t k, real* loss) noexcept nogil:
    cdef ptrdiff_t row
    for row in range(n):
        loss[row] = cross_entropy(y[row * k + t[row]])


cdef void difference_task(void* context, ptrdiff_t task, int worker) noexcept nogil:
    cdef const Rows* s = <Rows*> context
    cdef ptrdiff_t row
    for row in range(task * s.rows, min(s.n, (task + 1) * s.rows)):
        if s.single:
            difference(<float*> s.x + row * s.k, s.t[row], s.n, s.k, <float*> s.out + row * s.k)
        else:
            difference(<double*> s.x + row * s.k, s.t[row], s.n, s.k, <double*> s.out + row * s.k)


cdef void difference(const real* y, cnp.npy_int64 t, ptrdiff_t n, ptrdiff_t k, real* dx) noexcept nogil:
    cdef ptrdiff_t j
    for j in range(k):
        dx[j] = (y[j] - <real> (j == t)) / <real> n
