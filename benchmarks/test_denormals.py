"""A training step on denormal numbers and one on normal numbers, in turns: other engines take many times as long."""
from __future__ import annotations

import statistics
from dataclasses import replace

import numpy as np
import pytest

from benchmarks.conftest import replayed
from benchmarks.measure import SEED, measure
from benchmarks.table import workloads
from benchmarks.workload import ORACLE
from fastconv import dispatch
from fastconv.timing import interleave

DENORMAL, NORMAL = "training-step/denormals", "training-step/batch-100"


@pytest.mark.benchmark(timer=replayed)
def test_denormals(n_threads, row, request, say):
    if request.config.option.fastconv_workloads:
        pytest.skip("--benchmark-workload names other rows")
    backend, calls = dispatch.backends()[0], {}
    for name in (DENORMAL, NORMAL):
        one = workloads()[name]
        some = {implementation: one.makers[implementation] for implementation in (ORACLE, backend)}
        checked = measure(replace(one, makers=some), n_threads, timed=False)
        if checked.errors:
            pytest.fail(f"{name}: {checked.errors}", pytrace=False)
        calls[name] = one.makers[backend](one.make(np.random.default_rng(SEED)), n_threads).timed()
    times = interleave(calls)
    ratio = statistics.median(times[DENORMAL]) / statistics.median(times[NORMAL])
    say(f"{'training step, denormal numbers to normal ones':<48}"
        f"{statistics.median(times[DENORMAL]) * 1e3:10.3f} ms  {ratio:.2f} x")
    row("denormals", times[DENORMAL], {"section": "denormals", "workload": "denormals/training-step",
                                       "implementation": backend, "threads": n_threads, "ratio": ratio})
