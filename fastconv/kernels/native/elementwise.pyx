"""Activation functions, element by element, in chunks that each belong to one thread. The NumPy twin is
../reference/elementwise.py."""
from cython.parallel cimport parallel, prange
from libc.stddef cimport ptrdiff_t

cimport numpy as cnp

from .common cimport SERIAL_SIZE, float_mode, flush_denormals, is_float, parts, real, restore_mode
from .exponential cimport exponential

cnp.import_array()

__all__ = ["relu_forward", "relu_backward", "sigmoid_forward", "sigmoid_backward"]

cdef enum:
    CHUNK = 1 << 14     # elements per task

# what happens to one chunk: a and b are inputs (b may be unused), out is written
ctypedef void (*float_loop)(const float* a, const float* b, ptrdiff_t size, float* out) noexcept nogil
ctypedef void (*double_loop)(const double* a, const double* b, ptrdiff_t size, double* out) noexcept nogil


def relu_forward(cnp.ndarray x, cnp.ndarray out, int n_threads):
    """out = 0 where x <= 0, else x; nan passes."""
    run(x, x, out, relu[float], relu[double], n_threads)


def relu_backward(cnp.ndarray dout, cnp.ndarray out, cnp.ndarray dx, int n_threads):
    """dx = 0 where out <= 0, else dout; out is what relu_forward wrote."""
    run(dout, out, dx, relu_gradient[float], relu_gradient[double], n_threads)


def sigmoid_forward(cnp.ndarray x, cnp.ndarray out, int n_threads):
    """out = 1 / (1 + exp(-x))."""
    run(x, x, out, sigmoid[float], sigmoid[double], n_threads)


def sigmoid_backward(cnp.ndarray dout, cnp.ndarray out, cnp.ndarray dx, int n_threads):
    """dx = dout * (1 - out) * out; out is what sigmoid_forward wrote."""
    run(dout, out, dx, sigmoid_gradient[float], sigmoid_gradient[double], n_threads)


cdef run(cnp.ndarray a, cnp.ndarray b, cnp.ndarray out, float_loop of_float, double_loop of_double, int n_threads):
    cdef ptrdiff_t size = cnp.PyArray_SIZE(a), task, first
    cdef bint single = is_float(a)
    cdef char* pa = <char*> cnp.PyArray_DATA(a)
    cdef char* pb = <char*> cnp.PyArray_DATA(b)
    cdef char* po = <char*> cnp.PyArray_DATA(out)
    cdef float_mode mode = 0
    if size < SERIAL_SIZE:
        n_threads = 1
    with nogil, parallel(num_threads=n_threads):
        mode = flush_denormals()
        for task in prange(parts(size, CHUNK), schedule="static"):
            first = task * CHUNK
            if single:
                of_float(<float*> pa + first, <float*> pb + first, min(CHUNK, size - first), <float*> po + first)
            else:
                of_double(<double*> pa + first, <double*> pb + first, min(CHUNK, size - first), <double*> po + first)
        restore_mode(mode)


cdef void relu(const real* x, const real* unused, ptrdiff_t size, real* out) noexcept nogil:
    cdef ptrdiff_t i
    for i in range(size):
        out[i] = 0 if x[i] <= 0 else x[i]


cdef void relu_gradient(const real* dout, const real* out, ptrdiff_t size, real* dx) noexcept nogil:
    cdef ptrdiff_t i
    for i in range(size):
        dx[i] = 0 if out[i] <= 0 else dout[i]


cdef void sigmoid(const real* x, const real* unused, ptrdiff_t size, real* out) noexcept nogil:
    cdef ptrdiff_t i
    for i in range(size):
        out[i] = 1 / (1 + exponential(-x[i]))


cdef void sigmoid_gradient(const real* dout, const real* out, ptrdiff_t size, real* dx) noexcept nogil:
    cdef ptrdiff_t i
    for i in range(size):
        dx[i] = dout[i] * (1 - out[i]) * out[i]
