"""Speed-up on 1, 2, ... n threads. The results must be the same bits on each."""
from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import pytest

from benchmarks.conftest import replayed, threads_of
from benchmarks.measure import Measured, measure
from benchmarks.table import workloads
from fastconv import dispatch

WORKLOADS = ("convolution_forward/deepconvnet-2", "gemm/square-1024", "inference/batch-100", "training-step/batch-100")

_latest: list[Measured] = []


def counts(most: int) -> Iterator[int]:
    """Yield 1, 2, 4, ... and `most`."""
    n = 1
    while n < most:
        yield n
        n *= 2
    yield most


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    rows = [(name, backend, n) for name in WORKLOADS for backend in dispatch.backends() if backend != "reference"
            for n in counts(threads_of(metafunc.config))]
    metafunc.parametrize("name, backend, n", rows, ids=[f"{name}-{backend}-{n}" for name, backend, n in rows])


@pytest.mark.benchmark(timer=replayed)
def test_threads(name, backend, n, n_threads, row, benchmark, request, say):
    if request.config.option.fastconv_workloads:
        pytest.skip("--benchmark-workload names other rows")
    title = f"threads/{name}"
    if not _latest or _latest[0].workload.name != f"{title}-{backend}":
        _latest[:] = [_measure(f"{title}-{backend}", name, backend, n_threads, benchmark.enabled)]
    measured = _latest[0]
    if str(n) in measured.errors:
        pytest.fail(measured.errors[str(n)], pytrace=False)
    extra = {"section": "threads", "workload": title, "implementation": backend, "threads": n}
    times = measured.times.get(str(n), [])
    if times:
        extra["median"] = measured.median(str(n))
        extra["flops"] = measured.workload.flops
        extra["speed_up"] = measured.median("1") / measured.median(str(n))
        say(f"{title + f' on {n}':<48}{extra['median'] * 1e3:10.3f} ms  {extra['speed_up']:.2f} x one thread")
    row(title, times, extra)


def _measure(title: str, name: str, backend: str, most: int, timed: bool) -> Measured:
    one = workloads()[name]
    makers = {str(n): lambda inputs, _, n=n: one.makers[backend](inputs, n) for n in counts(most)}
    return measure(replace(one, name=title, makers=makers, tolerance=0.0, oracle="1"), most, timed=timed)
