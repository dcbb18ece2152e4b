"""Activation functions, element by element, in chunks that each belong to one thread. The NumPy twin is
../reference/elementwise.py."""
from libc.stddef cimport ptrdiff_t

cimport numpy as cnp

from .common cimport SERIAL_SIZE, is_float, parts, real
from .exponential cimport exponential
from .pool cimport parallel_for

cnp.import_array()

__all__ = ["relu_forward", "relu_backward", "sigmoid_forward", "sigmoid_backward"]

cdef enum:
    CHUNK = 1 << 14     # elements per task

# what happens to one chunk: a and b are inputs (b may be unused), out is written
ctypedef void (*float_loop)(const float* a, const float* b, ptrdiff_t size, float* out) noexcept nogil
ctypedef void (*double_loop)(const double* a, const double* b, ptrdiff_t size, double* out) noexcept nogil

cdef struct Elements:
    ptrdiff_t size
    bint single
    float_loop of_float
    double_loop of_double
    void* a
    void* b
    void* out


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
    cdef Elements s
    s.size, s.single, s.of_float, s.of_double = cnp.PyArray_SIZE(a), is_float(a), of_float, of_double
    s.a, s.b, s.out = cnp.PyArray_DATA(a), cnp.PyArray_DATA(b), cnp.PyArray_DATA(out)
    with nogil:
        parallel_for(1 if s.size < SERIAL_SIZE else n_threads, parts(s.size, CHUNK), run_chunk, &s)


cdef void run_chunk(void* context, ptrdiff_t task, int worker) noexcept nogil:
    cdef const Elements* s = <Elements*> context
    cdef ptrdiff_t at = task * CHUNK, size = min(CHUNK, s.size - at)
    if s.single:
        s.of_float(<float*> s.a + at, <float*> s.b + at, size, <float*> s.out + at)
    else:
        s.of_double(<double*> s.a + at, <double*> s.b + at, size, <double*> s.out + at)


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
