"""Pooling's steps for one line of channels, as in ../native/max_line.h."""
from __future__ import annotations

import numba
import numpy as np
from llvmlite import ir
from numba import types
from numba.extending import intrinsic

from .lines import pointer, read_line, vector


@intrinsic
def larger(typingctx, best, x):
    """Return the larger of each two; nan wins."""
    def codegen(context, builder, signature, args):
        most, new = args
        most = builder.select(builder.fcmp_ordered(">", new, most), new, most)
        return builder.select(builder.fcmp_unordered("uno", new, new), new, most)
    return best(best, x), codegen


@intrinsic
def take(typingctx, x, best, left, dx, index):
    """Where x is the window's maximum or nan, add what is left of dout to dx[index:]; return what is left then."""
    def codegen(context, builder, signature, args):
        new, most, rest = args[:3]
        zero = ir.Constant(new.type, [0.0] * new.type.count)
        hit = builder.or_(builder.fcmp_ordered("==", new, most), builder.fcmp_unordered("uno", new, new))
        address = pointer(context, builder, dx, args[3], args[4], to=vector(dx.dtype))
        total = builder.fadd(read_line(builder, address, dx.dtype), builder.select(hit, rest, zero))
        builder.store(total, address, align=dx.dtype.bitwidth // 8)
        return builder.select(hit, zero, rest)
    return left(x, best, left, dx, types.intp), codegen


if numba.config.DISABLE_JIT:
    def larger(best, x):  # noqa: F811
        return np.maximum(best, x)

    def take(x, best, left, dx, index):  # noqa: F811
        hit = (x == best) | np.isnan(x)
        dx[index : index + len(x)] += np.where(hit, left, 0)
        return np.where(hit, 0, left)
