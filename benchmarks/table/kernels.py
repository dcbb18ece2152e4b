"""Workloads that are one kernel of the dispatch table, on every backend, beside the book's NumPy and PyTorch."""
from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any, NamedTuple

import numpy as np

from fastconv import dispatch

from ..workload import Maker, Runner, Workload


class Call(NamedTuple):
    """The arguments of one kernel call: inputs and geometry, then the outputs (shapes, or arrays updated in place)."""

    arguments: Sequence[Any]
    outputs: Sequence[tuple[int, ...] | np.ndarray]


def kernel_workload(op: str, shape: str, group: str, make: Callable[[np.random.Generator], Call], *,
                    flops: float = 0, others: Mapping[str, Maker] | None = None, **options: Any) -> Workload:
    """Return the row of one operation on one shape: all backends, then `others`."""
    makers: dict[str, Maker] = {backend: partial(_run_kernel, op, backend) for backend in dispatch.backends()}
    makers |= dict(others or {})
    return Workload(f"{op}/{shape}", group, flops, traffic, make, makers, ops=(op,), **options)


def _run_kernel(op: str, backend: str, call: Call, n_threads: int) -> Runner:
    function = dispatch.kernel(op, backend)
    dtype = next(a.dtype for a in call.arguments if isinstance(a, np.ndarray))
    outputs = [np.array(a) if isinstance(a, np.ndarray) else np.empty(a, dtype) for a in call.outputs]
    run = partial(function, *call.arguments, *outputs, n_threads)

    def results() -> list[np.ndarray]:
        run()
        return outputs

    return Runner(run, results)


def traffic(call: Call) -> float:
    """Return the bytes that one call reads and writes, each array once; twice where it is updated in place."""
    read = sum(a.nbytes for a in call.arguments if isinstance(a, np.ndarray))
    itemsize = next(a.dtype.itemsize for a in call.arguments if isinstance(a, np.ndarray))
    return read + sum(2.0 * o.nbytes if isinstance(o, np.ndarray) else itemsize * float(np.prod(o))
                      for o in call.outputs)
