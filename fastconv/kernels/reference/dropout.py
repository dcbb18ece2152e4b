"""Dropout (Srivastava et al., 2014), not inverted: the book scales at test time instead."""

from __future__ import annotations

import numpy as np

MULTIPLIERS = np.uint64(0xD2511F53), np.uint64(0xCD9E8D57)
KEY_STEPS = 0x9E3779B9, 0xBB67AE85
LOW, HIGH = np.uint64(2**32 - 1), np.uint64(32)  # a 64-bit number's low half, and how far the high one lies


def dropout_forward(x, key, ratio, mask, out, n_threads):
    """``mask[i] = word[i] > ratio * 2**32; out = x * mask``, i counting the elements in C order.

    Parameters
    ----------
    x : any shape
    key : int, 0 to 2**64 - 1
        Of the generator whose 32-bit words decide: `philox_words`.
    ratio : float
        Negative keeps everything, 1 drops everything.
    mask : bool, as x, overwritten
    out : as x, overwritten
    n_threads : int, ignored
    """
    words = philox_words(key, x.size).reshape(x.shape)
    np.greater(words, float(ratio) * 2.0**32, out=mask)
    np.multiply(x, mask, out=out)


def dropout_backward(dout, mask, dx, n_threads):
    """``dx = dout * mask``, `mask` (bool) from `dropout_forward`. `dx` is overwritten."""
    np.multiply(dout, mask, out=dx)


def philox_words(key, size):
    """Return the first `size` words, uint32, of Philox4x32-10 (Salmon et al., SC11), four of each block.

    Block b has the counter ``(b % 2**32, b // 2**32, 0, 0)``, `key` is ``key0 + 2**32 * key1``. Words are the low
    halves of 64-bit numbers here, the high halves are zero.
    """
    block = np.arange((size + 3) // 4, dtype=np.uint64)
    c0, c1, c2, c3 = block & LOW, block >> HIGH, np.zeros_like(block), np.zeros_like(block)
    key0, key1 = key % 2**32, key // 2**32
    for _ in range(10):
        p0, p2 = c0 * MULTIPLIERS[0], c2 * MULTIPLIERS[1]
        c0, c1 = (p2 >> HIGH) ^ c1 ^ np.uint64(key0), p2 & LOW
        c2, c3 = (p0 >> HIGH) ^ c3 ^ np.uint64(key1), p0 & LOW
        key0, key1 = (key0 + KEY_STEPS[0]) % 2**32, (key1 + KEY_STEPS[1]) % 2**32
    return np.stack((c0, c1, c2, c3), axis=1).astype(np.uint32).reshape(-1)[:size]
