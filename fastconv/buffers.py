"""Memory for large results, used again as soon as nobody holds the result any more.

The system hands out a large array as pages of zeros, at one page fault for each 4 KiB, and takes them back when it is
freed: for 10 MB that takes longer than a ReLU. So the memory stays here. Every array on a block, views of views too,
refers to the array that owns its memory; where only the block itself does, it is free.

Blocks begin at a cache line, and not all at the same place of a page: such are the same sets of a cache, so that arrays
that are gone through side by side would drive each other out.
"""
from __future__ import annotations

import math
import os
import sys
import threading
from typing import Any

import numpy as np
from numpy.typing import NDArray

LEAST = 1 << 18      # bytes; a smaller array the C library hands out again by itself
MOST_KEPT = 1 << 30  # bytes that nobody uses
SLACK = 1 << 27      # bytes beyond those once in use: what is free when it is needed may have other sizes
# without it sanitizers see where each array ends; and only a lock on all threads makes a count of references the truth
REUSE = os.environ.get("FASTCONV_REUSE_MEMORY", "1") != "0" and getattr(sys, "_is_gil_enabled", lambda: True)()

_ROUND = 1 << 16
_LINE = 64
_PLACES = 32         # lines of a page where blocks begin


class Buffers(threading.local):
    """Blocks of memory by their size; each thread has its own.

    All blocks together are never larger than those in use once were and `SLACK`, and the free ones never than
    `MOST_KEPT`.

    Attributes
    ----------
    peak : int
        Bytes that were in use at once.
    """

    def __init__(self) -> None:
        self.peak = 0
        self._blocks: dict[int, list[NDArray[np.uint8]]] = {}
        self._made = 0
        probe = [_block(_ROUND, 0)]
        self._free = sys.getrefcount(probe[0].base)  # references to the memory of a block that nobody uses

    def take(self, size: int) -> NDArray[np.uint8]:
        """Return a block of at least `size` bytes that nobody uses; it is in use while something refers to its base."""
        if not REUSE:
            return np.empty(size, np.uint8)[:]
        size = -(-size // _ROUND) * _ROUND
        blocks = self._blocks.setdefault(size, [])
        for i in range(len(blocks)):
            if sys.getrefcount(blocks[i].base) == self._free:
                return blocks[i]
        self._make_room(size)
        block = _block(size, self._made % _PLACES)
        self._made += 1
        blocks.append(block)
        return block

    def sizes(self) -> tuple[int, int]:
        """Return the bytes in use and the bytes that are free."""
        total = sum(size * len(blocks) for size, blocks in self._blocks.items())
        free = sum(size for size, _ in self._unused())
        return total - free, free

    def _unused(self) -> list[tuple[int, int]]:
        """Return the size of each free block and its place in the list of that size."""
        return [(size, i) for size, blocks in self._blocks.items() for i in range(len(blocks))
                if sys.getrefcount(blocks[i].base) == self._free]

    def _make_room(self, size: int) -> None:
        """Give free blocks back, the largest first, as far as one more of this size needs it."""
        used, free = self.sizes()
        self.peak = max(self.peak, used + size)
        for n, i in sorted(self._unused(), reverse=True):  # of one size the last first: the others keep their places
            if used + size + free <= self.peak + SLACK and free <= MOST_KEPT:
                break
            del self._blocks[n][i]
            free -= n


def _block(size: int, place: int) -> NDArray[np.uint8]:
    """Return new memory that begins at a line, `place` lines behind the first."""
    memory = np.empty(size + (_PLACES + 1) * _LINE, np.uint8)
    start = -memory.__array_interface__["data"][0] % _LINE + place * _LINE
    return memory[start:start + size]


buffers = Buffers()


def empty(shape: tuple[int, ...], dtype: np.dtype[Any]) -> NDArray[Any]:
    """Return a new array as ``numpy.empty`` does, if it is large on memory that was used before."""
    size = math.prod(shape) * dtype.itemsize
    if size < LEAST:
        return np.empty(shape, dtype)
    try:
        return buffers.take(size)[:size].view(dtype).reshape(shape)
    except MemoryError:
        raise MemoryError(f"fastconv: no memory for an array of shape {shape} and dtype {dtype}, "
                          f"{size:,} bytes") from None


def empty_like(x: NDArray[Any]) -> NDArray[Any]:
    """Return a new array in the shape and dtype of a contiguous one."""
    return np.empty(x.shape, x.dtype) if x.nbytes < LEAST else empty(x.shape, x.dtype)
