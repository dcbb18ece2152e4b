"""Local response normalization of one pixel (../reference/lrn.py), and its gradient.

The values that a window adds up lie in a row with zeros at both ends, so that every window is whole:

    0 0 v v v v v v v 0 0       n = 5: two channels before, two after
    [---------]
      [---------]
"""
from libc.math cimport pow, sqrt
from libc.stddef cimport ptrdiff_t
from libc.string cimport memset

from .common cimport LINE_BYTES, real, up_to

cdef extern from "<math.h>" nogil:
    float powf(float, float)
    float sqrtf(float)

cdef struct Response:
    ptrdiff_t c
    ptrdiff_t before   # channels of a window before its own
    ptrdiff_t after    # and after it
    double k
    double share       # alpha / n
    double beta


cdef inline Response response(ptrdiff_t c, ptrdiff_t n, double k, double alpha, double beta) noexcept nogil:
    cdef Response r
    r.c, r.before, r.after = c, min(n // 2, c), min((n - 1) // 2, c)
    r.k, r.share, r.beta = k, alpha / n, beta
    return r


cdef inline ptrdiff_t response_bytes(const Response* r) noexcept nogil:
    """Return the working space for one pixel, of doubles at most."""
    return 3 * up_to((r.c + r.before + r.after) * sizeof(double), LINE_BYTES)


cdef inline real root(real value) noexcept nogil:
    return sqrtf(value) if real is float else sqrt(value)


cdef inline real power(real value, real exponent) noexcept nogil:
    return powf(value, exponent) if real is float else pow(value, exponent)


cdef inline void normalize_responses(const Response* r, const real* x, real* scratch, real* out) noexcept nogil:
    """out = x / scale^beta."""
    cdef real* scale = scratch + r.c + r.before + r.after
    cdef real beta = <real> r.beta
    cdef ptrdiff_t c
    scales(r, x, scratch, scale)
    if r.beta == 0.75:
        for c in range(r.c):
            out[c] = x[c] / (root(scale[c]) * root(root(scale[c])))
    else:
        for c in range(r.c):
            out[c] = x[c] / power(scale[c], beta)


cdef inline void response_gradient(const Response* r, const real* dout, const real* x, real* scratch,
                                   real* dx) noexcept nogil:
    """dx = dout/scale^beta - 2*share*beta * x * sum(dout*x/scale^(beta+1)), over the channels whose windows hold x."""
    cdef real* scale = scratch + r.c + r.before + r.after
    cdef real* ratio = scratch + r.after   # the windows of a sum over windows are the other way round
    cdef real* sums = scale + r.c
    cdef real beta = <real> r.beta, factor = <real> (2 * r.share * r.beta)
    cdef ptrdiff_t c
    scales(r, x, scratch, scale)
    if r.beta == 0.75:
        for c in range(r.c):
            dx[c] = dout[c] / (root(scale[c]) * root(root(scale[c])))
    else:
        for c in range(r.c):
            dx[c] = dout[c] / power(scale[c], beta)
    clear_ends(scratch, r.after, r.c, r.before)
    for c in range(r.c):
        ratio[c] = dx[c] * x[c] / scale[c]
    window_sums(scratch, r.c, r.before + r.after, sums)
    for c in range(r.c):
        dx[c] -= factor * x[c] * sums[c]


cdef inline void scales(const Response* r, const real* x, real* squares, real* scale) noexcept nogil:
    """scale = k + share * sum(x^2) over the window of each channel."""
    cdef real k = <real> r.k, share = <real> r.share
    cdef ptrdiff_t c
    clear_ends(squares, r.before, r.c, r.after)
    for c in range(r.c):
        squares[r.before + c] = x[c] * x[c]
    window_sums(squares, r.c, r.before + r.after, scale)
    for c in range(r.c):
        scale[c] = k + share * scale[c]


cdef inline void clear_ends(real* row, ptrdiff_t before, ptrdiff_t count, ptrdiff_t after) noexcept nogil:
    memset(row, 0, before * sizeof(real))
    memset(row + before + count, 0, after * sizeof(real))


cdef inline void window_sums(const real* row, ptrdiff_t count, ptrdiff_t more, real* sums) noexcept nogil:
    """sums[c] = row[c] + ... + row[c + more]; the window of five that the networks have goes in one loop."""
    cdef ptrdiff_t c, i
    if more == 4:
        for c in range(count):
            sums[c] = row[c] + row[c + 1] + row[c + 2] + row[c + 3] + row[c + 4]
        return
    for c in range(count):
        sums[c] = row[c]
    for i in range(1, more + 1):
        for c in range(count):
            sums[c] += row[c + i]
