"""exp(x) in loops that the compiler vectorises."""
from .common cimport real

cdef extern from "exponential.h" nogil:
    float exp_float(float x)
    double exp_double(double x)


cdef inline real exponential(real x) noexcept nogil:
    if real is float:
        return exp_float(x)
    else:
        return exp_double(x)
