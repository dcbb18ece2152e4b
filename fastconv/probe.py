"""What this machine can do at most, measured: the limits that benchmarks compare kernels with."""
from __future__ import annotations

import importlib
import time
from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from .threads import resolve

ROUNDS = 15
COPY_BYTES = 1 << 26  # several times the last-level cache's share of a core


class Limits(NamedTuple):
    """The best of several short runs on `threads` threads."""

    threads: int
    flops_per_second: float
    bytes_per_second: float


def limits(n_threads: int | None = None) -> Limits:
    """Measure float32 multiply-adds in registers and copies between large arrays, in about half a second.

    The instruction set is the one the kernels use; bytes count as read and as written.

    Raises
    ------
    ImportError
        If the compiled kernels are not installed.
    """
    from .kernels import native
    probe = importlib.import_module(f"{native.__name__}.{native.level}.probe")
    n = resolve(n_threads)
    source, target = np.ones(COPY_BYTES, np.uint8), np.empty(COPY_BYTES, np.uint8)
    return Limits(n, _best(lambda: probe.multiply_add(1_000_000, n)), _best(lambda: probe.copy(source, target, n)))


def _best(work: Callable[[], int]) -> float:
    """Return the highest amount of work per second."""
    work()
    rates = []
    for _ in range(ROUNDS):
        start = time.perf_counter()
        done = work()
        rates.append(done / (time.perf_counter() - start))
    return max(rates)
