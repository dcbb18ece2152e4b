"""ReLU and 2x2 max pooling at once (relu_pool.h)."""
from libc.stddef cimport ptrdiff_t

from .common cimport real

cdef extern from "relu_pool.h" nogil:
    void relu_pool_float(const float* a, const float* b, const float* c, const float* d, ptrdiff_t channels, float* out,
                         unsigned char* winner)
    void relu_pool_double(const double* a, const double* b, const double* c, const double* d, ptrdiff_t channels,
                          double* out, unsigned char* winner)
    void relu_unpool_float(const float* dout, const unsigned char* winner, ptrdiff_t channels, float* a, float* b, float* c,
                           float* d)
    void relu_unpool_double(const double* dout, const unsigned char* winner, ptrdiff_t channels, double* a, double* b,
                            double* c, double* d)


cdef inline void relu_pool_rows(const real* top, const real* bottom, ptrdiff_t windows, ptrdiff_t channels, real* out,
                                unsigned char* winner) noexcept nogil:
    """Pool two rows of pixels to one."""
    cdef ptrdiff_t w, at
    for w in range(windows):
        at = 2 * w * channels
        if real is float:
            relu_pool_float(top + at, top + at + channels, bottom + at, bottom + at + channels, channels,
                            out + w * channels, winner + w * channels)
        else:
            relu_pool_double(top + at, top + at + channels, bottom + at, bottom + at + channels, channels,
                             out + w * channels, winner + w * channels)


cdef inline void relu_unpool_rows(const real* dout, const unsigned char* winner, ptrdiff_t windows, ptrdiff_t channels,
                                  real* top, real* bottom) noexcept nogil:
    """Spread one row of pooled gradients over two."""
    cdef ptrdiff_t w, at
    for w in range(windows):
        at = 2 * w * channels
        if real is float:
            relu_unpool_float(dout + w * channels, winner + w * channels, channels, top + at, top + at + channels,
                              bottom + at, bottom + at + channels)
        else:
            relu_unpool_double(dout + w * channels, winner + w * channels, channels, top + at, top + at + channels,
                               bottom + at, bottom + at + channels)
