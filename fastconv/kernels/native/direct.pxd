"""A sweep as it is defined: the register tile reads the image where the column matrix would be."""
from libc.stddef cimport ptrdiff_t
from libc.string cimport memcpy

from .common cimport MAX_MR, MR, real, tile
from .sweep cimport Sweep, band, pitch, run_offsets


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
                     ptrdiff_t row, ptrdiff_t first_line, ptrdiff_t last_line, real* out, char* private) noexcept nogil:
    """Compute one band of one image for some lines of outputs."""
    cdef ptrdiff_t* offset = <ptrdiff_t*> private
    cdef real* buffer = <real*> (offset + s.runs)
    cdef ptrdiff_t rows = min(s.rows, s.h.grid - row)
    cdef const real* top = band(s, source, image, row, rows, buffer)
    cdef real* target = out + ((image * s.h.size + s.h.first + row * s.h.stride) * s.w.size + s.w.first) * s.outputs
    cdef ptrdiff_t line
    for line in range(first_line, last_line):
        run_offsets(s, line // s.blocks, offset)
        sweep_line(s, top, rows, offset, packed + line * s.depth * s.lanes, bias_lines + line * s.lanes,
                   target + line // s.blocks * s.group_outputs + line % s.blocks * s.lanes,
                   min(s.lanes, s.group_outputs - line % s.blocks * s.lanes))


cdef inline void sweep_line(const Sweep* s, const real* top, ptrdiff_t rows, const ptrdiff_t* offset, const real* weight,
                     const real* bias, real* target, ptrdiff_t used) noexcept nogil:
    """Take the tile over all pixels of a band, a flat list over its rows, for one line of outputs."""
    cdef const real* x[MAX_MR]
    cdef const real* init[MAX_MR]
    cdef real* y[MAX_MR]
    cdef real* result[MAX_MR]
    cdef real buffer[MAX_MR * 16]                        # where fewer than a line of outputs is wanted
    cdef ptrdiff_t pixels = rows * s.w.grid, done = 0, i, h = 0, w = 0
    cdef ptrdiff_t x_row = s.h.step * pitch(s), x_step = s.w.step * s.channels
    cdef ptrdiff_t y_row = s.h.stride * s.w.size * s.outputs, y_step = s.w.stride * s.outputs
    for i in range(MR):
        init[i] = bias
    while done < pixels:
        for i in range(MR):
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
        tile(x, offset, s.runs, s.length, 1, weight, init, y)
        if used < s.lanes:
            for i in range(min(MR, pixels - done)):
                memcpy(result[i], y[i], used * sizeof(real))
        done += MR
