"""What a row of any length needs beside whole lines: its last, partly filled line, and one value of all lanes."""
from __future__ import annotations

from functools import partial

import numba
import numpy as np
from llvmlite import ir
from numba import types
from numba.extending import intrinsic

from .lines import LINE_BYTES, LineType, pointer, splat, vector


@intrinsic
def load_part(typingctx, array, index, count, value):
    """Return the line of array[index : index + count], filled up with `value`; nothing behind it is read."""
    def codegen(context, builder, signature, args):
        kind = vector(array.dtype)
        return _masked(builder, "load", kind, args[2],
                       lambda mask: [pointer(context, builder, array, *args[:2], to=kind), _align(array), mask,
                                     splat(builder, args[3], kind)])
    return LineType(array.dtype)(array, types.intp, types.intp, array.dtype), codegen


@intrinsic
def store_part(typingctx, array, index, line, count):
    """Write the first `count` values of a line to array[index:]."""
    def codegen(context, builder, signature, args):
        kind = vector(array.dtype)
        _masked(builder, "store", kind, args[3],
                lambda mask: [args[2], pointer(context, builder, array, *args[:2], to=kind), _align(array), mask])
        return context.get_dummy_value()
    return types.void(array, types.intp, line, types.intp), codegen


@intrinsic
def line_sum(typingctx, line):
    """Return the sum of a line: its halves are added until one value is left."""
    def codegen(context, builder, signature, args):
        return _halved(builder, args[0], builder.fadd)
    return line.dtype(line), codegen


@intrinsic
def most(typingctx, a, b):
    """Return the larger of each two, either of them where one is nan."""
    def codegen(context, builder, signature, args):
        return _larger(builder, *args)
    return a(a, b), codegen


@intrinsic
def line_max(typingctx, line):
    """Return the largest value of a line, or any where one is nan."""
    def codegen(context, builder, signature, args):
        return _halved(builder, args[0], partial(_larger, builder))
    return line.dtype(line), codegen


def _larger(builder, a, b):
    return builder.select(builder.fcmp_ordered(">", a, b), a, b)


def _masked(builder, what, kind, count, arguments):
    """Call LLVM's masked load or store for the first `count` lanes."""
    lanes = kind.count
    numbers = ir.Constant(ir.VectorType(ir.IntType(32), lanes), list(range(lanes)))
    count = builder.trunc(count, ir.IntType(32))
    values = arguments(builder.icmp_signed("<", numbers, splat(builder, count, numbers.type)))
    returns = kind if what == "load" else ir.VoidType()
    name = f"llvm.masked.{what}.v{lanes}{'f32' if isinstance(kind.element, ir.FloatType) else 'f64'}.p0"
    function = (builder.module.globals.get(name)
                or ir.Function(builder.module, ir.FunctionType(returns, [value.type for value in values]), name))
    return builder.call(function, values)


def _align(array):
    return ir.Constant(ir.IntType(32), array.dtype.bitwidth // 8)


def _halved(builder, line, join):
    count = line.type.count
    while count > 1:
        count //= 2
        kind = ir.VectorType(ir.IntType(32), count)
        first, second = (ir.Constant(kind, list(range(at, at + count))) for at in (0, count))
        line = join(builder.shuffle_vector(line, line, first), builder.shuffle_vector(line, line, second))
    return builder.extract_element(line, ir.Constant(ir.IntType(32), 0))


if numba.config.DISABLE_JIT:
    def load_part(array, index, count, value):  # noqa: F811
        line = np.full(LINE_BYTES // array.itemsize, value, array.dtype)
        line[:count] = array[index : index + count]
        return line

    def store_part(array, index, line, count):  # noqa: F811
        array[index : index + count] = line[:count]

    def line_sum(line):  # noqa: F811
        return line.sum()

    def most(a, b):  # noqa: F811
        return np.maximum(a, b)

    def line_max(line):  # noqa: F811
        return line.max()
