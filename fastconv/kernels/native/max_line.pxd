"""Max pooling's steps, and softmax's, for one line of values (max_line.h)."""
from .common cimport real

cdef extern from "max_line.h" nogil:
    void larger_float(const float* x, float* best)
    void larger_double(const double* x, double* best)
    void take_float(const float* x, const float* best, float* left, float* dx)
    void take_double(const double* x, const double* best, double* left, double* dx)


cdef inline void larger(const real* x, real* best) noexcept nogil:
    """best = max(best, x), nan wins."""
    if real is float:
        larger_float(x, best)
    else:
        larger_double(x, best)


cdef inline void take(const real* x, const real* best, real* left, real* dx) noexcept nogil:
    """Where x is best, dx takes what is left."""
    if real is float:
        take_float(x, best, left, dx)
    else:
        take_double(x, best, left, dx)
