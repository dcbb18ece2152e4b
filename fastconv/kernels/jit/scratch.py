"""Memory that a loop takes for itself."""
from __future__ import annotations

import numpy as np

from .compile import inner
from .memory import LINE


@inner
def aligned(size, like):
    """Return memory for so many values of an array's dtype that begins at a cache line.

    A line (lines.py) is as long as one: what begins elsewhere is two accesses.
    """
    memory = np.empty(size + LINE // like.itemsize, like.dtype)
    first = (LINE - memory.ctypes.data % LINE) % LINE // like.itemsize
    return memory[first : first + size]
