"""Sweeps by Winograd's F(4x4, 3x3), for 3x3 filters at stride 1 in float32: a quarter of the products.

    4x4 tiles of all images, in blocks of `block`
        input transform       6x6 patch of each tile         ->  v [36][block][channel]
        for each line of outputs
            36 products       v[p] [block][channel] times u[p] [channel][lane], by the register tile  ->  m [36][block][lane]
            output transform  m [36] of each tile            ->  4x4 outputs

and the gradient to the weights

        for each line of outputs
            gradient transform  4x4 of each tile             ->  z [36][block][lane]
            36 products         v[p] transposed times z[p]   +>  u [36][channel][lane], over all blocks of a lane
    lanes added in order, filter transform backwards         ->  3x3 taps

Where a result is not finite the caller computes the whole sweep directly: the transforms would spread one nan or inf over
a 4x4 tile, and overflow earlier. Errors: tests/kernels/test_winograd.py.
"""
from libc.stddef cimport ptrdiff_t
from libc.string cimport memcpy, memset

from .common cimport LINE_BYTES, MAX_MR, MR, parts, tile, up_to
from .sweep cimport Sweep

cdef extern from "winograd.h" nogil:
    void winograd_input(const float* d, ptrdiff_t row, ptrdiff_t column, float* v, ptrdiff_t step)
    void winograd_filter(const float* g, ptrdiff_t tap, float* u, ptrdiff_t step)
    int winograd_output(const float* m, ptrdiff_t step, const float* bias, float* y, ptrdiff_t row, ptrdiff_t column)
    void winograd_gradient(const float* dy, ptrdiff_t row, ptrdiff_t column, float* z, ptrdiff_t step, float* total)
    int winograd_taps(const float* u, ptrdiff_t step, float* g, ptrdiff_t tap)

cdef enum:
    POINTS = 36
    LANES = 16          # floats per line

cdef struct Tiling:
    ptrdiff_t h         # tiles per column of an image
    ptrdiff_t w         # tiles per row
    ptrdiff_t count     # tiles of all images
    ptrdiff_t block     # tiles per task


cdef inline Tiling tiling(const Sweep* s, ptrdiff_t images) noexcept nogil:
    cdef Tiling t
    t.h, t.w = parts(s.h.grid, 4), parts(s.w.grid, 4)
    t.count = images * t.h * t.w
    t.block = 48 if s.channels <= 32 else 24    # v stays in L2; a multiple of every MR
    return t


cdef inline bint winograd_pays(const Sweep* s) noexcept nogil:
    """Say whether the sweep is of the right kind, and its tiles' 36 products are at most half of the pixels' 9 each."""
    return (s.h.taps == 3 and s.w.taps == 3 and s.h.at_step == 1 and s.w.at_step == 1 and s.h.step == 1 and s.w.step == 1
            and s.h.stride == 1 and s.w.stride == 1 and s.groups == 1 and s.channels % LANES == 0 and s.outputs >= LANES
            and 8 * parts(s.h.grid, 4) * parts(s.w.grid, 4) <= s.h.grid * s.w.grid)


cdef inline ptrdiff_t winograd_scratch(const Sweep* s, const Tiling* t) noexcept nogil:
    """Return the floats one thread needs: v, m, a patch."""
    return POINTS * t.block * (s.channels + LANES) + POINTS * s.channels


cdef inline void transform_line(const Sweep* s, const float* packed, float* u) noexcept nogil:
    """Transform one packed line of weights [3][3][channel][lane] to u [36][channel][lane]."""
    cdef ptrdiff_t c
    for c in range(s.channels):
        winograd_filter(packed + c * LANES, s.channels * LANES, u + c * LANES, s.channels * LANES)


cdef inline bint winograd_block(const Sweep* s, const Tiling* t, const float* source, const float* u, const float* bias,
                                ptrdiff_t first, ptrdiff_t first_line, ptrdiff_t last_line, float* out,
                                float* private) noexcept nogil:
    """Compute the tiles [first, first + block) for some lines of outputs; return whether all results are finite."""
    cdef ptrdiff_t tiles = min(t.block, t.count - first), i, line
    cdef float* v = private
    cdef float* m = v + POINTS * t.block * s.channels
    cdef bint finite = True
    transform_input(s, t, source, first, tiles, v, m + POINTS * t.block * LANES)
    for line in range(first_line, last_line):
        multiply_points(v, tiles, t.block, s.channels, u + line * POINTS * s.channels * LANES, m)
        for i in range(tiles):
            finite &= write_tile(s, t, m + i * LANES, bias + line * LANES, first + i, line * LANES, out)
    return finite


