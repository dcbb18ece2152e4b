"""Depthwise sweeps, one filter to each channel: a line of channels at a time, where the register tile would use one lane of it."""
from libc.stddef cimport ptrdiff_t
from libc.string cimport memset

from .common cimport TALL, depthwise_row, depthwise_taps, parts, real, sum_lines
from .sweep cimport Sweep, pitch

cdef enum:
    MOST_TAPS = 81


cdef inline bint is_depthwise(const Sweep* s) noexcept nogil:
    return s.group_channels == s.group_outputs == 1 and s.groups >= s.lanes and 0 < s.depth <= MOST_TAPS


cdef inline void depthwise_lines(const Sweep* s, const real* top, ptrdiff_t rows, const ptrdiff_t* offset, const real* packed,
                                 const real* bias, real* target, bint relu) noexcept nogil:
    """Compute a band for as many groups as a line has lanes; their weights [lane][tap] and biases [lane] are a line apart."""
    cdef real weight[MOST_TAPS * 16]     # [tap][lane]
    cdef real first[16]
    cdef ptrdiff_t t, f, h
    for f in range(s.lanes):
        first[f] = bias[f * s.lanes]
        for t in range(s.depth):
            weight[t * s.lanes + f] = packed[(f * s.depth + t) * s.lanes]
    for h in range(rows):
        depthwise_row(top + h * s.h.step * pitch(s), s.w.step * s.channels, offset, s.depth, <const real*> weight, <const real*> first,
                      relu, target + h * s.h.stride * s.out_row, s.w.stride * s.outputs, s.w.grid)


cdef inline void depthwise_gradient(const Sweep* s, const real* top, const real* dout, ptrdiff_t rows, const ptrdiff_t* entry,
                                    real* sums) noexcept nogil:
    """Add a band to the sums [lane][depth + 1] of as many groups as a line has lanes, which are a line apart."""
    cdef real part[9 * 16]               # [tap][lane]
    cdef ptrdiff_t offset[9]
    cdef ptrdiff_t block, first, t, f, h, used, size = (s.depth + 1) * s.lanes
    for block in range(parts(s.depth, TALL)):
        first = block * TALL
        used = min(TALL, s.depth - first)
        memset(part, 0, sizeof(part))
        for t in range(TALL):
            offset[t] = entry[first + min(t, used - 1)]
        for t in range(used):
            for f in range(s.lanes):
                part[t * s.lanes + f] = sums[f * size + (first + t) * s.lanes]
        for h in range(rows):
            depthwise_taps(top + h * s.h.step * pitch(s), s.w.step * s.channels, offset, dout + h * s.out_row, s.outputs, s.w.grid,
                           part)
        for t in range(used):
            for f in range(s.lanes):
                sums[f * size + (first + t) * s.lanes] = part[t * s.lanes + f]
    memset(part, 0, sizeof(part))
    for h in range(rows):
        sum_lines(dout + h * s.out_row, s.outputs, s.w.grid, part)
    for f in range(s.lanes):
        sums[f * size + s.depth * s.lanes] += part[f]
