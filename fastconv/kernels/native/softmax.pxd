"""Softmax of one row of scores, and its cross-entropy."""
from libc.math cimport INFINITY, log
from libc.stddef cimport ptrdiff_t

from .common cimport LINE_BYTES, real
from .exponential cimport exponential
from .max_line cimport larger

cdef extern from "<math.h>" nogil:
    float logf(float)

cdef enum:
    LANES = 16          # values per line at most


cdef inline void softmax_row(const real* x, ptrdiff_t k, real* out) noexcept nogil:
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


cdef inline real cross_entropy(real probability) noexcept nogil:
    """Return -log(p + 1e-7): the book's guard against log(0)."""
    cdef real p = probability + <real> 1e-7
    return -(logf(p) if real is float else log(p))
