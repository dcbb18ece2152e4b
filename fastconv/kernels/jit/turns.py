"""Tasks of a shared loop by turns, as ../native/pool.h gives them out.

    runs = runs_of(tasks, workers)
    for worker in prange(workers):
        for task in turns(runs, worker):
            ...

The tasks are cut into as many runs as there are workers. Each begins with its own run, the same in every loop, so that
it finds in its own cache what it wrote a layer before; then it helps with the runs behind it. ``prange(tasks)`` gives
each thread its part beforehand: where a thread comes late, or shares its core with another process, the loop takes as
long as that part does. `workers` is an argument: a function that asks Numba for it could not be kept on disk.
"""
from __future__ import annotations

import numba
import numpy as np
from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic
from numba.np.arrayobj import make_array, populate_array

from . import plain
from .compile import inline
from .lines import pointer

INT = ir.IntType(64)
RUNS = 64       # at most; more workers begin with the same ones
STEP = 16       # numbers from one run to the next, two cache lines: its next task, and the one behind its last


@intrinsic
def runs_of(typingctx, tasks, workers):
    """Return the runs of so many tasks: an array that lives as long as the function that asks for it runs."""
    row = types.Array(types.int64, 1, "C")

    def codegen(context, builder, signature, args):
        (tasks, workers), most = args, ir.Constant(INT, RUNS)
        runs = builder.select(builder.icmp_signed("<", workers, most), workers, most)
        numbers = cgutils.alloca_once(builder, INT, size=RUNS * STEP)
        with cgutils.for_range(builder, runs) as loop:
            at = builder.mul(loop.index, ir.Constant(INT, STEP))
            for place, run in enumerate((loop.index, builder.add(loop.index, ir.Constant(INT, 1)))):
                end = builder.sdiv(builder.mul(tasks, run), runs)
                builder.store(end, builder.gep(numbers, [builder.add(at, ir.Constant(INT, place))]))
        size, array = builder.mul(runs, ir.Constant(INT, STEP)), make_array(row)(context, builder)
        populate_array(array, numbers, [size], [ir.Constant(INT, 8)], ir.Constant(INT, 8), None)
        return array._getvalue()

    return row(types.int64, types.int64), codegen


@intrinsic
def take_task(typingctx, runs, at):
    """Return the next task of the run that stands at runs[at], which no other thread gets; -1 where there is none."""
    def codegen(context, builder, signature, args):
        address = pointer(context, builder, runs, *args)
        end = builder.load(builder.gep(address, [ir.Constant(INT, 1)]))
        found = cgutils.alloca_once_value(builder, ir.Constant(INT, -1))
        seen = builder.load_atomic(address, "monotonic", 8)
        with builder.if_then(builder.icmp_signed("<", seen, end)):
            task = builder.atomic_rmw("add", address, ir.Constant(INT, 1), "seq_cst")
            with builder.if_then(builder.icmp_signed("<", task, end)):
                builder.store(task, found)
        return builder.load(found)

    return types.int64(runs, types.int64), codegen


if numba.config.DISABLE_JIT:
    runs_of, take_task = plain.runs_of, plain.take_task


@inline
def turns(runs, worker):
    """Yield the tasks that fall to a worker."""
    at = np.int64(worker) * STEP % runs.size
    for _ in range(0, runs.size, STEP):
        task = take_task(runs, at)
        while task >= 0:
            yield task
            task = take_task(runs, at)
        at = at + STEP if at + STEP < runs.size else 0
