"""Depthwise sweeps, one filter to each channel: a line of channels at a time, each lane with weights of its own.

Such a sweep counts as one group; its last line takes some channels again where they are no whole lines. What the tiles
do (their twins are in plain.py), all arrays flat:

    depthwise_tile   y[y_at + i*y_step : + lanes]  =  init[init_at : + lanes]  +  sum over t < taps of
                         x[x_at + i*x_step + offset[t] : + lanes]  *  w[w_at + t*lanes : + lanes],
                     with relu its positive part

    depthwise_taps   sums[t*lanes : + lanes]     +=  sum over h < rows, i < count of
                         x[x_at + h*x_row + i*x_step + offset[t] : + lanes]  *  d(h, i)
                     sums[taps*lanes : + lanes]  +=  sum of d(h, i)  =  dy[dy_at + h*dy_row + i*dy_step : + lanes]
"""
from __future__ import annotations

import math

import numba
from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

from . import plain
from .compile import inner
from .lines import element, load, multiply_add, pointer, read_line, splat, store, vector, zero, zero_where
from .sweep import first_output
from .tile import INT, MR, TALL, emit_loop

PIXELS = (MR + 1) // 2  # that share a line of weights


def depthwise_tile(rows: int):
    """Return the tile of so many pixels; those behind `last` are pixel `last` again."""
    if numba.config.DISABLE_JIT:
        return plain.depthwise_tile(rows)

    @intrinsic
    def run(typingctx, x, x_at, x_step, last, offset, taps, w, w_at, init, init_at, relu, y, y_at, y_step):
        n = types.intp

        def codegen(context, builder, signature, args):
            x_, x_at, x_step, last, offset_, taps, w_, w_at, init_, init_at, relu_, y_, y_at, y_step = args
            kind, dtype, align = vector(y.dtype).as_pointer(), y.dtype, y.dtype.bitwidth // 8
            pixels = [_smaller(builder, ir.Constant(INT, i), last) for i in range(rows)]
            x_first, y_first = pointer(context, builder, x, x_, x_at), pointer(context, builder, y, y_, y_at)
            starts = [builder.gep(x_first, [builder.mul(pixel, x_step)]) for pixel in pixels]
            offsets = pointer(context, builder, offset, offset_, ir.Constant(INT, 0))
            weights = pointer(context, builder, w, w_, w_at)
            first = read_line(builder, pointer(context, builder, init, init_, init_at, to=vector(dtype)), dtype)

            def term(t, sums):
                shift = builder.load(builder.gep(offsets, [t]))
                place = builder.gep(weights, [builder.mul(t, ir.Constant(INT, vector(dtype).count))])
                b = read_line(builder, builder.bitcast(place, kind), dtype)
                return [multiply_add(builder, read_line(builder, builder.bitcast(builder.gep(start, [shift]), kind),
                                                         dtype), b, total)
                        for start, total in zip(starts, sums, strict=True)]

            sums = emit_loop(builder, taps, [first] * rows, term)
            bounds = [ir.Constant(element(dtype), value) for value in (0.0, math.nan)]  # nothing is below nan
            bound = splat(builder, builder.select(cgutils.is_not_null(builder, relu_), *bounds), vector(dtype))
            for pixel, total in zip(pixels, sums, strict=True):
                to = builder.gep(y_first, [builder.mul(pixel, y_step)])
                kept = zero_where(builder, builder.fcmp_ordered("<=", total, bound), total)
                builder.store(kept, builder.bitcast(to, kind), align=align)
            return context.get_dummy_value()

        return types.void(x, n, n, n, offset, n, w, n, init, n, relu, y, n, n), codegen

    return run


