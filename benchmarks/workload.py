"""A row of the table: what is computed, what it costs, and how each implementation does it."""
from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import Any

import numpy as np

from fastconv.timing import Timed

ORACLE = "reference"


@dataclass(frozen=True)
class Runner:
    """One implementation, ready to run on its inputs.

    Parameters
    ----------
    run : callable
        What is timed.
    results : callable
        Runs once and returns the arrays to compare, in the same layout for every implementation.
    context : callable
        Makes a context manager that is entered around `run` and `results`, untimed.
    tolerance : float, optional
        Largest error of an implementation that computes in less than float32: it is listed, but is nobody's best peer.
        Default: the workload's.
    """

    run: Callable[[], Any]
    results: Callable[[], Sequence[np.ndarray]]
    context: Callable[[], AbstractContextManager[Any]] = nullcontext
    tolerance: float | None = None

    def timed(self) -> Timed:
        return Timed(self.run, self.context)


Maker = Callable[[Any, int], Runner]  # (inputs, n_threads) -> Runner


@dataclass(frozen=True)
class Workload:
    """A row of the table.

    Parameters
    ----------
    name : str
        ``operation/shape``, unique.
    group : str
        The section of the report.
    flops : float
        Floating-point operations that the textbook's formula needs (a multiply-add is two); 0 where they do not count.
    bytes : callable
        ``bytes(inputs)`` returns the memory traffic that cannot be avoided: every input read once, every output written
        once; 0 where it does not count.
    make : callable
        ``make(rng)`` returns the inputs.
    makers : mapping of str to callable
        How each implementation runs: ``makers[name](inputs, n_threads)``.
    tolerance : float
        Largest error, relative to the largest value of the reference's array.
    overall : bool
        Whether errors and values are measured by the root of their mean square instead, where single large errors are
        right.
    headline : bool
        Whether the README's table has the row.
    ops : tuple of str
        The operations of the dispatch table that the row is about.
    threads : int, optional
        Threads of every implementation. Default: the run's.
    oracle : str
        The implementation that the others' results are compared with.
    patience : float
        How many times as long as the run says each implementation is timed.
    one_at_a_time : bool
        Whether implementations are made anew for each of their turns and given up behind it: not all of them fit into
        memory together.
    """

    name: str
    group: str
    flops: float
    bytes: Callable[[Any], float]
    make: Callable[[np.random.Generator], Any]
    makers: Mapping[str, Maker]
    tolerance: float = 1e-4
    headline: bool = False
    ops: tuple[str, ...] = ()
    threads: int | None = None
    overall: bool = False
    oracle: str = ORACLE
    patience: float = 1.0
    one_at_a_time: bool = False


def of(convert: Callable[[Any], Sequence[np.ndarray]], run: Callable[[], Any]) -> Runner:
    """Return a Runner whose results are what `run` returns, converted."""
    return Runner(run, lambda: convert(run()))
