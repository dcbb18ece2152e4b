"""The geometry of a sweep: the register tile visits every result pixel and sums over the taps below it.

A forward convolution is one sweep. Its data gradient is one sweep per stride phase (result pixels i, i + stride, ...
of dx see the same filter taps), each a stride-1 convolution of dout. Source, kernel and result along one axis:

    source   . . o o o o o o o o . .      o pixels, . padding (zeros)
    taps         ^   ^   ^                at, at + at_step, ... below result pixel 0
                   ^   ^   ^              moved by step for result pixel 1
"""
from libc.stddef cimport ptrdiff_t
from libc.string cimport memcpy, memset

from .common cimport parts, real


cdef enum:
    BAND_BYTES = 1 << 18      # of source rows that should stay in L2

cdef struct Axis:
    ptrdiff_t source      # pixels of the source
    ptrdiff_t size        # pixels of the output
    ptrdiff_t grid        # result pixels of this sweep
    ptrdiff_t step        # source pixels from one result pixel to the next
    ptrdiff_t first       # where result pixel 0 stands in the output
    ptrdiff_t stride      # output pixels from one result pixel to the next
    ptrdiff_t taps
    ptrdiff_t at          # source pixel below tap 0 of result pixel 0; negative in the padding
    ptrdiff_t at_step     # source pixels between taps
    ptrdiff_t index       # filter index of tap 0
    ptrdiff_t index_step  # filter indices between taps

cdef struct Sweep:
    Axis h
    Axis w
    ptrdiff_t channels        # of a source pixel, all groups
    ptrdiff_t outputs         # of an output pixel, all groups
    ptrdiff_t groups
    ptrdiff_t group_channels
    ptrdiff_t group_outputs
    ptrdiff_t lanes           # outputs per line
    ptrdiff_t blocks          # lines per group
    ptrdiff_t runs            # of evenly spaced source values below a result pixel
    ptrdiff_t length          # values per run
    ptrdiff_t depth           # runs * length: products per result
    ptrdiff_t band_h          # source rows below `rows` grid rows are rows*step + band_h
    ptrdiff_t band_w          # source columns below a grid row
    ptrdiff_t source_row      # elements from one source row to the next
    ptrdiff_t source_image    # and from one image to the next
    ptrdiff_t out_row         # the same of the output
    ptrdiff_t out_image
    ptrdiff_t before          # pixels of zeros around the source, above and to the left, that may be read
    ptrdiff_t after           # and below and to the right
    bint room                 # the output's memory goes on to the next multiple of four rows and columns
    bint padded               # some taps fall outside the source and its zeros
    ptrdiff_t rows            # grid rows per task
    ptrdiff_t bands           # tasks per image


cdef inline Axis forward_axis(ptrdiff_t source, ptrdiff_t filter_size, ptrdiff_t stride, ptrdiff_t pad,
                              ptrdiff_t dilation, ptrdiff_t out) noexcept nogil:
    """Return the axis of a forward convolution: o*stride + t*dilation - pad."""
    cdef Axis a
    a.source, a.size, a.grid, a.step, a.first, a.stride = source, out, out, stride, 0, 1
    a.taps, a.at, a.at_step, a.index, a.index_step = filter_size, -pad, dilation, 0, 1
    return a


cdef inline Axis phase_axis(ptrdiff_t source, ptrdiff_t filter_size, ptrdiff_t stride, ptrdiff_t pad,
                            ptrdiff_t dilation, ptrdiff_t size, ptrdiff_t phase) noexcept nogil:
    """Return the axis of one stride phase of a data gradient.

    dx[i] sums dout[o] * filter[t] over all i + pad = o*stride + t*dilation; for i = phase + g*stride the taps t are those
    with (phase + pad - t*dilation) divisible by stride, and o = g + (phase + pad - t*dilation)/stride.
    """
    cdef Axis a
    cdef ptrdiff_t t
    a.source, a.size, a.grid, a.step = source, size, parts(size - phase, stride) if size > phase else 0, 1
    a.first, a.stride = phase, stride
    a.taps, a.at, a.at_step, a.index, a.index_step = 0, 0, 1, 0, 1
    for t in range(filter_size - 1, -1, -1):
        if (phase + pad - t * dilation) % stride != 0:
            continue
        if a.taps == 0:
            a.index, a.at = t, (phase + pad - t * dilation) // stride
        elif a.taps == 1:
            a.index_step = t - a.index
            a.at_step = (phase + pad - t * dilation) // stride - a.at
        a.taps += 1
    return a