def depthwise_taps(taps: int):
    """Return the tile of so many taps."""
    if numba.config.DISABLE_JIT:
        return plain.depthwise_taps(taps)

    @intrinsic
    def run(typingctx, x, x_at, x_row, x_step, offset, dy, dy_at, dy_row, dy_step, rows, count, sums):
        n = types.intp

        def codegen(context, builder, signature, args):
            x_, x_at, x_row, x_step, offset_, dy_, dy_at, dy_row, dy_step, rows, count, sums_ = args
            dtype, kind, align = sums.dtype, vector(sums.dtype).as_pointer(), sums.dtype.bitwidth // 8
            offsets = pointer(context, builder, offset, offset_, ir.Constant(INT, 0))
            shifts = [builder.load(builder.gep(offsets, [ir.Constant(INT, t)])) for t in range(taps)]
            x_first, dy_first = pointer(context, builder, x, x_, x_at), pointer(context, builder, dy, dy_, dy_at)
            places = [pointer(context, builder, sums, sums_, ir.Constant(INT, t * vector(dtype).count),
                              to=vector(dtype)) for t in range(taps + 1)]

            def row(h, totals):
                x_start = builder.gep(x_first, [builder.mul(h, x_row)])
                starts = [builder.gep(x_start, [shift]) for shift in shifts]
                dy_start = builder.gep(dy_first, [builder.mul(h, dy_row)])

                def pixel(i, totals):
                    b = read_line(builder, builder.bitcast(builder.gep(dy_start, [builder.mul(i, dy_step)]), kind),
                                  dtype)
                    below = _opaque(builder, builder.mul(i, x_step))
                    values = [read_line(builder, builder.bitcast(builder.gep(start, [below]), kind), dtype)
                              for start in starts]
                    return [*(multiply_add(builder, value, b, total)
                              for value, total in zip(values, totals[:taps], strict=True)),
                            builder.fadd(totals[taps], b)]

                return emit_loop(builder, count, totals, pixel)

            totals = emit_loop(builder, rows, [read_line(builder, place, dtype) for place in places], row)
            for total, place in zip(totals, places, strict=True):
                builder.store(total, place, align=align)
            return context.get_dummy_value()

        return types.void(x, n, n, n, offset, dy, n, n, n, n, n, sums), codegen

    return run


def _opaque(builder, index):
    """Return the index as LLVM can't see through: it would rather step the address of every tap than one index."""
    return builder.asm(ir.FunctionType(INT, [INT]), "", "=r,0", [index], side_effect=False)


def _smaller(builder, a, b):
    return builder.select(builder.icmp_signed("<", a, b), a, b)


tile_pixels = depthwise_tile(PIXELS)
tile_taps = depthwise_taps(TALL)


@inner
def depthwise_lines(s, x, top, rows, offset, packed, packed_at, bias_lines, bias_at, out, target, first_line,
                    last_line, relu):
    """Compute a band for some lines of channels: a few pixels of all lines, and those below them, after another."""
    x_row, x_step, line_size = s.h.step * s.pitch, s.w.step * s.channels, s.depth * s.lanes
    y_row, y_step = s.h.stride * s.out_row, s.w.stride * s.outputs
    for left in range(0, s.w.grid, PIXELS):
        last = min(PIXELS, s.w.grid - left) - 1
        for h in range(rows):
            at, to = top + h * x_row + left * x_step, target + h * y_row + left * y_step
            for line in range(first_line, last_line):
                c = first_output(s, line)
                tile_pixels(x, at + c, x_step, last, offset, s.depth, packed, packed_at + line * line_size, bias_lines,
                            bias_at + line * s.lanes, relu, out, to + c, y_step)


@inner
def depthwise_gradient(s, x, top, dout, dout_at, rows, line, entry, sums, sums_at, part, lists):
    """Add a band to the sums [depth + 1][lane] of a line of channels; the last is the bias's.

    `part` has room for TALL + 1 lines, `lists` for TALL numbers.
    """
    c, depth, lanes = first_output(s, line), s.depth, s.lanes
    for first in range(0, depth, TALL):
        used = min(TALL, depth - first)
        zero(part, 0, (TALL + 1) * lanes)
        for t in range(TALL):
            lists[t] = entry[first + min(t, used - 1)]
        tile_taps(x, top + c, s.h.step * s.pitch, s.w.step * s.channels, lists, dout, dout_at + c, s.out_row, s.outputs,
                  rows, s.w.grid, part)
        for t in range(used):
            at = sums_at + (first + t) * lanes
            store(sums, at, load(sums, at) + load(part, t * lanes))
        if first == 0:
            at = sums_at + depth * lanes
            store(sums, at, load(sums, at) + load(part, TALL * lanes))


__all__ = ["depthwise_gradient", "depthwise_lines", "depthwise_taps", "depthwise_tile"]
