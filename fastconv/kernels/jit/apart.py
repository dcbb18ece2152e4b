"""Keep Numba's threads off the CPU of the thread they help, as ../native/apart.h does for the native pool.

Where no CPU looks idle, as in many virtual machines, Linux wakes a sleeping thread on its waker's CPU, and both share
it for some milliseconds.
"""
from __future__ import annotations

import ctypes
import os
from collections.abc import Callable

TASKS = "/proc/self/task"


class Apart:
    """The threads that shared loops have made, and which CPU they were last kept off."""

    def __init__(self) -> None:
        self._helpers: set[int] = set()
        self._known = 1                      # threads in the largest loop so far
        self._others: set[str] | None = None  # the threads before a loop that makes more
        self._last = -1
        self._cpu: Callable[[], int] | None = None
        if hasattr(os, "sched_setaffinity") and os.path.isdir(TASKS):
            self._cpu = getattr(ctypes.CDLL(None), "sched_getcpu", None)

    def begin(self, n_threads: int) -> None:
        """Say that a loop begins on so many threads; the first one with so many makes them."""
        if self._cpu is None:
            return
        if n_threads > self._known:
            self._known, self._others, self._last = n_threads, set(os.listdir(TASKS)), -1
            return
        cpu = self._cpu()
        if cpu != self._last:
            self._last = cpu
            self._keep_off(cpu)

    def end(self) -> None:
        """Say that it has ended."""
        if self._others is not None:
            self._helpers |= {int(task) for task in set(os.listdir(TASKS)) - self._others}
            self._others = None

    def _keep_off(self, cpu: int) -> None:
        allowed = os.sched_getaffinity(0)
        for task in self._helpers:
            try:
                os.sched_setaffinity(task, allowed - {cpu} or allowed)
            except OSError:  # it has ended
                pass
