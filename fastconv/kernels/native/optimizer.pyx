"""Parameter updates in one pass over memory, in place. The NumPy twin is ../reference/optimizer.py."""
from libc.math cimport sqrt
from libc.stddef cimport ptrdiff_t

cimport numpy as cnp

from .common cimport SERIAL_SIZE, is_float, parts, real
from .pool cimport parallel_for

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

cdef struct Update:
    ptrdiff_t size
    bint single
    float_rule of_float
    double_rule of_double
    double a
    double b
    double c
    void* g
    void* p
    void* u
    void* v


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
    cdef Update s
    s.size, s.single, s.of_float, s.of_double = cnp.PyArray_SIZE(param), is_float(param), of_float, of_double
    s.a, s.b, s.c = a, b, c
    s.g, s.p = cnp.PyArray_DATA(grad), cnp.PyArray_DATA(param)
    s.u, s.v = cnp.PyArray_DATA(first_state), cnp.PyArray_DATA(second_state)
    with nogil:
        parallel_for(1 if s.size < SERIAL_SIZE else n_threads, parts(s.size, CHUNK), run_chunk, &s)


cdef void run_chunk(void* context, ptrdiff_t task, int worker) noexcept nogil:
    cdef const Update* s = <Update*> context
    cdef ptrdiff_t at = task * CHUNK, size = min(CHUNK, s.size - at)
    if s.single:
        s.of_float(<float*> s.g + at, s.a, s.b, s.c, size, <float*> s.p + at, <float*> s.u + at, <float*> s.v + at)
    else:
        s.of_double(<double*> s.g + at, s.a, s.b, s.c, size, <double*> s.p + at, <double*> s.u + at, <double*> s.v + at)


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
