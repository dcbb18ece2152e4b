"""Sweeps by Winograd's F(4x4, 3x3) and F(2x2, 5x5), for 3x3 and 5x5 filters at stride 1: 1/4 and 9/25 of the products.

Both have the same six points, so that the input's transform is one and the same.

    tiles (4x4 or 2x2) of all images, in blocks of `block`
        input transform       6x6 patch of each tile         ->  v [36][block][channel]
        for each line of outputs
            36 products       v[p] [block][channel] times u[p] [channel][lane], by the register tile  ->  m [36][block][lane]
            output transform  m [36] of each tile            ->  its outputs

and the gradient to 3x3 weights in winograd_gradient.pxd.

Outputs that see nothing but zeros are exactly the bias, as they are by definition: a ReLU behind them, and what the book
computes from it, depend on that.

Where a result is not finite the caller computes the whole sweep directly: the transforms would spread one nan or inf over
a tile, and overflow earlier. Errors: tests/kernels/test_winograd.py.
"""
from libc.stddef cimport ptrdiff_t
from libc.string cimport memcpy, memset

from .common cimport LINE_BYTES, MAX_MR, MR, parts, real, tile, tile_half_float, tile_row, up_to
from .sweep cimport Sweep

cdef extern from "winograd.h" nogil:
    void winograd_input_float(const float* d, ptrdiff_t row, ptrdiff_t column, float* v, ptrdiff_t step)
    void winograd_input_double(const double* d, ptrdiff_t row, ptrdiff_t column, double* v, ptrdiff_t step)
    unsigned int winograd_blank_float(int size, const float* d, ptrdiff_t row, ptrdiff_t column, ptrdiff_t channels)
    unsigned int winograd_blank_double(int size, const double* d, ptrdiff_t row, ptrdiff_t column, ptrdiff_t channels)
    void winograd_filter_float(int taps, const float* g, ptrdiff_t tap, float* u, ptrdiff_t step)
    void winograd_filter_double(int taps, const double* g, ptrdiff_t tap, double* u, ptrdiff_t step)
    int winograd_output_float(int size, const float* m, ptrdiff_t step, const float* bias, unsigned int blank, bint relu,
                              const float* mask, ptrdiff_t mask_row, float* y, ptrdiff_t row, ptrdiff_t column)
    int winograd_output_double(int size, const double* m, ptrdiff_t step, const double* bias, unsigned int blank, bint relu,
                               const double* mask, ptrdiff_t mask_row, double* y, ptrdiff_t row, ptrdiff_t column)
    int winograd_pooled_float(int size, const float* m, ptrdiff_t step, const float* bias, unsigned int blank, float* y,
                              ptrdiff_t row, ptrdiff_t column, unsigned char* winner, ptrdiff_t winner_row)
    int winograd_pooled_double(int size, const double* m, ptrdiff_t step, const double* bias, unsigned int blank, double* y,
                               ptrdiff_t row, ptrdiff_t column, unsigned char* winner, ptrdiff_t winner_row)

cdef enum:
    POINTS = 36
    LARGE_BLOCK = 48    # tiles
    FLOAT_LANES = 16    # floats per line; doubles are half as many
    NEAR = 4 << 20      # bytes of weights' points that L2 and a core's share of L3 hold
    FAR = 16 << 20      # and L3
    POINTS_MEMORY = 1 << 24   # bytes of tiles at their points, where those of the weights come from memory

cdef struct Tiling:
    int size            # outputs of a tile in a row: with the taps - 1 around them, 6 inputs
    ptrdiff_t h         # tiles per column of an image
    ptrdiff_t w         # tiles per row
    ptrdiff_t count     # tiles of all images
    ptrdiff_t block     # tiles per task
    ptrdiff_t v_step    # values from one of the 36 points to the next in v; an odd number of lines, because the 36 lines
    ptrdiff_t m_step    # of a tile would otherwise fall on a few sets of the cache; in m
    ptrdiff_t u_step    # and in u

cdef struct Finish:     # what happens to a sweep's results before they are stored; all zero: nothing
    bint relu
    const void* mask    # results are zero where this map is <= 0 (its pixels lie like those of the results, its rows by themselves)
    ptrdiff_t mask_row
    ptrdiff_t mask_image
    unsigned char* winner   # relu and 2x2 pooling: results go to a pooled map, and where they came from here
    ptrdiff_t winner_row
    ptrdiff_t winner_image
    ptrdiff_t pooled_row
    ptrdiff_t pooled_image


