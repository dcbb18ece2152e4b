"""The gradient to the weights as it is defined: MR products (tap, channel) times a line of outputs stay in registers while
the sum runs over pixels."""
from libc.stddef cimport ptrdiff_t
from libc.string cimport memcpy, memset

from .common cimport LINE_BYTES, MAX_MR, MR, TALL, parts, real, sum_lines, tile, tile_tall
from .depthwise cimport depthwise_gradient, is_depthwise
from .sweep cimport Sweep, band, pitch

cdef enum:
    STRIP_BYTES = 7 << 12    # rows of a band, or of dout, that should stay in L1


cdef inline ptrdiff_t gradient_scratch(const Sweep* s) noexcept nogil:
    """Return the bytes that `gradient_lane` needs beside a padded band."""
    return s.rows * s.w.grid * LINE_BYTES + (s.depth + s.rows) * sizeof(ptrdiff_t)


cdef inline void gradient_lane(const Sweep* s, const real* x, const real* dout, ptrdiff_t first, ptrdiff_t last,
                        ptrdiff_t first_line, ptrdiff_t last_line, real* sums, char* private) noexcept nogil:
    """Add the bands [first, last) to the sums of the lines [first_line, last_line)."""
    cdef ptrdiff_t depth = s.depth, line_size = (depth + 1) * s.lanes
    cdef ptrdiff_t* entry = <ptrdiff_t*> private         # [depth] offset of each (tap, channel) from tap (0, 0)
    cdef ptrdiff_t* strip = entry + depth                # [rows] offset of each row of a strip from its first
    cdef real* pixels = <real*> (strip + s.rows)         # [rows][grid][lane outputs] of dout
    cdef real* buffer = pixels + s.rows * s.w.grid * s.lanes
    cdef ptrdiff_t unit, line, i, row, rows, x_row = s.h.step * pitch(s)
    cdef const real* top
    cdef const real* packed
    # rows whose x and dout stay in L1 while every tile of the gradient passes over them; at least 32 pixels
    cdef ptrdiff_t strip_rows = max(STRIP_BYTES // (max(x_row, s.w.grid * s.lanes) * sizeof(real) + 1),
                                    parts(32, max(s.w.grid, 1)))
    cdef bint depthwise = is_depthwise(s)
    for i in range(s.rows):
        strip[i] = i * x_row
    for unit in range(first, last):
        row = unit % s.bands * s.rows
        rows = min(s.rows, s.h.grid - row)
        top = band(s, x, unit // s.bands, row, rows, buffer)
        line = first_line
        while line < last_line:
            entries(s, line // s.blocks, entry)
            if depthwise and last_line - line >= s.lanes:
                depthwise_gradient(s, top, dout + unit // s.bands * s.out_image + row * s.out_row + line, rows, entry,
                                   sums + line * line_size)
                line += s.lanes
                continue
            packed = pack_pixels(s, dout + unit // s.bands * s.out_image + row * s.out_row, rows, line, pixels,
                                 sums + line * line_size + depth * s.lanes)
            for i in range(parts(rows, strip_rows)):
                gradient_strip(s, top + i * strip_rows * x_row, packed + i * strip_rows * s.w.grid * s.lanes,
                               min(strip_rows, rows - i * strip_rows), entry, strip, sums + line * line_size)
            line += 1


cdef inline void entries(const Sweep* s, ptrdiff_t group, ptrdiff_t* entry) noexcept nogil:
    """Write the offset of every product below a result pixel, in the order of the packed weights."""
    cdef ptrdiff_t i, j, c
    for i in range(s.h.taps):
        for j in range(s.w.taps):
            for c in range(s.group_channels):
                entry[0] = (i * s.h.at_step * pitch(s) + j * s.w.at_step * s.channels
                            + group * s.group_channels + c)
                entry += 1


cdef inline const real* pack_pixels(const Sweep* s, const real* dout, ptrdiff_t rows, ptrdiff_t line, real* pixels,
                             real* bias_sum) noexcept nogil:
    """Return one line of each pixel of dout as [rows*grid][lane outputs], zeros behind; add their sum to bias_sum.

    It is dout itself where a pixel is a line, else a copy in `pixels`.
    """
    cdef ptrdiff_t h, w, f, first = line % s.blocks * s.lanes, used = min(s.lanes, s.group_outputs - first)
    cdef real total[16]
    cdef const real* row
    cdef real* to = pixels
    dout += line // s.blocks * s.group_outputs + first
    memset(total, 0, sizeof(total))
    for h in range(rows):
        row = dout + h * s.out_row
        if used == s.lanes:
            sum_lines(row, s.outputs, s.w.grid, total)
            continue
        for w in range(s.w.grid):
            for f in range(used):
                total[f] += row[w * s.outputs + f]
    for f in range(used):
        bias_sum[f] += total[f]
    if used == s.outputs == s.lanes and s.out_row == s.w.grid * s.lanes:
        return dout
    if used < s.lanes:
        memset(pixels, 0, rows * s.w.grid * s.lanes * sizeof(real))
    for h in range(rows):
        for w in range(s.w.grid):
            memcpy(to, dout + h * s.out_row + w * s.outputs, used * sizeof(real))
            to += s.lanes
    return pixels


cdef inline void gradient_strip(const Sweep* s, const real* top, const real* pixels, ptrdiff_t rows, const ptrdiff_t* entry,
                         const ptrdiff_t* strip, real* sums) noexcept nogil:
    """sums[e][f] += sum over the strip's pixels p of x[p, e] * dout[p, f], MR or TALL entries e at a time."""
    cdef const real* x[MAX_MR]
    cdef real* y[MAX_MR]
    cdef real spare[MAX_MR * 16]
    cdef real part[MAX_MR * 16]
    cdef ptrdiff_t e = 0, i, f
    memset(spare, 0, sizeof(spare))
    while TALL > MR and s.depth % TALL == 0 and e < s.depth:
        for i in range(TALL):
            x[i] = top + entry[e + i]
            y[i] = part + i * (LINE_BYTES // <ptrdiff_t> sizeof(real))
        tile_tall(x, strip, rows, s.w.grid, s.w.step * s.channels, pixels, <const real*> spare, y)
        for i in range(TALL):
            for f in range(LINE_BYTES // <ptrdiff_t> sizeof(real)):
                sums[(e + i) * s.lanes + f] += y[i][f]
        e += TALL
    while e < s.depth:
        for i in range(MR):
            x[i] = top + entry[min(e + i, s.depth - 1)]
            y[i] = sums + (e + i) * s.lanes if e + i < s.depth else spare + i * s.lanes
        e = e + MR
        tile(x, strip, rows, s.w.grid, s.w.step * s.channels, pixels, <const real* const*> y, y)


cdef inline void add_lanes(const Sweep* s, const real* sums, ptrdiff_t lanes, ptrdiff_t lane_size, ptrdiff_t line,
                    ptrdiff_t filter_size, real* dweight, real* dbias) noexcept nogil:
    """Reduce one line over the lanes, in order, into dweight [f][c][tap] and dbias [f]."""
    cdef ptrdiff_t e, f, lane, tap, c, first = line % s.blocks * s.lanes
    cdef ptrdiff_t used = min(s.lanes, s.group_outputs - first), output = line // s.blocks * s.group_outputs + first
    cdef real total[16]
    for e in range(s.depth + 1):
        memcpy(total, sums + e * s.lanes, s.lanes * sizeof(real))
        for lane in range(1, lanes):
            for f in range(LINE_BYTES // <ptrdiff_t> sizeof(real)):
                total[f] += sums[lane * lane_size + e * s.lanes + f]
        if e == s.depth:
            memcpy(dbias + output, total, used * sizeof(real))
            break
        tap, c = e // s.group_channels, e % s.group_channels
        for f in range(used):
            dweight[((output + f) * s.group_channels + c) * filter_size + tap] = total[f]