cdef inline void transform_input(const Sweep* s, const Tiling* t, const float* source, ptrdiff_t first, ptrdiff_t tiles,
                                 float* v, float* corner) noexcept nogil:
    cdef const float* patch
    cdef ptrdiff_t row, i, c
    for i in range(tiles):
        patch = patch_of(s, t, source, first + i, corner, &row)
        for c in range(s.channels // LANES):
            winograd_input(patch + c * LANES, row, s.channels, v + i * s.channels + c * LANES, t.block * s.channels)


cdef inline const float* patch_of(const Sweep* s, const Tiling* t, const float* source, ptrdiff_t index, float* corner,
                                  ptrdiff_t* row) noexcept nogil:
    """Return the 6x6 input pixels of a tile and their row step; a zero-padded copy where some are outside."""
    cdef ptrdiff_t c = s.channels, i, h = index // t.w % t.h * 4 + s.h.at, w = index % t.w * 4 + s.w.at
    cdef const float* image = source + index // (t.w * t.h) * s.h.source * s.w.source * c
    row[0] = s.w.source * c
    if h >= 0 and w >= 0 and h + 6 <= s.h.source and w + 6 <= s.w.source:
        return image + (h * s.w.source + w) * c
    cdef ptrdiff_t left = min(max(-w, 0), 6), right = max(min(s.w.source - w, 6), left)
    memset(corner, 0, POINTS * c * sizeof(float))
    for i in range(max(-h, 0), min(s.h.source - h, 6)):
        memcpy(corner + (i * 6 + left) * c, image + ((h + i) * s.w.source + w + left) * c,
               (right - left) * c * sizeof(float))
    row[0] = 6 * c
    return corner


cdef inline void multiply_points(const float* v, ptrdiff_t tiles, ptrdiff_t block, ptrdiff_t channels, const float* u,
                                 float* m) noexcept nogil:
    """m[p] = v[p] times u[p] for the 36 points; rows behind the last tile hold old data and are not used."""
    cdef const float* x[MAX_MR]
    cdef float* y[MAX_MR]
    cdef const float* init[MAX_MR]
    cdef float zero[LANES]
    cdef ptrdiff_t none = 0, p, i, row
    memset(zero, 0, sizeof(zero))
    for i in range(MR):
        init[i] = zero
    for p in range(POINTS):
        for row in range(parts(tiles, MR)):
            for i in range(MR):
                x[i] = v + (p * block + row * MR + i) * channels
                y[i] = m + (p * block + row * MR + i) * LANES
            tile(x, &none, 1, channels, 1, u + p * channels * LANES, init, y)


cdef inline bint write_tile(const Sweep* s, const Tiling* t, const float* m, const float* bias, ptrdiff_t index,
                            ptrdiff_t output, float* out) noexcept nogil:
    """Transform one tile's sums for one line of outputs back and write what is inside the image."""
    cdef ptrdiff_t h = index // t.w % t.h * 4, w = index % t.w * 4, i, j, used = min(LANES, s.outputs - output)
    cdef ptrdiff_t rows = min(4, s.h.grid - h), columns = min(4, s.w.grid - w)
    cdef float* target = out + ((index // (t.w * t.h) * s.h.size + h) * s.w.size + w) * s.outputs + output
    cdef float whole[16 * LANES]
    if rows == 4 and columns == 4 and used == LANES:
        return winograd_output(m, t.block * LANES, bias, target, s.w.size * s.outputs, s.outputs)
    cdef bint finite = winograd_output(m, t.block * LANES, bias, whole, 4 * LANES, LANES)
    for i in range(rows):
        for j in range(columns):
            memcpy(target + (i * s.w.size + j) * s.outputs, whole + (i * 4 + j) * LANES, used * sizeof(float))
    return finite


cdef inline void gradient_blocks(const Sweep* s, const Tiling* t, const float* source, const float* dout, ptrdiff_t first,
                                 ptrdiff_t last, ptrdiff_t first_line, ptrdiff_t last_line, float* u, float* total,
                                 float* private) noexcept nogil:
    """Add up the blocks [first, last) for some lines: u [line][36][channel][lane], total [line][lane] for the bias."""
    cdef ptrdiff_t tiles, block, i, line, u_size = POINTS * s.channels * LANES
    cdef float* v = private
    cdef float* z = v + POINTS * t.block * s.channels
    memset(u + first_line * u_size, 0, (last_line - first_line) * u_size * sizeof(float))
    memset(total + first_line * LANES, 0, (last_line - first_line) * LANES * sizeof(float))
    for block in range(first, last):
        tiles = min(t.block, t.count - block * t.block)
        transform_input(s, t, source, block * t.block, tiles, v, z + POINTS * t.block * LANES)
        for line in range(first_line, last_line):
            for i in range(tiles):
                read_tile(s, t, dout, block * t.block + i, line * LANES, z + i * LANES, total + line * LANES)
            add_points(v, z, tiles, t.block, s.channels, u + line * u_size)


cdef inline void read_tile(const Sweep* s, const Tiling* t, const float* dout, ptrdiff_t index, ptrdiff_t output, float* z,
                           float* total) noexcept nogil:
    """Transform one tile of dout for one line of outputs; outside the image it is zero."""
    cdef ptrdiff_t h = index // t.w % t.h * 4, w = index % t.w * 4, i, j, used = min(LANES, s.outputs - output)
    cdef ptrdiff_t rows = min(4, s.h.grid - h), columns = min(4, s.w.grid - w)
    cdef const float* origin = dout + ((index // (t.w * t.h) * s.h.size + h) * s.w.size + w) * s.outputs + output
    cdef float whole[16 * LANES]
    if rows == 4 and columns == 4 and used == LANES:
        winograd_gradient(origin, s.w.size * s.outputs, s.outputs, z, t.block * LANES, total)
        return
    memset(whole, 0, sizeof(whole))
    for i in range(rows):
        for j in range(columns):
            memcpy(whole + (i * 4 + j) * LANES, origin + (i * s.w.size + j) * s.outputs, used * sizeof(float))
    winograd_gradient(whole, 4 * LANES, LANES, z, t.block * LANES, total)


cdef inline void add_points(const float* v, const float* z, ptrdiff_t tiles, ptrdiff_t block, ptrdiff_t channels,
                            float* u) noexcept nogil:
    """u[p] [channel][lane] += v[p] [tile][channel] transposed times z[p] [tile][lane] for the 36 points."""
    cdef const float* x[MAX_MR]
    cdef float* y[MAX_MR]
    cdef float spare[MAX_MR * LANES]
    cdef ptrdiff_t none = 0, p, i, c, row
    memset(spare, 0, sizeof(spare))
    for p in range(POINTS):
        for row in range(parts(channels, MR)):
            for i in range(MR):
                c = row * MR + i
                x[i] = v + p * block * channels + min(c, channels - 1)
                y[i] = u + (p * channels + c) * LANES if c < channels else spare + i * LANES
            tile(x, &none, 1, tiles, channels, z + p * block * LANES, <const float* const*> y, y)


cdef inline bint gradient_taps(const Sweep* s, const float* u, const float* total, ptrdiff_t lanes, ptrdiff_t lane_size,
                               ptrdiff_t line, float* dweight, float* dbias) noexcept nogil:
    """Add one line's u and total over the lanes, in order; write dweight [f][channel][3][3] and dbias [f]."""
    cdef ptrdiff_t c, f, i, lane, tap, used = min(LANES, s.outputs - line * LANES)
    cdef float sums[POINTS * LANES]
    cdef float g[9 * LANES]
    cdef bint finite = True
    for c in range(s.channels):
        memset(sums, 0, sizeof(sums))
        for lane in range(lanes):
            for i in range(POINTS):
                for f in range(LANES):
                    sums[i * LANES + f] += u[lane * lane_size + (i * s.channels + c) * LANES + f]
        finite &= winograd_taps(sums, LANES, g, LANES)
        for f in range(used):
            for tap in range(9):
                dweight[((line * LANES + f) * s.channels + c) * 9 + tap] = g[tap * LANES + f]
    memset(sums, 0, LANES * sizeof(float))
    for lane in range(lanes):
        for f in range(LANES):
            sums[f] += total[lane * lane_size + f]
    memcpy(dbias + line * LANES, sums, used * sizeof(float))
    return finite
