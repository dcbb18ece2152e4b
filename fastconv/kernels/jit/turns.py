"""Tasks of a shared loop by turns, as ../native/pool.h gives them out: each thread takes the next one that is left.

    turn = first_turn()
    for _ in prange(workers):
        task = take_number(turn)
        while task < tasks:
            ...
            task = take_number(turn)

``prange(tasks)`` gives each thread its part beforehand; where a thread comes late, or shares its CPU with another
process, the loop takes as long as that part does. `workers` is an argument: a function that asks Numba for it could
not be kept on disk.
"""
from __future__ import annotations

import numba
from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic
from numba.np.arrayobj import make_array, populate_array

from . import plain
from .lines import pointer

INT = ir.IntType(64)


@intrinsic
def first_turn(typingctx):
    """Return the counter of a loop's tasks, which lives as long as the function that asks for it runs."""
    row = types.Array(types.int64, 1, "C")

    def codegen(context, builder, signature, args):
        number, size = cgutils.alloca_once(builder, INT), ir.Constant(INT, 8)
        builder.store(ir.Constant(INT, 0), number)
        array = make_array(row)(context, builder)
        populate_array(array, number, [ir.Constant(INT, 1)], [size], size, None)
        return array._getvalue()

    return row(), codegen


@intrinsic
def take_number(typingctx, counter):
    """Return counter[0] and add one to it, at once for all threads."""
    def codegen(context, builder, signature, args):
        address = pointer(context, builder, counter, args[0], ir.Constant(INT, 0))
        return builder.atomic_rmw("add", address, ir.Constant(INT, 1), "seq_cst")

    return types.int64(counter), codegen


if numba.config.DISABLE_JIT:
    first_turn, take_number = plain.first_turn, plain.take_number
