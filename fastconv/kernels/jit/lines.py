"""Lines: 64 bytes of consecutive floats as one value, what a kernel holds in one or a few vector registers.

LLVM does not find the register tiles and transforms of a convolution in scalar loops (it reaches a tenth of the speed),
so they are written with lines: ``load``, ``store``, ``+ - * /``, and a few functions that choose. LLVM fits a line to
whatever vector registers the CPU has. Under ``NUMBA_DISABLE_JIT=1`` the twins of ``plain.py``, NumPy arrays, take their
place.
"""
from __future__ import annotations

import operator

import numba
from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.core.typing.templates import Signature
from numba.extending import intrinsic, models, overload, register_model
from numba.np.arrayobj import make_array

from . import plain

LINE_BYTES = 64


class LineType(types.Type):
    """Numba's type of a line."""

    def __init__(self, dtype: types.Float) -> None:
        self.dtype = dtype
        super().__init__(f"Line({dtype})")


@register_model(LineType)
class _LineModel(models.PrimitiveModel):
    def __init__(self, dmm, fe_type) -> None:
        super().__init__(dmm, fe_type, vector(fe_type.dtype))


def element(dtype: types.Float) -> ir.Type:
    """Return LLVM's type of one float."""
    return ir.FloatType() if dtype is types.float32 else ir.DoubleType()


