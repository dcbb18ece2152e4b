"""The gradient to 3x3 weights by Winograd's method, at the same points as the sweeps of winograd.pxd.

    4x4 tiles of all images, in blocks of `block`
        input transform          6x6 patch of each tile         ->  v [36][block][channel]
        for each line of outputs
            gradient transform  4x4 of each tile             ->  z [36][block][lane]
            36 products         v[p] transposed times z[p]   +>  u [36][channel][lane], over all blocks of a lane
    lanes added in order, filter transform backwards         ->  3x3 taps
"""
from libc.stddef cimport ptrdiff_t
from libc.string cimport memcpy, memset

from .common cimport LINE_BYTES, MAX_MR, MR, parts, real, tile
from .sweep cimport Sweep
from .winograd cimport FLOAT_LANES, POINTS, Tiling, transform_input, winograd_pays

cdef extern from "winograd.h" nogil:
    void winograd_gradient_float(const float* dy, ptrdiff_t row, ptrdiff_t column, float* z, ptrdiff_t step, float* total)
    void winograd_gradient_double(const double* dy, ptrdiff_t row, ptrdiff_t column, double* z, ptrdiff_t step, double* total)
    int winograd_taps_float(const float* u, ptrdiff_t step, float* g, ptrdiff_t tap)
    int winograd_taps_double(const double* u, ptrdiff_t step, double* g, ptrdiff_t tap)


cdef inline void winograd_gradient(const real* dy, ptrdiff_t row, ptrdiff_t column, real* z, ptrdiff_t step, real* total) noexcept nogil:
    if real is float:
        winograd_gradient_float(dy, row, column, z, step, total)
    else:
        winograd_gradient_double(dy, row, column, z, step, total)


cdef inline int winograd_taps(const real* u, ptrdiff_t step, real* g, ptrdiff_t tap) noexcept nogil:
    if real is float:
        return winograd_taps_float(u, step, g, tap)
    else:
        return winograd_taps_double(u, step, g, tap)


cdef inline bint gradient_pays(const Sweep* s, ptrdiff_t images, bint transform) noexcept nogil:
    """Say whether the gradient to the weights of a sweep can be computed so, and takes fewer cycles."""
    return s.h.taps == 3 and s.groups == 1 and winograd_pays(s, images, transform)


cdef inline void gradient_blocks(const Sweep* s, const Tiling* t, const real* source, const real* dout, ptrdiff_t first,
                                 ptrdiff_t last, ptrdiff_t first_line, ptrdiff_t last_line, real* u, real* total,
                                 real* private) noexcept nogil:
    """Add up the blocks [first, last) for some lines: u [line][36][channel][lane], total [line][lane] for the bias."""
    cdef ptrdiff_t lanes = LINE_BYTES // <ptrdiff_t> sizeof(real)
    cdef ptrdiff_t tiles, block, line
    cdef real* v = private
    cdef real* z = v + POINTS * t.v_step
    memset(total + first_line * lanes, 0, (last_line - first_line) * lanes * sizeof(real))
    for block in range(first, last):
        tiles = min(t.block, t.count - block * t.block)
        transform_input(s, t, source, block * t.block, tiles, v, z + POINTS * t.m_step, NULL)
        for line in range(first_line, last_line):
            gradient_line(s, t, dout, block * t.block, tiles, line, v, z, block == first, u + line * POINTS * t.u_step,
                          total + line * lanes)


cdef inline void gradient_line(const Sweep* s, const Tiling* t, const real* dout, ptrdiff_t first, ptrdiff_t tiles,
                               ptrdiff_t line, const real* v, real* z, bint fresh, real* u, real* total) noexcept nogil:
    """Add a block of tiles to the points u of one line, which hold nothing yet if fresh, and to its total."""
    cdef ptrdiff_t lanes = LINE_BYTES // <ptrdiff_t> sizeof(real)
    cdef ptrdiff_t i
    for i in range(tiles):
        read_tile(s, t, dout, first + i, line * lanes, z + i * lanes, total)
    add_points(t, v, z, tiles, s.channels, fresh, u)


