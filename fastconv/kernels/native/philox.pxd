"""Dropout of any part of an array, by the counter-based generator of philox.h."""
from libc.stddef cimport ptrdiff_t
from libc.stdint cimport int64_t, uint64_t

cimport numpy as cnp

from .common cimport real

cdef extern from "philox.h" nogil:
    void philox_dropout_float(const float* x, uint64_t first, ptrdiff_t count, uint64_t key, int64_t threshold,
                              cnp.npy_bool* mask, float* out)
    void philox_dropout_double(const double* x, uint64_t first, ptrdiff_t count, uint64_t key, int64_t threshold,
                               cnp.npy_bool* mask, double* out)


cdef inline int64_t dropout_threshold(double ratio) noexcept nogil:
    """Return floor(ratio * 2**32), within -1, which every word exceeds, and 2**32 - 1, which none does (nor nan)."""
    if ratio < 0:
        return -1
    return <int64_t> (ratio * 4294967296.0) if ratio < 1 else 4294967295


cdef inline void dropout_range(const real* x, ptrdiff_t first, ptrdiff_t count, uint64_t key, int64_t threshold,
                               cnp.npy_bool* mask, real* out) noexcept nogil:
    """mask[i] = word first + i of the key's sequence > threshold; out[i] = x[i] * mask[i]; for i < count.

    `first` is the place of x[0] in the whole array: x, mask and out point at this part. out may be x.
    """
    if real is float:
        philox_dropout_float(x, first, count, key, threshold, mask, out)
    else:
        philox_dropout_double(x, first, count, key, threshold, mask, out)
