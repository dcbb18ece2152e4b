"""Keep Numba's threads off the CPU of the thread they help, as ../native/apart.h does for the native pool.

Where no CPU looks idle, as in many virtual machines, Linux wakes a sleeping thread on its waker's CPU, and both share
it for some milliseconds.
"""
from __future__ import annotations

import ctypes
import os
from collections.abc import Callable
from typing import Any

TASKS = "/proc/self/task"


class Apart:
    """The threads that shared loops have made, and which CPU they were last kept off."""

    def __init__(self) -> None:
        self._helpers: set[int] = set()
        self._known = 1          # threads in the largest loop so far
        self._last: tuple[int, set[int]] | None = None
        self._cpu: Callable[[], int] | None = None
        if hasattr(os, "sched_setaffinity") and os.path.isdir(TASKS):
            self._cpu = getattr(ctypes.CDLL(None), "sched_getcpu", None)

    def run(self, n_threads: int, loop: Callable[..., Any], arguments: tuple[Any, ...]) -> Any:
        """Run a shared loop; the first one with so many threads makes them."""
        if self._cpu is None:
            return loop(*arguments)
        if n_threads > self._known:
            before = set(os.listdir(TASKS))
            result = loop(*arguments)
            self._helpers |= {int(task) for task in set(os.listdir(TASKS)) - before}
            self._known, self._last = n_threads, None
            return result
        self._keep()
        return loop(*arguments)

    def _keep(self) -> None:
        assert self._cpu is not None
        cpu, allowed = self._cpu(), os.sched_getaffinity(0)
        if (cpu, allowed) != self._last:
            self._last = cpu, allowed
            for task in self._helpers:
                try:
                    os.sched_setaffinity(task, allowed - {cpu} or allowed)
                except OSError:  # it has ended
                    pass
