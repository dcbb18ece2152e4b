"""Max and average pooling of one row of windows, and the gradients of one image, on channels-last memory."""
from libc.stddef cimport ptrdiff_t
from libc.string cimport memcpy, memset

from .common cimport LINE_BYTES, largest_line, parts, real, sum_lines
from .max_line cimport larger, take

cdef struct Pool:       # one image
    ptrdiff_t h
    ptrdiff_t w
    ptrdiff_t c
    ptrdiff_t oh
    ptrdiff_t ow
    ptrdiff_t ph        # window
    ptrdiff_t pw
    ptrdiff_t sh        # stride
    ptrdiff_t sw
    ptrdiff_t top       # pad
    ptrdiff_t left
    ptrdiff_t x_row     # elements from one row of x to the next, of out likewise
    ptrdiff_t out_row
    ptrdiff_t dx_row    # of dx
    ptrdiff_t dout_row  # and dout, where a backward pass has x and out beside them

cdef struct Window:     # the part of a window inside the image
    ptrdiff_t h0
    ptrdiff_t h1
    ptrdiff_t w0
    ptrdiff_t w1


cdef inline Window inside(const Pool* s, ptrdiff_t oh, ptrdiff_t ow) noexcept nogil:
    cdef Window v
    v.h0, v.w0 = max(oh * s.sh - s.top, 0), max(ow * s.sw - s.left, 0)
    v.h1, v.w1 = min(oh * s.sh - s.top + s.ph, s.h), min(ow * s.sw - s.left + s.pw, s.w)
    return v


cdef inline ptrdiff_t area_of(const Pool* s, ptrdiff_t oh, ptrdiff_t ow) noexcept nogil:
    """Return how many pixels an average counts: padding, but nothing behind it."""
    return min(s.ph, s.h + 2 * s.top - oh * s.sh) * min(s.pw, s.w + 2 * s.left - ow * s.sw)


cdef inline void max_row(const Pool* s, const real* image, ptrdiff_t oh, real* out) noexcept nogil:
    cdef ptrdiff_t ow, line, h, w, lanes = LINE_BYTES // sizeof(real), used
    cdef const real* x
    cdef real best[16]
    cdef real some[16]
    cdef Window v
    memset(best, 0, sizeof(best))
    memset(some, 0, sizeof(some))
    for ow in range(s.ow):
        v = inside(s, oh, ow)
        for line in range(parts(s.c, lanes)):
            used = min(lanes, s.c - line * lanes)
            x = image + v.h0 * s.x_row + v.w0 * s.c + line * lanes
            if used == lanes:
                largest_line(x, s.x_row, s.c, v.h1 - v.h0, v.w1 - v.w0, out + line * lanes)
                continue
            copy(best, x, used)
            for h in range(v.h0, v.h1):
                for w in range(v.w0, v.w1):
                    copy(some, image + h * s.x_row + w * s.c + line * lanes, used)
                    larger(some, best)
            copy(out + line * lanes, best, used)
        out += s.c


cdef inline void copy(real* to, const real* source, ptrdiff_t used) noexcept nogil:
    """Copy a line or the first part of one; a size known to the compiler is one instruction, not a call."""
    if used * <ptrdiff_t> sizeof(real) == LINE_BYTES:
        memcpy(to, source, LINE_BYTES)
    else:
        memcpy(to, source, used * sizeof(real))


cdef inline void average_row(const Pool* s, const real* image, ptrdiff_t oh, real* out) noexcept nogil:
    cdef ptrdiff_t ow, line, h, w, c, lanes = LINE_BYTES // sizeof(real), used
    cdef const real* x
    cdef real total[16]
    cdef Window v
    cdef real area
    for ow in range(s.ow):
        v = inside(s, oh, ow)
        area = <real> area_of(s, oh, ow)
        for line in range(parts(s.c, lanes)):
            used = min(lanes, s.c - line * lanes)
            memset(total, 0, sizeof(total))
            for h in range(v.h0, v.h1):
                x = image + h * s.x_row + line * lanes
                if used == lanes:
                    sum_lines(x + v.w0 * s.c, s.c, v.w1 - v.w0, total)
                    continue
                for w in range(v.w0, v.w1):
                    for c in range(used):
                        total[c] += x[w * s.c + c]
            for c in range(lanes):
                total[c] /= area
            copy(out + line * lanes, total, used)
        out += s.c


cdef inline void clear(const Pool* s, real* dx, ptrdiff_t channels) noexcept nogil:
    cdef ptrdiff_t h, w
    for h in range(s.h):
        for w in range(s.w):
            memset(dx + h * s.dx_row + w * s.c, 0, channels * sizeof(real))


cdef inline void max_gradient(const Pool* s, const real* dout, const real* x, const real* out, real* dx,
                       ptrdiff_t channels) noexcept nogil:
    cdef ptrdiff_t oh, ow, line, h, w, at, to, lanes = LINE_BYTES // sizeof(real), used
    cdef real left[16]
    cdef real best[16]
    cdef real some[2][16]
    cdef Window v
    memset(left, 0, sizeof(left))
    memset(best, 0, sizeof(best))
    memset(some, 0, sizeof(some))
    for oh in range(s.oh):
        for ow in range(s.ow):
            v = inside(s, oh, ow)
            for line in range(parts(channels, lanes)):
                used = min(lanes, channels - line * lanes)
                copy(left, dout + oh * s.dout_row + ow * s.c + line * lanes, used)
                copy(best, out + oh * s.out_row + ow * s.c + line * lanes, used)
                for h in range(v.h0, v.h1):
                    for w in range(v.w0, v.w1):
                        at = h * s.x_row + w * s.c + line * lanes
                        to = h * s.dx_row + w * s.c + line * lanes
                        if used == lanes:
                            take(x + at, best, left, dx + to)
                        else:
                            copy(some[0], x + at, used)
                            copy(some[1], dx + to, used)
                            take(some[0], best, left, some[1])
                            copy(dx + to, some[1], used)


cdef inline void average_gradient(const Pool* s, const real* dout, real* dx, ptrdiff_t channels) noexcept nogil:
    cdef ptrdiff_t oh, ow, h, w, c, to
    cdef real area
    cdef Window v
    for oh in range(s.oh):
        for ow in range(s.ow):
            v = inside(s, oh, ow)
            area = <real> area_of(s, oh, ow)
            for h in range(v.h0, v.h1):
                for w in range(v.w0, v.w1):
                    to = h * s.dx_row + w * s.c
                    for c in range(channels):
                        dx[to + c] += dout[oh * s.dout_row + ow * s.c + c] / area
