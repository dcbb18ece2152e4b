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
import numpy as np
from llvmlite import ir
from numba import types
from numba.extending import intrinsic

from . import plain
from .compile import inline
from .lines import pointer


@inline
def first_turn():
    """Return the counter of a loop's tasks."""
    return np.zeros(1, np.int64)


@intrinsic
def take_number(typingctx, counter):
    """Return counter[0] and add one to it, at once for all threads."""
    def codegen(context, builder, signature, args):
        zero = ir.Constant(ir.IntType(64), 0)
        address = pointer(context, builder, counter, args[0], zero)
        return builder.atomic_rmw("add", address, ir.Constant(ir.IntType(64), 1), "seq_cst")

    return types.int64(counter), codegen


if numba.config.DISABLE_JIT:
    take_number = plain.take_number
