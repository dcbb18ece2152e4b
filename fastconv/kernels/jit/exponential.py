"""exp(x) of one value or of a line, for loops that LLVM vectorises; the method is that of ../native/exponential.h.

    x = n*ln 2 + r with |r| <= ln(2)/2,   exp(x) = 2**n * exp(r)

exp(r) by its Taylor polynomial, 2**n by its exponent bits, in two factors so that n may pass the largest exponent.
Within 2 units in the last place; nan passes, overflow gives inf.
"""
from __future__ import annotations

from math import factorial
from typing import NamedTuple

import numba
import numpy as np
from llvmlite import ir
from numba import types
from numba.extending import intrinsic

from .lines import LineType


class _Method(NamedTuple):
    """What depends on the float's size. Adding `to_integer` and taking it off again rounds to an integer, which is left
    in the low bits on the way; `ln2` is in two parts, the first with so few digits that n times it is exact."""

    bits: int
    mantissa: int
    bias: int
    to_integer: float
    ln2: tuple[float, float]
    smallest: float
    largest: float
    terms: int


METHODS = {
    types.float32: _Method(32, 23, 127, 12582912.0, (0.693359375, -2.12194440054690583e-4), -104.0, 89.0, 8),
    types.float64: _Method(64, 52, 1023, 6755399441055744.0, (6.93147180369123816490e-01, 1.90821492927058770002e-10),
                           -746.0, 710.0, 14),
}


@intrinsic
def exponential(typingctx, x):
    """Return exp(x)."""
    def codegen(context, builder, signature, args):
        return _emit(builder, args[0], METHODS[x.dtype if isinstance(x, LineType) else x])

    return x(x), codegen


def _emit(builder, x, method):
    kind = x.type
    count = kind.count if isinstance(kind, ir.VectorType) else 0
    integer = ir.IntType(method.bits)
    integers = ir.VectorType(integer, count) if count else integer

    def real(value):
        return ir.Constant(kind, [value] * count if count else value)

    def whole(value):
        return ir.Constant(integers, [value] * count if count else value)

    def plus_product(a, b, c):
        return builder.fadd(builder.fmul(b, c, flags=("contract",)), a, flags=("contract",))

    def power(n):
        return builder.bitcast(builder.shl(builder.add(n, whole(method.bias)), whole(method.mantissa)), kind)

    largest, smallest, to_integer = real(method.largest), real(method.smallest), real(method.to_integer)
    x = builder.select(builder.fcmp_ordered(">", x, largest), largest, x)
    x = builder.select(builder.fcmp_ordered("<", x, smallest), smallest, x)
    rounded = plus_product(to_integer, x, real(1.4426950408889634074))
    n = builder.fsub(rounded, to_integer)
    r = plus_product(plus_product(x, n, real(-method.ln2[0])), n, real(-method.ln2[1]))
    p = real(1 / factorial(method.terms - 1))
    for i in reversed(range(method.terms - 1)):
        p = plus_product(real(1 / factorial(i)), p, r)
    exponent = builder.sub(builder.bitcast(rounded, integers), builder.bitcast(to_integer, integers))
    first = builder.ashr(exponent, whole(1))
    return builder.fmul(builder.fmul(p, power(first)), power(builder.sub(exponent, first)))


if numba.config.DISABLE_JIT:
    def exponential(x):  # noqa: F811
        with np.errstate(over="ignore", under="ignore"):
            return np.exp(x)