cdef inline void winograd_input(const real* d, ptrdiff_t row, ptrdiff_t column, real* v, ptrdiff_t step) noexcept nogil:
    if real is float:
        winograd_input_float(d, row, column, v, step)
    else:
        winograd_input_double(d, row, column, v, step)


cdef inline void winograd_filter(int taps, const real* g, ptrdiff_t tap, real* u, ptrdiff_t step) noexcept nogil:
    if real is float:
        winograd_filter_float(taps, g, tap, u, step)
    else:
        winograd_filter_double(taps, g, tap, u, step)


cdef inline unsigned int winograd_blank(int size, const real* d, ptrdiff_t row, ptrdiff_t column, ptrdiff_t channels) noexcept nogil:
    if real is float:
        return winograd_blank_float(size, d, row, column, channels)
    else:
        return winograd_blank_double(size, d, row, column, channels)


cdef inline int winograd_output(int size, const real* m, ptrdiff_t step, const real* bias, unsigned int blank, bint relu,
                                const real* mask, ptrdiff_t mask_row, real* y, ptrdiff_t row, ptrdiff_t column) noexcept nogil:
    if real is float:
        return winograd_output_float(size, m, step, bias, blank, relu, mask, mask_row, y, row, column)
    else:
        return winograd_output_double(size, m, step, bias, blank, relu, mask, mask_row, y, row, column)


cdef inline int winograd_pooled(int size, const real* m, ptrdiff_t step, const real* bias, unsigned int blank, real* y,
                                ptrdiff_t row, ptrdiff_t column, unsigned char* winner, ptrdiff_t winner_row) noexcept nogil:
    if real is float:
        return winograd_pooled_float(size, m, step, bias, blank, y, row, column, winner, winner_row)
    else:
        return winograd_pooled_double(size, m, step, bias, blank, y, row, column, winner, winner_row)


cdef inline Tiling tiling(const Sweep* s, ptrdiff_t images) noexcept nogil:
    cdef Tiling t
    t.size = 7 - <int> s.h.taps
    t.h, t.w = parts(s.h.grid, t.size), parts(s.w.grid, t.size)
    t.count = images * t.h * t.w
    t.block = LARGE_BLOCK if s.channels <= 2 * s.lanes else LARGE_BLOCK // 2   # v stays in L2; a multiple of every MR
    set_steps(&t, s)
    return t


