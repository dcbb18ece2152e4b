"""Parameter updates in one pass over memory, in place. The NumPy twin is ../reference/optimizer.py."""
from cython.parallel cimport parallel, prange
from libc.math cimport sqrt
from libc.stddef cimport ptrdiff_t

cimport numpy as cnp

from .common cimport SERIAL_SIZE, float_mode, flush_denormals, is_float, parts, real, restore_mode

cnp.import_array()

__all__ = ["sgd_update", "momentum_update", "nesterov_update", "adagrad_update", "rmsprop_update", "adam_update"]

cdef extern from "<math.h>" nogil:
    float sqrtf(float)

cdef enum:
    CHUNK = 1 << 13     # elements per task

cdef double EPSILON = 1e-7

# one chunk of a rule: a, b, c are its hyperparameters, p the parameter, u and v its state
ctypedef void (*float_rule)(const float* g, float a, float b, float c, ptrdiff_t size, float* p, float* u,
                            float* v) noexcept nogil
ctypedef void (*double_rule)(const double* g, double a, double b, double c, ptrdiff_t size, double* p, double* u,
                             double* v) noexcept nogil


def sgd_update(cnp.ndarray grad, double lr, cnp.ndarray param, int n_threads):
    """param -= lr * grad."""
    run(grad, lr, 0, 0, param, param, param, sgd[float], sgd[double], n_threads)


def momentum_update(cnp.ndarray grad, double lr, double momentum, cnp.ndarray param, cnp.ndarray v, int n_threads):
    """v = momentum*v - lr*grad; param += v (Polyak 1964)."""
    run(grad, lr, momentum, 0, param, v, v, heavy_ball[float], heavy_ball[double], n_threads)


def nesterov_update(cnp.ndarray grad, double lr, double momentum, cnp.ndarray param, cnp.ndarray v, int n_threads):
    """param += momentum^2 * v - (1 + momentum)*lr*grad; v = momentum*v - lr*grad (Bengio et al., arXiv:1212.0901)."""
    run(grad, lr, momentum, 0, param, v, v, nesterov[float], nesterov[double], n_threads)


def adagrad_update(cnp.ndarray grad, double lr, cnp.ndarray param, cnp.ndarray h, int n_threads):
    """h += grad^2; param -= lr*grad / (sqrt(h) + 1e-7) (Duchi et al., JMLR 12, 2011)."""
    run(grad, lr, 1, 1, param, h, h, scaled[float], scaled[double], n_threads)


def rmsprop_update(cnp.ndarray grad, double lr, double decay_rate, cnp.ndarray param, cnp.ndarray h, int n_threads):
    """h = decay_rate*h + (1 - decay_rate)*grad^2; param -= lr*grad / (sqrt(h) + 1e-7) (Tieleman, Hinton 2012)."""
    run(grad, lr, decay_rate, 1 - decay_rate, param, h, h, scaled[float], scaled[double], n_threads)


def adam_update(cnp.ndarray grad, double lr_t, double beta1, double beta2, cnp.ndarray param, cnp.ndarray m,
                cnp.ndarray v, int n_threads):
    """m += (1 - beta1)*(grad - m); v += (1 - beta2)*(grad^2 - v); param -= lr_t*m / (sqrt(v) + 1e-7)
    (Kingma, Ba, ICLR 2015; lr_t holds the bias correction)."""
    run(grad, lr_t, 1 - beta1, 1 - beta2, param, m, v, adam[float], adam[double], n_threads)


cdef run(cnp.ndarray grad, double a, double b, double c, cnp.ndarray param, cnp.ndarray first_state,
         cnp.ndarray second_state, float_rule of_float, double_rule of_double, int n_threads):
    cdef ptrdiff_t size = cnp.PyArray_SIZE(param), task, at
    cdef bint single = is_float(param)
    cdef char* g = <char*> cnp.PyArray_DATA(grad)
    cdef char* p = <char*> cnp.PyArray_DATA(param)
    cdef char* u = <char*> cnp.PyArray_DATA(first_state)
    cdef char* v = <char*> cnp.PyArray_DATA(second_state)
    cdef float_mode mode = 0
    if size < SERIAL_SIZE:
        n_threads = 1
    with nogil, parallel(num_threads=n_threads):
        mode = flush_denormals()
        for task in prange(parts(size, CHUNK), schedule="static"):
            at = task * CHUNK
            if single:
                of_float(<float*> g + at, a, b, c, min(CHUNK, size - at), <float*> p + at, <float*> u + at,
                         <float*> v + at)
            else:
                of_double(<double*> g + at, a, b, c, min(CHUNK, size - at), <double*> p + at, <double*> u + at,
                          <double*> v + at)
        restore_mode(mode)


cdef inline real root(real x) noexcept nogil:
    return sqrtf(x) if real is float else sqrt(x)


cdef void sgd(const real* g, real lr, real b, real c, ptrdiff_t size, real* p, real* u, real* v) noexcept nogil:
    cdef ptrdiff_t i
    for i in range(size):
        p[i] -= lr * g[i]


cdef void heavy_ball(const real* g, real lr, real momentum, real c, ptrdiff_t size, real* p, real* v,
                     real* same) noexcept nogil:
    cdef ptrdiff_t i
    for i in range(size):
        v[i] = momentum * v[i] - lr * g[i]
        p[i] += v[i]


cdef void nesterov(const real* g, real lr, real momentum, real c, ptrdiff_t size, real* p, real* v,
                   real* same) noexcept nogil:
    cdef ptrdiff_t i
    for i in range(size):
        p[i] += momentum * momentum * v[i] - (1 + momentum) * lr * g[i]
        v[i] = momentum * v[i] - lr * g[i]


cdef void scaled(const real* g, real lr, real decay, real gain, ptrdiff_t size, real* p, real* h,
                 real* same) noexcept nogil:
    cdef ptrdiff_t i
    for i in range(size):
        h[i] = decay * h[i] + gain * g[i] * g[i]
        p[i] -= lr * g[i] / (root(h[i]) + <real> EPSILON)


cdef void adam(const real* g, real lr, real gain1, real gain2, ptrdiff_t size, real* p, real* m,
               real* v) noexcept nogil:
    cdef ptrdiff_t i
    for i in range(size):
        m[i] += gain1 * (g[i] - m[i])
        v[i] += gain2 * (g[i] * g[i] - v[i])
        p[i] -= lr * m[i] / (root(v[i]) + <real> EPSILON)