cdef inline ptrdiff_t span(const Axis* a) noexcept nogil:
    """Return the source pixels from the first tap to the last."""
    return (a.taps - 1) * a.at_step + 1 if a.taps else 0


cdef inline bint needs_padding(const Axis* a, ptrdiff_t before, ptrdiff_t after) noexcept nogil:
    return a.at < -before or a.at + (a.grid - 1) * a.step + span(a) > a.source + after


cdef inline void dense_maps(Sweep* s) noexcept nogil:
    """Say that source and output have nothing around them."""
    s.source_row, s.out_row = s.w.source * s.channels, s.w.size * s.outputs
    s.source_image, s.out_image = s.h.source * s.source_row, s.h.size * s.out_row
    s.before, s.after, s.room = 0, 0, False


cdef inline void finish_sweep(Sweep* s, ptrdiff_t lanes) noexcept nogil:
    """Fill in what follows from the two axes, the channels, the groups and the maps."""
    s.group_channels, s.group_outputs = s.channels // s.groups, s.outputs // s.groups
    s.lanes, s.blocks = lanes, parts(s.group_outputs, lanes)
    if s.groups == 1 and (s.w.at_step == 1 or s.w.taps == 1):  # (tap, channel) is contiguous in NHWC memory
        s.runs, s.length = s.h.taps, s.w.taps * s.channels
    else:
        s.runs, s.length = s.h.taps * s.w.taps, s.group_channels
    s.depth = s.runs * s.length
    s.band_h = span(&s.h) - s.h.step
    s.band_w = (s.w.grid - 1) * s.w.step + span(&s.w)
    s.padded = s.depth > 0 and (needs_padding(&s.h, s.before, s.after) or needs_padding(&s.w, s.before, s.after))
    s.rows, s.bands = s.h.grid, 1


cdef inline void split_rows(Sweep* s, ptrdiff_t rows) noexcept nogil:
    """Cut the grid into bands of at most `rows` rows."""
    s.rows = max(1, min(rows, s.h.grid))
    s.bands = parts(s.h.grid, s.rows)


cdef inline void split_bands(Sweep* s, ptrdiff_t item) noexcept nogil:
    """Cut the grid into bands whose source rows, of elements of so many bytes, stay in L2."""
    split_rows(s, BAND_BYTES // (s.h.step * max(s.band_w, 1) * s.channels * item + 1))


cdef inline ptrdiff_t band_size(const Sweep* s) noexcept nogil:
    """Return the elements of a padded band."""
    return (s.rows * s.h.step + s.band_h) * s.band_w * s.channels if s.padded else 0


cdef inline ptrdiff_t pitch(const Sweep* s) noexcept nogil:
    """Return the elements from one source row to the next, as `band` lays them out."""
    return s.band_w * s.channels if s.padded else s.source_row


cdef inline void run_offsets(const Sweep* s, ptrdiff_t group, ptrdiff_t* offset) noexcept nogil:
    """Write the offset of each run from the pixel under tap (0, 0)."""
    cdef ptrdiff_t r, columns = s.runs // max(s.h.taps, 1)
    for r in range(s.runs):
        offset[r] = ((r // columns) * s.h.at_step * pitch(s) + (r % columns) * s.w.at_step * s.channels
                     + group * s.group_channels)


cdef inline const real* band(const Sweep* s, const real* source, ptrdiff_t n, ptrdiff_t row, ptrdiff_t rows,
                             real* buffer) noexcept nogil:
    """Return the source pixel under tap (0, 0) of result pixel (row, 0) of image n.

    Where taps reach into the padding, that is in `buffer`, a copy of the `rows` grid rows' source with its zeros.
    """
    cdef ptrdiff_t c = s.channels, top = row * s.h.step + s.h.at, left = s.w.at
    cdef const real* image = source + n * s.source_image
    if not s.padded:
        return image + top * s.source_row + left * c
    cdef ptrdiff_t i, first = min(max(-left, 0), s.band_w), last = max(min(s.w.source - left, s.band_w), first)
    cdef real* to = buffer
    for i in range(top, top + rows * s.h.step + s.band_h):
        if i < 0 or i >= s.h.source:
            memset(to, 0, s.band_w * c * sizeof(real))
        else:
            memset(to, 0, first * c * sizeof(real))
            memcpy(to + first * c, image + i * s.source_row + (left + first) * c, (last - first) * c * sizeof(real))
            memset(to + last * c, 0, (s.band_w - last) * c * sizeof(real))
        to += s.band_w * c
    return buffer