cdef inline void set_steps(Tiling* t, const Sweep* s) noexcept nogil:
    t.v_step = (t.block * s.channels // s.lanes | 1) * s.lanes
    t.m_step = (t.block | 1) * s.lanes
    t.u_step = (s.group_channels | 1) * s.lanes


cdef inline bint winograd_fits(const Sweep* s) noexcept nogil:
    """Say whether the sweep is one that these functions can compute."""
    return ((s.h.taps == 3 or s.h.taps == 5) and s.w.taps == s.h.taps and s.h.at_step == 1 and s.w.at_step == 1 and s.h.step == 1
            and s.w.step == 1 and s.h.stride == 1 and s.w.stride == 1 and s.group_channels % s.lanes == 0
            and s.group_outputs >= s.lanes and (s.groups == 1 or s.group_outputs % s.lanes == 0))


cdef inline bint winograd_pays(const Sweep* s, ptrdiff_t images, bint transform) noexcept nogil:
    """Say whether it fits and takes fewer cycles than the direct sweep; `transform`: the weights' transform counts as well.

    The cost of a line (16 products of floats, 8 of doubles) is one cycle. The others were measured on a Zen 4 core, which
    they fit within some 20 % for 16 to 512 channels of floats and maps of 4 to 28 pixels: per tile and 16 channels 320
    cycles for the input's transform, 160 for the output's; 128 per 16 filters; and the weights' points are read again for
    every block of tiles from L2 or L3, or for all tiles that are at their points together from memory. F(2x2, 3x3), 16
    products for 4 results, would be ahead of this and of the direct sweep on maps of 2x2 only.
    """
    if not winograd_fits(s):
        return False
    cdef Tiling t = tiling(s, images)
    cdef double item = LINE_BYTES / <double> s.lanes, points = POINTS * item * s.group_channels * s.outputs  # bytes
    cdef double lines = s.group_channels * s.outputs / <double> s.lanes
    cdef double per_byte = 0.125 if points <= NEAR else 0.25 if points <= FAR else 0.4
    cdef double times = parts(t.count, t.block) if points <= FAR else parts(t.count, group_of_tiles(s))
    cdef double direct = <double> s.h.taps * s.w.taps * images * s.h.grid * s.w.grid * lines
    cdef double tiles = t.count * (POINTS * lines + item * (5. * s.channels + 2.5 * s.outputs))
    cdef double weights = (2. * item * s.group_channels * s.outputs + points * per_byte) if transform else 0.
    return tiles + weights + points * per_byte * times < direct


cdef inline ptrdiff_t group_of_tiles(const Sweep* s) noexcept nogil:
    """Return how many tiles fit into POINTS_MEMORY at their points, before and behind the products."""
    cdef ptrdiff_t bytes = POINTS * (s.channels + parts(s.outputs, s.lanes) * s.lanes) * (LINE_BYTES // s.lanes)
    return max(MR, POINTS_MEMORY // bytes // MR * MR)


cdef inline ptrdiff_t winograd_scratch(const Sweep* s, const Tiling* t) noexcept nogil:
    """Return the values one thread needs: v, m of two lines, a patch."""
    return POINTS * (t.v_step + 2 * t.m_step + s.channels)


cdef inline void transform_line(const Sweep* s, const Tiling* t, const real* packed, real* u) noexcept nogil:
    """Transform one packed line of weights [tap][tap][channel][lane] to u [36][channel][lane]."""
    cdef ptrdiff_t lanes = LINE_BYTES // <ptrdiff_t> sizeof(real)
    cdef ptrdiff_t c
    for c in range(s.group_channels):
        winograd_filter(<int> s.h.taps, packed + c * lanes, s.group_channels * lanes, u + c * lanes, t.u_step)


cdef inline bint winograd_block(const Sweep* s, const Tiling* t, const real* source, const real* u, const real* bias,
                                ptrdiff_t first, ptrdiff_t first_line, ptrdiff_t last_line, const Finish* finish,
                                real* out, real* private) noexcept nogil:
    """Compute the tiles [first, first + block) for some lines of outputs; return whether all results are finite."""
    cdef ptrdiff_t lanes = LINE_BYTES // <ptrdiff_t> sizeof(real)
    cdef ptrdiff_t tiles = min(t.block, t.count - first), i, line
    cdef real* v = private
    cdef real* m = v + POINTS * t.v_step
    cdef bint finite = True
    cdef ptrdiff_t two_lines = POINTS * t.m_step, together = 1, lines
    cdef const real* group
    cdef unsigned short blank[LARGE_BLOCK]
    if real is float:
        together = 2 if tiles <= MR // 2 else 1
    transform_input(s, t, source, first, tiles, v, m + 2 * two_lines, blank)
    line = first_line
    while line < last_line:
        lines = min(together, min(last_line - line, s.blocks - line % s.blocks))
        group = v + line // s.blocks * s.group_channels
        if lines == 2:
            if real is float:
                multiply_few_points(s, t, group, tiles, u + line * POINTS * t.u_step, m)
        else:
            multiply_points(s, t, group, tiles, u + line * POINTS * t.u_step, m)
        for i in range(lines * tiles):
            finite &= write_tile(s, t, m + i // tiles * two_lines + i % tiles * lanes, bias + (line + i // tiles) * lanes,
                                 blank[i % tiles], first + i % tiles, (line + i // tiles) * lanes, finish, out)
        line += lines
    return finite


cdef inline void transform_input(const Sweep* s, const Tiling* t, const real* source, ptrdiff_t first, ptrdiff_t tiles,
                                 real* v, real* corner, unsigned short* blank) noexcept nogil:
    """v = the points of some tiles; blank (or NULL): which outputs of each see nothing but zeros."""
    cdef ptrdiff_t lanes = LINE_BYTES // <ptrdiff_t> sizeof(real)
    cdef const real* patch
    cdef ptrdiff_t row, i, c, point
    for i in range(tiles):
        patch = patch_of(s, t, source, first + i, corner, &row)
        if blank != NULL:
            blank[i] = winograd_blank(t.size, patch, row, s.channels, s.channels)
            if blank[i] == (1 << t.size * t.size) - 1:      # all of the patch is zero, and so are its points
                for point in range(POINTS):
                    memset(v + point * t.v_step + i * s.channels, 0, s.channels * sizeof(real))
                continue
        for c in range(s.channels // lanes):
            winograd_input(patch + c * lanes, row, s.channels, v + i * s.channels + c * lanes, t.v_step)


cdef inline const real* patch_of(const Sweep* s, const Tiling* t, const real* source, ptrdiff_t index, real* corner,
                                  ptrdiff_t* row) noexcept nogil:
    """Return the 6x6 input pixels of a tile and their row step; a zero-padded copy where some are outside."""
    cdef ptrdiff_t c = s.channels, i, h = index // t.w % t.h * t.size + s.h.at, w = index % t.w * t.size + s.w.at
    cdef const real* image = source + index // (t.w * t.h) * s.source_image
    row[0] = s.source_row
    if (h >= -s.before and w >= -s.before and h + 6 <= s.h.source + s.after and w + 6 <= s.w.source + s.after):
        return image + h * s.source_row + w * c
    cdef ptrdiff_t left = min(max(-w, 0), 6), right = max(min(s.w.source - w, 6), left)
    memset(corner, 0, POINTS * c * sizeof(real))
    for i in range(max(-h, 0), min(s.h.source - h, 6)):
        memcpy(corner + (i * 6 + left) * c, image + (h + i) * s.source_row + (w + left) * c,
               (right - left) * c * sizeof(real))
    row[0] = 6 * c
    return corner


cdef inline void multiply_points(const Sweep* s, const Tiling* t, const real* v, ptrdiff_t tiles, const real* u,
                                 real* m) noexcept nogil:
    """m[p] = v[p] times u[p] for the 36 points; rows behind the last tile hold old data and are not used."""
    cdef ptrdiff_t lanes = LINE_BYTES // <ptrdiff_t> sizeof(real)
    cdef real zero[FLOAT_LANES]
    cdef ptrdiff_t none = 0, p, row
    memset(zero, 0, sizeof(zero))
    for p in range(POINTS):
        for row in range(parts(tiles, MR)):
            tile_row(v + p * t.v_step + row * MR * s.channels, s.channels, &none, 1, s.group_channels, u + p * t.u_step,
                     <const real*> zero, False, m + p * t.m_step + row * MR * lanes, lanes)


cdef inline void multiply_few_points(const Sweep* s, const Tiling* t, const float* v, ptrdiff_t tiles, const float* u,
                                     float* m) noexcept nogil:
    """The same for two lines and up to MR/2 tiles: m of the second line follows that of the first."""
    cdef const float* x[MAX_MR]
    cdef float* y[MAX_MR]
    cdef float zero[2 * FLOAT_LANES]
    cdef ptrdiff_t none = 0, p, i
    memset(zero, 0, sizeof(zero))
    for p in range(POINTS):
        for i in range(MR // 2):
            x[i] = v + p * t.v_step + i * s.channels
            y[i] = m + p * t.m_step + i * FLOAT_LANES
        tile_half_float(x, &none, 1, s.group_channels, 1, u + p * t.u_step, POINTS * t.u_step, zero, y, POINTS * t.m_step)


cdef inline bint write_tile(const Sweep* s, const Tiling* t, const real* m, const real* bias, unsigned int blank,
                            ptrdiff_t index, ptrdiff_t output, const Finish* f, real* out) noexcept nogil:
    """Transform one tile's sums for one line of outputs back; write what is inside the image, and what has room."""
    cdef ptrdiff_t lanes = LINE_BYTES // <ptrdiff_t> sizeof(real)
    cdef ptrdiff_t n = index // (t.w * t.h), h = index // t.w % t.h * t.size, w = index % t.w * t.size, i, j, k
    cdef ptrdiff_t rows = min(t.size, s.h.grid - h), columns = min(t.size, s.w.grid - w), used = min(lanes, s.outputs - output)
    cdef const real* mask = NULL
    cdef real* target
    cdef real whole[16 * FLOAT_LANES]
    if f.winner != NULL:
        return winograd_pooled(t.size, m, t.m_step, bias, blank,
                               out + n * f.pooled_image + h // 2 * f.pooled_row + w // 2 * s.outputs + output,
                               f.pooled_row, s.outputs,
                               f.winner + n * f.winner_image + h // 2 * f.winner_row + w // 2 * s.outputs + output,
                               f.winner_row)
    if f.mask != NULL:
        mask = <const real*> f.mask + n * f.mask_image + h * f.mask_row + w * s.outputs + output
    target = out + n * s.out_image + h * s.out_row + w * s.outputs + output
    if used == lanes and (s.room or (rows == t.size and columns == t.size)):
        return winograd_output(t.size, m, t.m_step, bias, blank, f.relu, mask, f.mask_row, target, s.out_row, s.outputs)
    cdef bint finite = winograd_output(t.size, m, t.m_step, bias, blank, f.relu, NULL, 0, whole, t.size * lanes, lanes)
    for i in range(rows):
        for j in range(columns):
            memcpy(target + i * s.out_row + j * s.outputs, whole + (i * t.size + j) * lanes, used * sizeof(real))
            if mask != NULL:
                for k in range(used):
                    if mask[i * f.mask_row + j * s.outputs + k] <= 0:
                        target[i * s.out_row + j * s.outputs + k] = 0
    return finite
