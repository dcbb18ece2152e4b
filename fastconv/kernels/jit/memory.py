"""Arrays as compiled functions take them: flat, and of one type whether they may be written to or not."""
from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np

LINE = 64              # bytes of a cache line
SERIAL_WORK = 1 << 22  # multiply-adds of a convolution or product that one thread does sooner than it wakes another
SERIAL_SIZE = 1 << 17  # the same for operations that do little to each element: elements


def flat(x: np.ndarray) -> np.ndarray:
    """Return a contiguous array as one row.

    Numba compiles anew for read-only arrays; these come back as writable views, which no kernel writes to.
    """
    row = x.reshape(-1)
    return row if row.flags.writeable else np.asarray(_Address(row))


def zeros(size: int, dtype: np.dtype[Any]) -> np.ndarray:
    """Return a row of zeros that begins at a cache line."""
    memory = np.zeros(size * dtype.itemsize + LINE, np.uint8)
    start = -memory.__array_interface__["data"][0] % LINE
    return memory[start : start + size * dtype.itemsize].view(dtype)


@cache
def none(dtype: Any) -> np.ndarray:
    """Return what stands for an array that is not given."""
    return np.empty(0, dtype)


class _Address:
    """Read-only memory that NumPy does not know to be read-only."""

    def __init__(self, row: np.ndarray) -> None:
        interface = dict(row.__array_interface__)
        interface["data"] = interface["data"][0], False
        self.__array_interface__ = interface
        self.row = row