def vector(dtype: types.Float) -> ir.VectorType:
    """Return LLVM's type of a line."""
    return ir.VectorType(element(dtype), LINE_BYTES * 8 // dtype.bitwidth)


def pointer(context, builder, array_type, array, index, to=None):
    """Return the address of ``array[index]``, as an address of `to` if given."""
    address = builder.gep(make_array(array_type)(context, builder, array).data, [index])
    return address if to is None else builder.bitcast(address, to.as_pointer())


def read_line(builder, address, dtype):
    """Load a line from an address; lines may start anywhere."""
    return builder.load(address, align=dtype.bitwidth // 8)


def splat(builder, value, kind: ir.VectorType):
    """Return a line full of one value."""
    first = builder.insert_element(ir.Constant(kind, ir.Undefined), value, ir.Constant(ir.IntType(32), 0))
    return builder.shuffle_vector(first, ir.Constant(kind, ir.Undefined),
                                  ir.Constant(ir.VectorType(ir.IntType(32), kind.count), [0] * kind.count))


def multiply_add(builder, a, b, c):
    """Return a * b + c, in one instruction where the CPU has it."""
    kind = a.type
    name = f"llvm.fmuladd.v{kind.count}{'f32' if isinstance(kind.element, ir.FloatType) else 'f64'}"
    function = builder.module.globals.get(name) or ir.Function(builder.module, ir.FunctionType(kind, [kind] * 3), name)
    return builder.call(function, [a, b, c])


# ---- memory

@intrinsic
def load(typingctx, array, index):
    """Return the line that begins at array[index]."""
    def codegen(context, builder, signature: Signature, args):
        address = pointer(context, builder, array, *args, to=vector(array.dtype))
        return read_line(builder, address, array.dtype)

    return LineType(array.dtype)(array, types.intp), codegen


@intrinsic
def store(typingctx, array, index, line):
    """Write a line to array[index:]."""
    def codegen(context, builder, signature, args):
        address = pointer(context, builder, array, *args[:2], to=vector(array.dtype))
        builder.store(args[2], address, align=array.dtype.bitwidth // 8)
        return context.get_dummy_value()

    return types.void(array, types.intp, line), codegen


@intrinsic
def lanes_of(typingctx, array):
    """Return how many values of the array's dtype a line holds, a constant to the compiler."""
    def codegen(context, builder, signature, args):
        return ir.Constant(ir.IntType(64), LINE_BYTES * 8 // array.dtype.bitwidth)

    return types.int64(array), codegen


@intrinsic
def fill(typingctx, array, value):
    """Return a line of the array's dtype, full of one value."""
    def codegen(context, builder, signature, args):
        return splat(builder, args[1], vector(array.dtype))

    return LineType(array.dtype)(array, array.dtype), codegen


@intrinsic
def zero(typingctx, array, index, count):
    """Write so many zeros to array[index:]."""
    def codegen(context, builder, signature, args):
        size = builder.mul(args[2], ir.Constant(ir.IntType(64), array.dtype.bitwidth // 8))
        cgutils.memset(builder, pointer(context, builder, array, *args[:2]), size, 0)
        return context.get_dummy_value()

    return types.void(array, types.intp, types.intp), codegen


@intrinsic
def copy(typingctx, array, index, source, source_index, count):
    """Copy so many elements of source[source_index:] to array[index:], elsewhere in memory."""
    def codegen(context, builder, signature, args):
        to, start = pointer(context, builder, array, *args[:2]), pointer(context, builder, source, *args[2:4])
        cgutils.raw_memcpy(builder, to, start, args[4], array.dtype.bitwidth // 8)
        return context.get_dummy_value()

    return types.void(array, types.intp, source, types.intp, types.intp), codegen


# ---- arithmetic

def _binary(name):
    @intrinsic
    def both(typingctx, a, b):
        def codegen(context, builder, signature, args):
            return getattr(builder, name)(*args, flags=("contract",))
        return a(a, b), codegen
    return both


@intrinsic
def _spread(typingctx, line, value):
    """Return a line like `line`, full of one value."""
    def codegen(context, builder, signature, args):
        return splat(builder, args[1], vector(line.dtype))
    return line(line, line.dtype), codegen


def _overload(python_operator, name):
    both = _binary(name)

    @overload(python_operator, inline="never", jit_options={"forceinline": True})
    def operate(a, b):
        if isinstance(a, LineType) and isinstance(b, LineType):
            return lambda a, b: both(a, b)
        if isinstance(a, LineType) and isinstance(b, types.Number):
            return lambda a, b: both(a, _spread(a, b))
        if isinstance(b, LineType) and isinstance(a, types.Number):
            return lambda a, b: both(_spread(b, a), b)


_overload(operator.add, "fadd")
_overload(operator.sub, "fsub")
_overload(operator.mul, "fmul")
_overload(operator.truediv, "fdiv")


@intrinsic
def root(typingctx, a):
    """Return the square root of each value."""
    def codegen(context, builder, signature, args):
        kind = args[0].type
        name = f"llvm.sqrt.v{kind.count}{'f32' if isinstance(kind.element, ir.FloatType) else 'f64'}"
        function = builder.module.globals.get(name) or ir.Function(builder.module, ir.FunctionType(kind, [kind]), name)
        return builder.call(function, args)
    return a(a), codegen


@intrinsic
def multiply_added(typingctx, a, x, b):
    """Return a + x * b for lines a, b and one value x."""
    def codegen(context, builder, signature, args):
        return multiply_add(builder, splat(builder, args[1], vector(a.dtype)), args[2], args[0])
    return a(a, a.dtype, b), codegen


@intrinsic
def widened(typingctx, a, half):
    """Return the first (0) or second (1) half of a line of float32 as a line of float64; one of float64 as it is."""
    def codegen(context, builder, signature, args):
        if a.dtype is types.float64:
            return args[0]
        kind, index = vector(types.float64), ir.VectorType(ir.IntType(32), 8)
        nothing = ir.Constant(args[0].type, ir.Undefined)
        lanes = [ir.Constant(index, list(range(n, n + 8))) for n in (0, 8)]
        halves = [builder.fpext(builder.shuffle_vector(args[0], nothing, half), kind) for half in lanes]
        return builder.select(builder.icmp_signed("==", args[1], ir.Constant(args[1].type, 0)), *halves)

    return LineType(types.float64)(a, types.intp), codegen


@intrinsic
def total(typingctx, a):
    """Return the sum of a line's values, in halves."""
    def codegen(context, builder, signature, args):
        line, count = args[0], args[0].type.count
        nothing = ir.Constant(line.type, ir.Undefined)
        while count > 1:
            count //= 2
            moved = [(i + count) % line.type.count for i in range(line.type.count)]
            line = builder.fadd(line, builder.shuffle_vector(
                line, nothing, ir.Constant(ir.VectorType(ir.IntType(32), len(moved)), moved)))
        return builder.extract_element(line, ir.Constant(ir.IntType(32), 0))

    return a.dtype(a), codegen


# ---- choice

def zero_where(builder, condition, line):
    return builder.select(condition, ir.Constant(line.type, [0.0] * line.type.count), line)


@intrinsic
def positive(typingctx, a):
    """Return 0 where a <= 0, else a; nan passes."""
    def codegen(context, builder, signature, args):
        zero = ir.Constant(args[0].type, [0.0] * args[0].type.count)
        return zero_where(builder, builder.fcmp_ordered("<=", args[0], zero), args[0])
    return a(a), codegen


@intrinsic
def where_positive(typingctx, mask, a):
    """Return 0 where mask <= 0, else a."""
    def codegen(context, builder, signature, args):
        zero = ir.Constant(args[0].type, [0.0] * args[0].type.count)
        return zero_where(builder, builder.fcmp_ordered("<=", args[0], zero), args[1])
    return a(mask, a), codegen


@intrinsic
def all_finite(typingctx, a):
    """Say whether no value is nan or infinite."""
    def codegen(context, builder, signature, args):
        zero = ir.Constant(args[0].type, [0.0] * args[0].type.count)
        found = builder.fcmp_ordered("==", builder.fmul(args[0], zero), zero)
        bits = ir.IntType(args[0].type.count)
        return builder.icmp_unsigned("==", builder.bitcast(found, bits), ir.Constant(bits, -1))
    return types.boolean(a), codegen


@intrinsic
def is_zero(typingctx, a):
    """Say whether all values are zero."""
    def codegen(context, builder, signature, args):
        found = builder.fcmp_unordered("!=", args[0], ir.Constant(args[0].type, [0.0] * args[0].type.count))
        bits = ir.IntType(args[0].type.count)
        return builder.icmp_unsigned("==", builder.bitcast(found, bits), ir.Constant(bits, 0))
    return types.boolean(a), codegen


DEAD = 4  # the fifth value of a winner: no pixel of the window is positive, and no gradient passes


@intrinsic
def relu_pool(typingctx, a, b, c, d, winner, index):
    """Return relu of the largest of four, the first of equals, nan before all; write which it was to winner[index:]."""
    def codegen(context, builder, signature, args):
        lines, zero = args[:4], ir.Constant(args[0].type, [0.0] * args[0].type.count)
        numbers = ir.VectorType(ir.IntType(8), zero.type.count)
        best, first = lines[0], _numbers(numbers, 0)
        for n in range(1, 4):
            larger = builder.fcmp_ordered(">", lines[n], best)
            first_nan = builder.and_(builder.fcmp_unordered("uno", lines[n], lines[n]),
                                     builder.fcmp_ordered("ord", best, best))
            wins = builder.or_(larger, first_nan)
            best = builder.select(wins, lines[n], best)
            first = builder.select(wins, _numbers(numbers, n), first)
        dead = builder.fcmp_ordered("<=", best, zero)
        address = pointer(context, builder, winner, args[4], args[5], to=numbers)
        builder.store(builder.select(dead, _numbers(numbers, DEAD), first), address, align=1)
        return builder.select(dead, zero, best)

    return a(a, b, c, d, winner, types.intp), codegen


@intrinsic
def where_won(typingctx, dout, winner, index, n):
    """Return dout where winner[index:] is n, else 0."""
    def codegen(context, builder, signature, args):
        numbers = ir.VectorType(ir.IntType(8), args[0].type.count)
        found = builder.load(pointer(context, builder, winner, args[1], args[2], to=numbers), align=1)
        lost = builder.icmp_unsigned("!=", found, splat(builder, builder.trunc(args[3], ir.IntType(8)), numbers))
        return zero_where(builder, lost, args[0])

    return dout(dout, winner, types.intp, types.intp), codegen


def _numbers(kind: ir.VectorType, n: int) -> ir.Constant:
    return ir.Constant(kind, [n] * kind.count)


if numba.config.DISABLE_JIT:
    from .plain import (  # noqa: F811
        all_finite,
        copy,
        fill,
        is_zero,
        lanes_of,
        load,
        multiply_added,
        positive,
        relu_pool,
        root,
        store,
        total,
        where_positive,
        where_won,
        widened,
        zero,
    )

__all__ = ["all_finite", "copy", "fill", "is_zero", "lanes_of", "load", "multiply_added", "plain", "positive",
           "relu_pool", "root", "store", "total", "where_positive", "where_won", "widened", "zero"]
