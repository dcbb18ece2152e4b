"""How many threads a kernel uses: one rule, in this file.

The first of these that is set decides:

1. the ``n_threads`` argument of a kernel,
2. ``with threads(n)``, then ``set_num_threads(n)``,
3. the environment: ``FASTCONV_NUM_THREADS``, then ``OMP_NUM_THREADS``,
4. the CPUs this process may use: its affinity, capped by the container's (cgroup) CPU quota.
"""
from __future__ import annotations

import contextlib
import math
import os
import warnings
from collections.abc import Iterator
from contextvars import ContextVar
from pathlib import Path

from .shapes import whole

MOST = 1024  # each has working memory of its own

_process_default: int | None = None
_local: ContextVar[int | None] = ContextVar("fastconv_threads", default=None)


def get_num_threads() -> int:
    """Return the number of threads that kernels use when nothing else is asked for."""
    return _local.get() or _process_default or _initial_default()


def set_num_threads(n: int) -> None:
    """Set the number of threads for the whole process, 1 to `MOST`."""
    global _process_default
    _process_default = _positive(n, "set_num_threads")


@contextlib.contextmanager
def threads(n: int) -> Iterator[None]:
    """Use `n` threads inside the ``with`` block, in this Python thread only."""
    token = _local.set(_positive(n, "threads"))
    try:
        yield
    finally:
        _local.reset(token)


def resolve(n_threads: int | None) -> int:
    """Return the thread count for one kernel call; `n_threads` is the caller's own wish or None."""
    return get_num_threads() if n_threads is None else _positive(n_threads, "n_threads")


def usable_cpus() -> int:
    """Return the CPUs this process may use: min(affinity, cgroup quota), at least 1."""
    if hasattr(os, "sched_getaffinity"):
        cpus = len(os.sched_getaffinity(0))
    else:
        cpus = os.cpu_count() or 1
    quota = cgroup_quota()
    return max(1, cpus if quota is None else min(cpus, math.ceil(quota)))


def cgroup_quota(root: str | os.PathLike[str] = "/sys/fs/cgroup") -> float | None:
    """Return the container's CPU quota in CPUs, or None where there is none (cgroup v2 ``cpu.max``, v1 ``cfs``)."""
    try:
        quota, period = (Path(root) / "cpu.max").read_text().split()
    except (OSError, ValueError):
        try:
            quota = (Path(root) / "cpu" / "cpu.cfs_quota_us").read_text().strip()
            period = (Path(root) / "cpu" / "cpu.cfs_period_us").read_text().strip()
        except OSError:
            return None
    try:
        return float(quota) / float(period) if float(quota) > 0 else None
    except (ValueError, ZeroDivisionError):  # "max" means no limit
        return None


def _initial_default() -> int:
    global _process_default
    for name in ("FASTCONV_NUM_THREADS", "OMP_NUM_THREADS"):
        text = os.environ.get(name, "").split(",")[0].strip()  # OpenMP allows a list, one entry per nesting level
        if text.isdecimal() and 0 < int(text) <= MOST:
            _process_default = int(text)
            break
        if text:
            warnings.warn(f"{name}={text!r} is no integer from 1 to {MOST}; fastconv ignores it", stacklevel=3)
    else:
        _process_default = min(usable_cpus(), MOST)
    return _process_default


def _positive(n: int, where: str) -> int:
    return whole(n, f"{where}: the number of threads", 1, MOST)
