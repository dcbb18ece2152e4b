"""Keep Numba's threads off the CPU of the thread they help, as ../native/apart.h does for the native pool.

Where no CPU looks idle, as in many virtual machines, Linux wakes a sleeping thread on its waker's CPU, and both share
it for some milliseconds.
"""
from __future__ import annotations

import ctypes
import os
from collections.abc import Callable

TASKS = "/proc/self/task"
LOOKS = 64  # loops between two looks at which CPUs are allowed, while the caller stays on its own


class Apart:
    """The threads that shared loops have made, and which CPU they were last kept off."""

    def __init__(self) -> None:
        self._helpers: set[int] = set()
        self._known = self._next = 1    # threads in the largest loop so far, and in the one that runs
        self._others: set[int] = set()  # the threads before a loop that makes more
        self._last, self._looks = -1, 0
        self._cpu: Callable[[], int] | None = None
        if hasattr(os, "sched_setaffinity") and os.path.isdir(TASKS):
            self._cpu = getattr(ctypes.CDLL(None), "sched_getcpu", None)

    def begin(self, n_threads: int) -> None:
        """Say that a loop begins on so many threads; the first one with so many makes them."""
        if self._cpu is None:
            return
        self._next = n_threads
        if n_threads > self._known:
            self._others = _tasks()
            return
        cpu, self._looks = self._cpu(), (self._looks + 1) % LOOKS
        if cpu != self._last or self._looks == 0:
            self._last = cpu
            self._keep_off(cpu)

    def end(self) -> None:
        """Say that it has done its work."""
        if self._cpu is not None and self._next > self._known:
            self._helpers |= _tasks() - self._others
            self._known, self._last = self._next, -1

    def _keep_off(self, cpu: int) -> None:
        allowed = os.sched_getaffinity(0)
        for task in self._helpers:
            try:
                os.sched_setaffinity(task, allowed - {cpu} or allowed)
            except OSError:  # it has ended
                pass


def _tasks() -> set[int]:
    """Return the numbers of this process' threads, none where they cannot be listed."""
    try:
        return {int(task) for task in os.listdir(TASKS)}
    except OSError:  # too many open files
        return set()
