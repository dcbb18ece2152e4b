"""Check the implementations of a workload against the reference, then time the right ones in turns."""
from __future__ import annotations

import gc
import statistics
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial

import numpy as np

from fastconv.timing import Timed, interleave

from .workload import Runner, Workload

SEED = 20240101


@dataclass
class Measured:
    """What came of one workload: seconds per call by implementation, and why others have none."""

    workload: Workload
    n_threads: int
    times: dict[str, list[float]] = field(default_factory=dict)
    errors: dict[str, str] = field(default_factory=dict)
    traffic: float = 0
    reduced: set[str] = field(default_factory=set)  # who computes in less than float32

    def median(self, name: str) -> float:
        return statistics.median(self.times[name])


class Mismatch(AssertionError):
    """A result differs from the reference's."""


def measure(workload: Workload, n_threads: int, seconds: float = 0.25, least: int = 5, timed: bool = True) -> Measured:
    """Check and time every implementation of the workload.

    A wrong result, or an exception, is an entry in `errors` and gets no time. The workload's oracle comes first:
    without it there is nothing to compare with.
    """
    done = Measured(workload, n_threads := workload.threads or n_threads)
    inputs, oracle = workload.make(np.random.default_rng(SEED)), workload.oracle
    done.traffic = workload.bytes(inputs)
    ready: dict[str, Timed] = {}
    known: dict[str, float] = {}
    expected: list[np.ndarray] | None = None
    for name in sorted(workload.makers, key=lambda name: name != oracle):
        make = partial(workload.makers[name], inputs, n_threads)
        try:
            runner = make()
            with runner.context():
                np.random.seed(SEED % 2**32)  # where the layers draw dropout masks from
                start = time.perf_counter()
                results = [np.array(result) for result in runner.results()]
                if name == "numba" and timed:  # its first calls compile kernels, or load them
                    runner.run()
                    start = time.perf_counter()
                    runner.run()
                known[name] = time.perf_counter() - start
            if expected is None:
                expected = results
            if runner.tolerance is not None:
                done.reduced.add(name)
            compare(results, expected, runner.tolerance or workload.tolerance, overall=workload.overall)
        except Exception as error:  # a failed row, whatever the reason; the others go on
            done.errors[name] = f"{type(error).__name__}: {error}"
            if name == oracle:
                break
        else:
            ready[name] = made_anew(make) if workload.one_at_a_time else runner.timed()
        runner, results = None, []
        if workload.one_at_a_time:
            gc.collect()
    if oracle in done.errors:
        for name in workload.makers:
            done.errors.setdefault(name, f"the {oracle} failed: {done.errors[oracle]}")
    elif timed:
        del expected
        done.times = interleave({name: ready[name] for name in workload.makers if name in ready},
                                seconds * workload.patience, least, known)
    return done


def made_anew(make: Callable[[], Runner]) -> Timed:
    """Return a call whose context makes its runner, warms it up with one run, and gives its memory back."""
    runner: Runner | None = None

    @contextmanager
    def context() -> Iterator[None]:
        nonlocal runner
        runner = make()
        try:
            with runner.context():
                runner.run()
                yield
        finally:
            runner = None
            gc.collect()  # layers and plans, or a module's closures, may know each other

    def run() -> None:
        assert runner is not None
        runner.run()

    return Timed(run, context)


def compare(actual: Sequence[np.ndarray], expected: Sequence[np.ndarray], tolerance: float, *,
            overall: bool = False) -> None:
    """Raise Mismatch unless each array is within `tolerance` of the largest value of what is expected.

    With `overall` the root of the mean square of its errors is compared with that of the expected values instead.
    """
    if len(actual) != len(expected):
        raise Mismatch(f"{len(actual)} results, expected {len(expected)}")
    size, what = (_root_mean_square, "root of the mean square") if overall else (_largest, "largest value")
    for i, (a, e) in enumerate(zip(actual, expected, strict=True)):
        if a.shape != e.shape:
            raise Mismatch(f"result {i} has shape {a.shape}, expected {e.shape}")
        scale, error = size(e), size(a.astype(np.float64) - e)
        flushed = float(np.finfo(np.float32).tiny)  # results below it may be zero
        if not error <= tolerance * scale + flushed:  # nan fails
            raise Mismatch(f"result {i} is off by {error:.2e} where the {what} is {scale:.2e}, "
                           f"allowed {tolerance:.0e} of it")


def _largest(values: np.ndarray) -> float:
    return float(np.abs(values).max(initial=0))


def _root_mean_square(values: np.ndarray) -> float:
    return float(np.sqrt(np.square(values, dtype=np.float64).sum() / max(values.size, 1)))
