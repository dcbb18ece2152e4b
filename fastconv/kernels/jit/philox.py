"""Dropout's masks: Philox4x32-10, a counter-based generator (Salmon, Moraes, Dror, Shaw, "Parallel random numbers: as
easy as 1, 2, 3", SC11), as in ../native/philox.h. A block of four words is a function of its number and the key:

    c0' = high(c2 * M2) ^ c1 ^ key0     c1' = low(c2 * M2)
    c2' = high(c0 * M0) ^ c3 ^ key1     c3' = low(c0 * M0)

Words are the low halves of 64-bit numbers; where many are wanted, blocks lie side by side, one in each 64-bit lane.
"""
from __future__ import annotations

import numba
import numpy as np
from llvmlite import ir
from numba import types
from numba.extending import intrinsic

from .compile import inner
from .lines import element, pointer, splat

M0, M2 = 0xD2511F53, 0xCD9E8D57
KEY_STEPS = 0x9E3779B9, 0xBB67AE85
LOW_HALF = 2**32 - 1

LANES, VECTORS = 8, 2          # blocks in a vector; vectors whose rounds overlap
BLOCKS = VECTORS * LANES
WORDS = 4 * BLOCKS

WIDE_M0, WIDE_M2 = np.uint64(M0), np.uint64(M2)
WIDE_STEP0, WIDE_STEP1 = np.uint64(KEY_STEPS[0]), np.uint64(KEY_STEPS[1])
LOW, HIGH, NONE = np.uint64(LOW_HALF), np.uint64(32), np.uint64(0)


def dropout_threshold(ratio):
    """Return floor(ratio * 2**32), within -1, which every word exceeds, and 2**32 - 1, which none does (nor nan)."""
    if ratio < 0:
        return -1
    return int(ratio * 2.0**32) if ratio < 1 else LOW_HALF


