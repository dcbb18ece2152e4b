"""The register tile: the one micro-kernel under convolution, its two gradients and GEMM, as in ../native/tile.h.

    y[y_at + i*y_step + j*y_line : + lanes]  =  init[...]  +  sum over r < runs, k < length of
        x[x_at + i*x_step + offset[r] + k*step]  *  w[w_at + j*w_line + (r*length + k)*lanes : + lanes]

for i < rows and j < lines, all arrays flat. rows * lines lines stay in registers while the sum runs. The rows of x may
be evenly spaced, or listed one by one (``listed_tile``). Each sum is taken in the same order wherever its row stands.
"""
from __future__ import annotations

import numba
from llvmlite import binding, ir
from numba import types
from numba.extending import intrinsic

from . import plain
from .lines import element, multiply_add, pointer, read_line, splat, vector

INT = ir.IntType(64)


def _tile_rows() -> int:
    """Return how many rows leave a few of the CPU's registers free (16 with SSE and AVX, 32 with AVX-512 and NEON)."""
    features = binding.get_host_cpu_features()
    if features.get("avx512f"):
        return 8
    return 6 if features.get("avx2") or features.get("neon") else 2


MR = _tile_rows()
TALL = 9 if MR == 8 else MR  # rows of a tile that takes the nine taps of a 3x3 filter at once, where registers suffice


def emit_loop(builder, count, values, body):
    """Emit ``for i in range(count): values = body(i, values)``; return the last values."""
    before = builder.block
    start, after = builder.append_basic_block("loop"), builder.append_basic_block("after")
    zero = ir.Constant(INT, 0)
    builder.cbranch(builder.icmp_signed("<", zero, count), start, after)
    builder.position_at_end(start)
    i = builder.phi(INT)
    i.add_incoming(zero, before)
    old = [builder.phi(value.type) for value in values]
    for phi, value in zip(old, values, strict=True):
        phi.add_incoming(value, before)
    new = body(i, old)
    following = builder.add(i, ir.Constant(INT, 1))
    end = builder.block
    i.add_incoming(following, end)
    for phi, value in zip(old, new, strict=True):
        phi.add_incoming(value, end)
    builder.cbranch(builder.icmp_signed("<", following, count), start, after)
    builder.position_at_end(after)
    last = [builder.phi(value.type) for value in values]
    for phi, first, value in zip(last, values, new, strict=True):
        phi.add_incoming(first, before)
        phi.add_incoming(value, end)
    return last


class _Sum:
    """Emits the sum of a tile: rows of x at the given addresses, lines of w `w_line` apart."""

    def __init__(self, context, builder, dtype) -> None:
        self.context, self.builder, self.dtype = context, builder, dtype
        self.lanes = vector(dtype).count

    def number(self, n: int) -> ir.Constant:
        return ir.Constant(INT, n)

    def line_at(self, address):
        return self.builder.bitcast(address, vector(self.dtype).as_pointer())

    def emit(self, rows, offsets, runs, length, step, w, w_line, lines, sums):
        """Return the sums [row][line], flat, with all products added."""
        builder = self.builder
        size = builder.mul(length, self.number(self.lanes))  # of w, below one run

        def run(r, sums):
            shift = builder.load(builder.gep(offsets, [r]))
            starts = [builder.gep(row, [shift]) for row in rows]
            w_run = builder.gep(w, [builder.mul(r, size)])

            def term(k, sums):
                at = builder.mul(k, step)
                weights = builder.gep(w_run, [builder.mul(k, self.number(self.lanes))])
                places = [builder.gep(weights, [builder.mul(w_line, self.number(j))]) for j in range(lines)]
                b = [read_line(builder, self.line_at(place), self.dtype) for place in places]
                new = []
                for i, start in enumerate(starts):
                    value = splat(builder, builder.load(builder.gep(start, [at])), vector(self.dtype))
                    new += [multiply_add(builder, value, b[j], sums[i * lines + j]) for j in range(lines)]
                return new

            return emit_loop(builder, length, sums, term)

        return emit_loop(builder, runs, sums, run)


def tile(rows: int, lines: int = 1):
    """Return the tile of so many evenly spaced rows and lines."""
    if numba.config.DISABLE_JIT:
        return plain.tile(rows, lines)

    @intrinsic
    def run(typingctx, x, x_at, x_step, offset, offset_at, runs, length, step, w, w_at, w_line, init, init_at,
            init_step, init_line, y, y_at, y_step, y_line):
        n = types.intp

        def codegen(context, builder, signature, args):
            (x_, x_at, x_step, offset_, offset_at, runs, length, step, w_, w_at, w_line,
             init_, init_at, init_step, init_line, y_, y_at, y_step, y_line) = args
            s = _Sum(context, builder, y.dtype)

            def places(array_type, array, at, row_step, line_step):
                first = pointer(context, builder, array_type, array, at)
                return [builder.gep(first, [builder.add(builder.mul(row_step, s.number(i)),
                                                        builder.mul(line_step, s.number(j)))])
                        for i in range(rows) for j in range(lines)]

            x_first = pointer(context, builder, x, x_, x_at)
            x_rows = [builder.gep(x_first, [builder.mul(x_step, s.number(i))]) for i in range(rows)]
            starts = places(init, init_, init_at, init_step, init_line)
            sums = [read_line(builder, s.line_at(p), y.dtype) for p in starts]
            sums = s.emit(x_rows, pointer(context, builder, offset, offset_, offset_at), runs, length, step,
                          pointer(context, builder, w, w_, w_at), w_line, lines, sums)
            for p, total in zip(places(y, y_, y_at, y_step, y_line), sums, strict=True):
                builder.store(total, s.line_at(p), align=y.dtype.bitwidth // 8)
            return context.get_dummy_value()

        return types.void(x, n, n, offset, n, n, n, n, w, n, n, init, n, n, n, y, n, n, n), codegen

    return run


def listed_tile(rows: int):
    """Return the tile of so many rows that stand at x_at[list_at + i], with their init and y likewise."""
    if numba.config.DISABLE_JIT:
        return plain.listed_tile(rows)

    @intrinsic
    def run(typingctx, x, x_at, offset, offset_at, runs, length, step, w, w_at, init, init_at, y, y_at, list_at):
        n = types.intp

        def codegen(context, builder, signature, args):
            (x_, x_at_, offset_, offset_at, runs, length, step, w_, w_at, init_, init_at_, y_, y_at_, list_at) = args
            s = _Sum(context, builder, y.dtype)

            def places(array_type, array, list_type, listed):
                numbers = pointer(context, builder, list_type, listed, list_at)
                return [pointer(context, builder, array_type, array, builder.load(builder.gep(numbers, [s.number(i)])))
                        for i in range(rows)]

            x_rows = places(x, x_, x_at, x_at_)
            sums = [read_line(builder, s.line_at(p), y.dtype) for p in places(init, init_, init_at, init_at_)]
            sums = s.emit(x_rows, pointer(context, builder, offset, offset_, offset_at), runs, length, step,
                          pointer(context, builder, w, w_, w_at), s.number(0), 1, sums)
            for p, total in zip(places(y, y_, y_at, y_at_), sums, strict=True):
                builder.store(total, s.line_at(p), align=y.dtype.bitwidth // 8)
            return context.get_dummy_value()

        return types.void(x, x_at, offset, n, n, n, n, w, n, init, init_at, y, y_at, n), codegen

    return run


__all__ = ["MR", "TALL", "element", "emit_loop", "listed_tile", "tile"]
