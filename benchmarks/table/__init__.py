"""The one table of workloads."""
from __future__ import annotations

import difflib
from collections.abc import Iterable
from fnmatch import fnmatch
from functools import cache

from ..workload import Workload
from . import columns, convolution, drop_in, eager, gemm, networks, optimizers, photographs, pooling, small, traps

SECTIONS = (convolution, columns, pooling, gemm, small, optimizers, eager, networks, photographs, drop_in, traps)


@cache
def workloads() -> dict[str, Workload]:
    """Return all workloads by name, in the order of the sections."""
    return {row.name: row for section in SECTIONS for row in section.rows()}


def select(patterns: Iterable[str]) -> list[str]:
    """Return the names that match any pattern, such as ``gemm/*``, in the table's order.

    Raises
    ------
    ValueError
        If a pattern matches nothing; the message names what is near.
    """
    names, patterns = list(workloads()), list(patterns)
    for pattern in patterns:
        if not any(fnmatch(name, pattern) for name in names):
            near = difflib.get_close_matches(pattern, names, n=3, cutoff=0.4) or names[:3]
            raise ValueError(f"there is no workload {pattern!r}; near it: {', '.join(near)}")
    return [name for name in names if any(fnmatch(name, pattern) for pattern in patterns)]
