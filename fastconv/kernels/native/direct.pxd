"""A sweep as it is defined: the register tile reads the image where the column matrix would be."""
from libc.stddef cimport ptrdiff_t
from libc.string cimport memcpy

from .common cimport (DOTS, LESS, LINE_BYTES, MAX_MR, MR, WIDE_LINES, WIDE_ROWS, dots, parts, real, tile, tile_less, tile_row,
                      tile_single, tile_wide)
from .depthwise cimport depthwise_lines, is_depthwise
from .sweep cimport Sweep, band, pitch, run_offsets

cdef enum:
    FEW_PIXELS = 2      # so few that a tile of MR would be mostly unused
    SINGLE_LINES = 4    # lines that tile_single takes
    FEW_OUTPUTS = 3     # so few that a line would be mostly unused
    MOST_PRODUCTS = 1024    # of an output, for which their weights are brought into another order
    WIDE_SUM = 160      # products of a sum from which on the wide tile is ahead
    SHORT = 64          # products of a sum that takes hardly longer than to set up a tile's pointers


cdef inline void pack_line(const Sweep* s, const real* weight, ptrdiff_t block, ptrdiff_t output_step, ptrdiff_t channel_step,
                    ptrdiff_t filter_w, real* packed) noexcept nogil:
    """Write packed [taps h][taps w][channel][lane]: the weights of one line of outputs, in the order of the image."""
    cdef ptrdiff_t i, j, c, f, tap, first = block * s.lanes, used = min(s.lanes, s.group_outputs - first)
    for i in range(s.h.taps):
        for j in range(s.w.taps):
            tap = (s.h.index + i * s.h.index_step) * filter_w + s.w.index + j * s.w.index_step
            for c in range(s.group_channels):
                for f in range(used):
                    packed[f] = weight[(first + f) * output_step + c * channel_step + tap]
                for f in range(used, s.lanes):
                    packed[f] = 0
                packed += s.lanes


