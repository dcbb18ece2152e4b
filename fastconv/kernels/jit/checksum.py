"""A 64-bit sum that tells whether an array is still the same, without a copy of it; that of ../native/checksum.h.

    sum = turned(sum ^ value) * PRIME       over every SUMS-th value of 64 bits, SUMS sums side by side

Every step can be undone, so one change is always seen.
"""
from __future__ import annotations

import numba
import numpy as np
from llvmlite import ir
from numba import types
from numba.extending import intrinsic

from . import plain
from .compile import inner
from .lines import copy, pointer
from .tile import emit_loop

PRIME = np.uint64(0x9E3779B97F4A7C15)
LANES, CHAINS = 8, 4
SUMS = LANES * CHAINS
BLOCK_BYTES = SUMS * 8
TURN, BACK = np.uint64(29), np.uint64(35)


@inner
def checksum(x, first, last):
    """Return the checksum of x[first:last]."""
    block, size = BLOCK_BYTES // x.itemsize, last - first
    blocks = size // block
    sums, rest, total = np.empty(SUMS, np.uint64), np.zeros(block, x.dtype), np.uint64(size)
    for i in range(SUMS):
        sums[i] = PRIME * np.uint64(i + 1)
    add_blocks(sums, x, first, blocks)
    copy(rest, 0, x, first + blocks * block, size - blocks * block)
    add_blocks(sums, rest, 0, 1)
    for i in range(SUMS):
        mixed = total ^ sums[i]
        total = ((mixed << TURN) | (mixed >> BACK)) * PRIME
    return total


@intrinsic
def add_blocks(typingctx, sums, x, first, blocks):
    """Add so many blocks of x[first:] to the sums."""
    def codegen(context, builder, signature, args):
        line, zero = ir.VectorType(ir.IntType(64), LANES), ir.Constant(ir.IntType(64), 0)
        places = [builder.gep(pointer(context, builder, sums, args[0], zero, to=line),
                              [ir.Constant(ir.IntType(64), chain)]) for chain in range(CHAINS)]
        values = pointer(context, builder, x, *args[1:3], to=line)

        def add(number, before):
            block, after = builder.mul(number, ir.Constant(number.type, CHAINS)), []
            for chain, old in enumerate(before):
                place = builder.gep(values, [builder.add(block, ir.Constant(number.type, chain))])
                mixed = builder.xor(old, builder.load(place, align=x.dtype.bitwidth // 8))
                turned = builder.or_(builder.shl(mixed, _all(line, TURN)), builder.lshr(mixed, _all(line, BACK)))
                after.append(builder.mul(turned, _all(line, PRIME)))
            return after

        last = emit_loop(builder, args[3], [builder.load(place, align=8) for place in places], add)
        for place, value in zip(places, last, strict=True):
            builder.store(value, place, align=8)
        return context.get_dummy_value()

    return types.void(sums, x, types.intp, types.intp), codegen


def _all(line, value):
    return ir.Constant(line, [int(value)] * LANES)


if numba.config.DISABLE_JIT:
    add_blocks = plain.add_blocks  # noqa: F811
    checksum = np.errstate(over="ignore")(checksum)