cdef inline void read_tile(const Sweep* s, const Tiling* t, const real* dout, ptrdiff_t index, ptrdiff_t output, real* z,
                           real* total) noexcept nogil:
    """Transform one tile of dout for one line of outputs; outside the image it is zero (where it has room, in memory)."""
    cdef ptrdiff_t lanes = LINE_BYTES // <ptrdiff_t> sizeof(real)
    cdef ptrdiff_t h = index // t.w % t.h * 4, w = index % t.w * 4, i, j, used = min(lanes, s.outputs - output)
    cdef ptrdiff_t rows = min(4, s.h.grid - h), columns = min(4, s.w.grid - w)
    cdef const real* origin = dout + index // (t.w * t.h) * s.out_image + h * s.out_row + w * s.outputs + output
    cdef real whole[16 * FLOAT_LANES]
    if used == lanes and (s.room or (rows == 4 and columns == 4)):
        winograd_gradient(origin, s.out_row, s.outputs, z, t.m_step, total)
        return
    memset(whole, 0, sizeof(whole))
    for i in range(rows):
        for j in range(columns):
            memcpy(whole + (i * 4 + j) * lanes, origin + i * s.out_row + j * s.outputs, used * sizeof(real))
    winograd_gradient(whole, 4 * lanes, lanes, z, t.m_step, total)


cdef inline void add_points(const Tiling* t, const real* v, const real* z, ptrdiff_t tiles, ptrdiff_t channels,
                            bint fresh, real* u) noexcept nogil:
    """u[p] [channel][lane] (+)= v[p] [tile][channel] transposed times z[p] [tile][lane] for the 36 points."""
    cdef ptrdiff_t p
    for p in range(POINTS):
        add_point(v + p * t.v_step, z + p * t.m_step, tiles, channels, fresh, u + p * t.u_step)


cdef inline void add_point(const real* v, const real* z, ptrdiff_t tiles, ptrdiff_t channels, bint fresh,
                           real* u) noexcept nogil:
    cdef ptrdiff_t lanes = LINE_BYTES // <ptrdiff_t> sizeof(real)
    cdef const real* x[MAX_MR]
    cdef real* y[MAX_MR]
    cdef const real* init[MAX_MR]
    cdef real spare[MAX_MR * FLOAT_LANES]
    cdef real zero[FLOAT_LANES]
    cdef ptrdiff_t none = 0, i, c, row
    memset(spare, 0, sizeof(spare))
    memset(zero, 0, sizeof(zero))
    for row in range(parts(channels, MR)):
        for i in range(MR):
            c = row * MR + i
            x[i] = v + min(c, channels - 1)
            y[i] = u + c * lanes if c < channels else spare + i * lanes
            init[i] = <const real*> zero if fresh else <const real*> y[i]
        tile(x, &none, 1, tiles, channels, z, init, y)


cdef inline bint line_taps(const Sweep* s, const Tiling* t, const real* u, ptrdiff_t sums, ptrdiff_t sum_size,
                           real* taps) noexcept nogil:
    """Add one line's u over the sums, in order; write its taps [3][3][channel][lane]; return whether they are finite."""
    cdef ptrdiff_t lanes = LINE_BYTES // <ptrdiff_t> sizeof(real)
    cdef ptrdiff_t c, f, i, number
    cdef real total[POINTS * FLOAT_LANES]
    cdef bint finite = True
    for c in range(s.channels):
        if sums == 1:
            finite &= winograd_taps(u + c * lanes, t.u_step, taps + c * lanes, s.channels * lanes)
            continue
        memset(total, 0, sizeof(total))
        for number in range(sums):
            for i in range(POINTS):
                for f in range(lanes):
                    total[i * lanes + f] += u[number * sum_size + i * t.u_step + c * lanes + f]
        finite &= winograd_taps(total, lanes, taps + c * lanes, s.channels * lanes)
    return finite
