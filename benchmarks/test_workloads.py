"""Every workload of the table on every implementation: one row each, checked against the reference first."""
from __future__ import annotations

import pytest

from benchmarks.conftest import chosen_workloads, replayed
from benchmarks.figures import BASELINES, figures
from benchmarks.machine import pin
from benchmarks.measure import Measured, measure
from benchmarks.table import workloads
from fastconv import dispatch

_latest: list[Measured] = []  # the rows of one workload come one after the other and share its measurement


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    rows = [(name, implementation) for name in chosen_workloads(metafunc.config)
            for implementation in workloads()[name].makers]
    metafunc.parametrize("name, implementation", rows, ids=["-".join(row) for row in rows])


@pytest.mark.benchmark(timer=replayed)
def test_workload(name, implementation, n_threads, row, benchmark, request, say):
    if not _latest or _latest[0].workload.name != name:
        options = request.config.option
        pin(workloads()[name].threads or n_threads)
        seconds = float(options.benchmark_max_time) / 5  # there are about five implementations
        _latest[:] = [measure(workloads()[name], n_threads, seconds, options.benchmark_min_rounds, benchmark.enabled)]
        say(summary(_latest[0]))
    measured = _latest[0]
    if implementation in measured.errors:
        pytest.fail(measured.errors[implementation], pytrace=False)
    times = measured.times.get(implementation, [])
    row(name, times, figures(measured, implementation, measured.traffic) if times else {})


def summary(measured: Measured) -> str:
    """Return a line of progress: the fastest backend's time and how many times faster it is than the others."""
    ours = dispatch.backends()[0]
    if ours not in measured.times:
        return f"{measured.workload.name:<48}{measured.errors.get(ours, 'checked')}"
    found = figures(measured, ours, 0)
    ratios = [f"{found[f'ratio_{name}']:7.1f} x {name}" for name in BASELINES if f"ratio_{name}" in found]
    if "ratio_peer" in found:
        ratios.append(f"{found['ratio_peer']:6.2f} x {found['best_peer']}")
    if "ratio_reduced" in found:
        ratios.append(f"{found['ratio_reduced']:6.2f} x {' '.join(measured.reduced)} (not float32)")
    return f"{measured.workload.name:<48}{found['median'] * 1e3:10.3f} ms" + "".join(ratios)