@inner
def dropout_range(x, x_at, first, count, key, threshold, mask, mask_at, out, out_at):
    """mask[i] = word first + i of the key's sequence > threshold; out[i] = x[i] * mask[i]; for i < count.

    `first` is the place of x[x_at] in the whole array of the pass. out may be x.
    """
    done = min(-first % 4, count)
    few_words(x, x_at, first, done, key, threshold, mask, mask_at, out, out_at)
    while done + WORDS <= count:
        many_words(np.uint64((first + done) // 4), np.uint64(key), threshold, x, x_at + done, mask, mask_at + done, out,
                   out_at + done)
        done += WORDS
    few_words(x, x_at + done, first + done, count - done, key, threshold, mask, mask_at + done, out, out_at + done)


@inner
def few_words(x, x_at, first, count, key, threshold, mask, mask_at, out, out_at):
    """`dropout_range`, word by word."""
    one, zero = out.dtype.type(1), out.dtype.type(0)
    a = b = c = d = NONE
    for i in range(count):
        place = (first + i) % 4
        if i == 0 or place == 0:
            a, b, c, d = philox_block(np.uint64((first + i) // 4), np.uint64(key))
        word = a if place == 0 else b if place == 1 else c if place == 2 else d
        keep = np.int64(word) > threshold
        mask[mask_at + i] = keep
        out[out_at + i] = x[x_at + i] * (one if keep else zero)


@inner
def philox_block(block, key):
    """Return the four words of a block; block b has the counter (b % 2**32, b / 2**32, 0, 0)."""
    c0, c1, c2, c3 = block & LOW, block >> HIGH, NONE, NONE
    key0, key1 = key & LOW, key >> HIGH
    for _ in range(10):
        p0, p2 = c0 * WIDE_M0, c2 * WIDE_M2
        c0, c1 = (p2 >> HIGH) ^ c1 ^ key0, p2 & LOW
        c2, c3 = (p0 >> HIGH) ^ c3 ^ key1, p0 & LOW
        key0, key1 = (key0 + WIDE_STEP0) & LOW, (key1 + WIDE_STEP1) & LOW
    return c0, c1, c2, c3


@intrinsic
def many_words(typingctx, block, key, threshold, x, x_at, mask, mask_at, out, out_at):
    """`dropout_range` of WORDS values, x[x_at] the first of a block."""
    n = types.intp

    def codegen(context, builder, signature, args):
        block, key, threshold, x_, x_at, mask_, mask_at, out_, out_at = args
        # the 32-bit comparison cannot tell -1, of which all are kept
        all_kept = builder.icmp_signed("<", threshold, ir.Constant(threshold.type, 0))
        limit = builder.trunc(threshold, ir.IntType(32))
        parts = _rounds(builder, block, key)
        size = 4 * LANES
        for i, words in enumerate(parts):
            keep = builder.or_(builder.icmp_unsigned(">", words, splat(builder, limit, words.type)),
                               splat(builder, all_kept, ir.VectorType(ir.IntType(1), size)))
            reals, flags = ir.VectorType(element(out.dtype), size), ir.VectorType(ir.IntType(8), size)

            def place(kind, array, at, to, i=i):
                return pointer(context, builder, kind, array, builder.add(at, ir.Constant(at.type, i * size)), to=to)

            values = builder.load(place(x, x_, x_at, reals), align=x.dtype.bitwidth // 8)
            builder.store(builder.zext(keep, flags), place(mask, mask_, mask_at, flags), align=1)
            builder.store(builder.fmul(values, builder.uitofp(keep, reals)), place(out, out_, out_at, reals),
                          align=out.dtype.bitwidth // 8)
        return context.get_dummy_value()

    return types.void(types.uint64, types.uint64, n, x, n, mask, n, out, n), codegen


def _rounds(builder, block, key):
    """Emit the words of BLOCKS blocks, in their order, one vector for each of VECTORS."""
    wide, word = ir.VectorType(ir.IntType(64), LANES), ir.IntType(32)
    half, low = _all(wide, 32), _all(wide, LOW_HALF)
    key0, key1 = builder.trunc(key, word), builder.trunc(builder.lshr(key, ir.Constant(key.type, 32)), word)
    counters = []
    for v in range(VECTORS):
        c0 = builder.add(splat(builder, block, wide), ir.Constant(wide, list(range(v * LANES, (v + 1) * LANES))))
        counters.append([c0, builder.lshr(c0, half), _all(wide, 0), _all(wide, 0)])
    for _ in range(10):
        k0, k1 = (splat(builder, builder.zext(k, wide.element), wide) for k in (key0, key1))
        for c in counters:
            p0 = builder.mul(builder.and_(c[0], low), _all(wide, M0))
            p2 = builder.mul(builder.and_(c[2], low), _all(wide, M2))
            c[0] = builder.xor(builder.xor(builder.lshr(p2, half), builder.and_(c[1], low)), k0)
            c[2] = builder.xor(builder.xor(builder.lshr(p0, half), builder.and_(c[3], low)), k1)
            c[1], c[3] = p2, p0
        key0, key1 = (builder.add(k, ir.Constant(word, step)) for k, step in zip((key0, key1), KEY_STEPS, strict=True))
    return [_in_order(builder, c) for c in counters]


def _in_order(builder, c):
    """Return c0 c1 c2 c3 of the first block, then of the next, and so on, in 32 bits each."""
    narrow = [builder.trunc(x, ir.VectorType(ir.IntType(32), LANES)) for x in c]
    pairs = _list([i % 2 * LANES + i // 2 for i in range(2 * LANES)])
    front = builder.shuffle_vector(narrow[0], narrow[1], pairs)  # c0 c1 c0 c1 ...
    back = builder.shuffle_vector(narrow[2], narrow[3], pairs)
    blocks = _list([i // 2 % 2 * 2 * LANES + i // 4 * 2 + i % 2 for i in range(4 * LANES)])
    return builder.shuffle_vector(front, back, blocks)


def _all(kind: ir.VectorType, value: int) -> ir.Constant:
    return ir.Constant(kind, [value] * kind.count)


def _list(numbers: list[int]) -> ir.Constant:
    return ir.Constant(ir.VectorType(ir.IntType(32), len(numbers)), numbers)


if numba.config.DISABLE_JIT:
    def many_words(block, key, threshold, x, x_at, mask, mask_at, out, out_at):  # noqa: F811
        words = np.stack(philox_block(block + np.arange(BLOCKS, dtype=np.uint64), key), axis=1).reshape(-1)
        keep = words.astype(np.int64) > threshold
        mask[mask_at : mask_at + WORDS] = keep
        with np.errstate(invalid="ignore"):  # inf * 0
            out[out_at : out_at + WORDS] = x[x_at : x_at + WORDS] * keep