cdef inline void pack_bias(const Sweep* s, const real* bias, ptrdiff_t line, real* packed) noexcept nogil:
    cdef ptrdiff_t f, output = line % s.blocks * s.lanes
    for f in range(s.lanes):
        packed[f] = (bias[line // s.blocks * s.group_outputs + output + f]
                     if bias != NULL and output + f < s.group_outputs else 0)


cdef inline void sweep_band(const Sweep* s, const real* source, const real* packed, const real* bias_lines, ptrdiff_t image,
                     ptrdiff_t row, ptrdiff_t first_line, ptrdiff_t last_line, bint relu, real* out,
                     char* private) noexcept nogil:
    """Compute one band of one image for some lines of outputs; with relu their positive part."""
    cdef ptrdiff_t* offset = <ptrdiff_t*> private
    cdef real* buffer = <real*> (offset + s.runs)
    cdef ptrdiff_t rows = min(s.rows, s.h.grid - row)
    cdef const real* top = band(s, source, image, row, rows, buffer)
    cdef real* target = (out + image * s.out_image + (s.h.first + row * s.h.stride) * s.out_row
                         + s.w.first * s.outputs)
    cdef ptrdiff_t line = first_line
    if rows * s.w.grid <= FEW_PIXELS and s.groups == 1:
        run_offsets(s, 0, offset)
        while line + SINGLE_LINES <= min(last_line, s.outputs // s.lanes):
            few_pixels(s, top, rows, offset, packed + line * s.depth * s.lanes, bias_lines + line * s.lanes,
                       target + line * s.lanes, relu)
            line += SINGLE_LINES
    cdef ptrdiff_t group, block, whole = s.group_outputs // s.lanes
    cdef bint wide = wide_pays(s, rows * s.w.grid), depthwise = is_depthwise(s)
    while line < last_line:
        group, block = line // s.blocks, line % s.blocks
        run_offsets(s, group, offset)
        if depthwise and last_line - line >= s.lanes:
            depthwise_lines(s, top, rows, offset, packed + line * s.depth * s.lanes, bias_lines + line * s.lanes, target + line, relu)
            line += s.lanes
            continue
        if wide and min(last_line - line, whole - block) >= WIDE_LINES:
            sweep_lines(s, top, rows, offset, packed + line * s.depth * s.lanes, bias_lines + line * s.lanes,
                        target + group * s.group_outputs + block * s.lanes, relu, s.groups * s.blocks - line)
            line += WIDE_LINES
            continue
        sweep_line(s, top, rows, offset, packed + line * s.depth * s.lanes, bias_lines + line * s.lanes,
                   target + group * s.group_outputs + block * s.lanes, min(s.lanes, s.group_outputs - block * s.lanes), relu)
        line += 1


cdef inline void few_outputs(const Sweep* s, const real* top, ptrdiff_t rows, const ptrdiff_t* offset, const real* weight,
                             const real* bias, real* target, ptrdiff_t used, bint relu) noexcept nogil:
    """Sum an output's products a line of them at a time: the gradient to a gray or colour image."""
    cdef real turned[FEW_OUTPUTS * MOST_PRODUCTS]   # [output][depth]
    cdef real sums[8]
    cdef real value
    cdef ptrdiff_t h, w, f, i, k, x_step = s.w.step * s.channels
    cdef const real* x
    cdef real* y
    for f in range(used):
        for k in range(s.depth):
            turned[f * s.depth + k] = weight[k * s.lanes + f]
    for h in range(rows):
        for i in range(parts(s.w.grid, DOTS)):
            w = min(i * DOTS, s.w.grid - DOTS)      # the last ones of a row may be done again
            x = top + h * s.h.step * pitch(s) + w * x_step
            y = target + h * s.h.stride * s.out_row + w * s.w.stride * s.outputs
            for f in range(used):
                dots(x, x_step, offset, s.runs, s.length, <const real*> turned + f * s.depth, sums)
                for k in range(DOTS):
                    value = bias[f] + sums[k]
                    y[k * s.w.stride * s.outputs + f] = 0 if relu and value <= 0 else value


cdef inline void few_pixels(const Sweep* s, const real* top, ptrdiff_t rows, const ptrdiff_t* offset, const real* weight,
                            const real* bias, real* target, bint relu) noexcept nogil:
    """Take one pixel after another, SINGLE_LINES whole lines of outputs at a time."""
    cdef const real* x
    cdef real* y
    cdef ptrdiff_t h, w, f
    for h in range(rows):
        for w in range(s.w.grid):
            x = top + h * s.h.step * pitch(s) + w * s.w.step * s.channels
            y = target + h * s.h.stride * s.out_row + w * s.w.stride * s.outputs
            tile_single(&x, offset, s.runs, s.length, 1, weight, s.depth * s.lanes, bias, &y, s.lanes)
            if relu:
                for f in range(SINGLE_LINES * LINE_BYTES // <ptrdiff_t> sizeof(real)):
                    y[f] = 0 if y[f] <= 0 else y[f]


cdef inline bint wide_pays(const Sweep* s, ptrdiff_t pixels) noexcept nogil:
    """Say whether tiles of WIDE_LINES lines take fewer cycles: by a sixteenth for as many rows, unless all their results at once
    are more than the caches take while a sum runs."""
    return (WIDE_LINES > 1 and pixels >= WIDE_ROWS and s.depth >= WIDE_SUM
            and parts(pixels, WIDE_ROWS) * WIDE_ROWS <= parts(pixels, MR) * MR + pixels // 16)


cdef inline void sweep_lines(const Sweep* s, const real* top, ptrdiff_t rows, const ptrdiff_t* offset, const real* weight,
                             const real* bias, real* target, bint relu, ptrdiff_t lines) noexcept nogil:
    """Take the wide tile over all pixels of a band for WIDE_LINES of so many lines of outputs; the last tile may do some pixels again.

    Each of the first tiles has a line fetched that comes behind them.
    """
    cdef const real* x[WIDE_ROWS]
    cdef real* y[WIDE_ROWS]
    cdef ptrdiff_t pixels = rows * s.w.grid, line = s.depth * s.lanes, first, h, w, i, j
    cdef ptrdiff_t x_row = s.h.step * pitch(s), x_step = s.w.step * s.channels
    cdef ptrdiff_t y_row = s.h.stride * s.out_row, y_step = s.w.stride * s.outputs
    for i in range(parts(pixels, WIDE_ROWS)):
        first = min(i * WIDE_ROWS, pixels - WIDE_ROWS)
        h, w = first // s.w.grid, first % s.w.grid
        for j in range(WIDE_ROWS):
            x[j] = top + h * x_row + w * x_step
            y[j] = target + h * y_row + w * y_step
            w += 1
            if w == s.w.grid:
                w, h = 0, h + 1
        tile_wide(x, offset, s.runs, s.length, weight, line, bias, relu, y,
                  weight + (WIDE_LINES + i) * line if i < WIDE_LINES and WIDE_LINES + i < lines else weight)


cdef inline void sweep_line(const Sweep* s, const real* top, ptrdiff_t rows, const ptrdiff_t* offset, const real* weight,
                     const real* bias, real* target, ptrdiff_t used, bint relu) noexcept nogil:
    """Take the tile over all pixels of a band for one line of outputs: row by row where nothing much is wasted at the rows'
    ends, or where sums are short, else over a flat list of the pixels."""
    cdef const real* x[MAX_MR]
    cdef const real* init[MAX_MR]
    cdef real* y[MAX_MR]
    cdef real* result[MAX_MR]
    cdef real buffer[MAX_MR * 16]                        # where fewer than a line of outputs is wanted
    cdef ptrdiff_t pixels = rows * s.w.grid, done = 0, i, f, h = 0, w = 0
    cdef ptrdiff_t x_row = s.h.step * pitch(s), x_step = s.w.step * s.channels
    cdef ptrdiff_t y_row = s.h.stride * s.out_row, y_step = s.w.stride * s.outputs
    # w.taps: in an Affine layer the grid is the batch, on whose size results must not depend
    if used <= FEW_OUTPUTS and s.w.taps > 1 and s.w.grid >= DOTS and s.length % s.lanes == 0 and 0 < s.depth <= MOST_PRODUCTS:
        few_outputs(s, top, rows, offset, weight, bias, target, used, relu)
        return
    if used == s.lanes and s.w.grid >= MR and (s.w.grid % MR == 0 or s.depth <= SHORT):
        for h in range(rows):
            for i in range(parts(s.w.grid, MR)):
                w = min(i * MR, s.w.grid - MR)           # the last tile of a row may do some pixels again
                tile_row(top + h * x_row + w * x_step, x_step, offset, s.runs, s.length, weight, bias, relu,
                         target + h * y_row + w * y_step, y_step)
        return
    for i in range(MR):
        init[i] = bias
    cdef ptrdiff_t height = LESS if parts(pixels, LESS) * LESS < parts(pixels, MR) * MR else MR
    while done < pixels:
        for i in range(height):
            if done + i < pixels:
                x[i] = top + h * x_row + w * x_step
                result[i] = target + h * y_row + w * y_step
                y[i] = result[i] if used == s.lanes else buffer + i * s.lanes
                w = w + 1
                if w == s.w.grid:
                    w, h = 0, h + 1
            else:
                x[i] = x[0]
                y[i] = buffer + i * s.lanes
        if height == MR:
            tile(x, offset, s.runs, s.length, 1, weight, init, y)
        else:
            tile_less(x, offset, s.runs, s.length, 1, weight, bias, y)
        if relu:
            for i in range(height):
                for f in range(LINE_BYTES // <ptrdiff_t> sizeof(real)):
                    y[i][f] = 0 if y[i][f] <= 0 else y[i][f]
        if used < s.lanes:
            for i in range(min(height, pixels - done)):
                memcpy(result[i], y[i], used * sizeof(real))
        done += height
