"""Memory of a training step against the batch size, import time, first call: each in a process of its own."""
from __future__ import annotations

import importlib.util
import statistics

import pytest

from benchmarks import process
from benchmarks.conftest import replayed
from benchmarks.table import workloads
from fastconv import dispatch

BATCHES = (10, 100, 300)
LARGE = 10_000            # images of a batch
STEPS = 2_000
# what, network, batch, which figure, and the marks for it in bytes: required, aim
PHOTOGRAPHS = (("training-step", "vgg16", 64, "peak_bytes", 5e9, 3.5e9),
               ("inference", "vgg16", 8, "added_bytes", 250e6, 120e6))
MODULES = [name for name in ("numpy", "fastconv", "torch", "onnxruntime", "openvino") if importlib.util.find_spec(name)]

pytestmark = pytest.mark.benchmark(timer=replayed)


@pytest.fixture(autouse=True)
def unless_workloads_are_chosen(request):
    if request.config.option.fastconv_workloads:
        pytest.skip("--benchmark-workload names other rows")


@pytest.mark.parametrize("batch", BATCHES)
@pytest.mark.parametrize("implementation", workloads()["training-step/batch-100"].makers)
def test_memory(implementation, batch, n_threads, row, say):
    found = process.run("memory", implementation, batch, n_threads, n_threads=n_threads)
    say(f"memory/batch-{batch}-{implementation:<30}{found['peak_bytes'] / 1e6:10.0f} MB")
    row(f"memory/batch-{batch}", found["seconds"], {
        "section": "memory", "workload": f"memory/batch-{batch}", "implementation": implementation, "batch": batch,
        "threads": n_threads, "peak_bytes": found["peak_bytes"], "bytes_before": found["bytes_before"]})


def test_memory_of_a_large_batch(n_threads, row, say):
    """LARGE images, trained on all at a time or 100 at a time; the images themselves are not counted."""
    small, large = (process.run("batch", LARGE, batch, n_threads=n_threads) for batch in (100, LARGE))
    figures = {name: large[name] for name in ("peak_bytes", "added_bytes")} | {
        "ratio": large["peak_bytes"] / small["peak_bytes"], "ratio_added": large["added_bytes"] / small["added_bytes"]}
    for key, what, ratio in (("peak_bytes", "the process without its images", "ratio"),
                             ("added_bytes", "what the steps add", "ratio_added")):
        say(f"{f'memory, batch {LARGE:,}: {what}':<48}{large[key] / 1e6:10.1f} MB, batch 100: "
            f"{small[key] / 1e6:.1f} MB  {figures[ratio]:.2f} x")
    row("memory/large-batch", large["seconds"], {
        "section": "memory-ratio", "workload": "memory/large-batch", "implementation": dispatch.backends()[0],
        "batch": LARGE, "threads": n_threads, **figures})


@pytest.mark.parametrize("what, name, batch, figure, required, aim", PHOTOGRAPHS)
def test_memory_of_photographs(what, name, batch, figure, required, aim, n_threads, row, say):
    """With Adam and all of the process, or beyond the network and the images."""
    found = process.run("photographs", what, name, batch, n_threads=n_threads)
    title = f"memory/{what}/{name}-batch-{batch}"
    say(f"{title:<48}{found[figure] / 1e6:10.0f} MB (required {required / 1e6:.0f}, aim {aim / 1e6:.0f})")
    row(title, found["seconds"], {
        "section": "memory-photographs", "workload": title, "implementation": dispatch.backends()[0], "batch": batch,
        "threads": n_threads, "figure": figure, "required": required, "aim": aim,
        **{key: found[key] for key in ("peak_bytes", "added_bytes")}})


def test_memory_growth(n_threads, row, say):
    found = process.run("growth", STEPS, n_threads=n_threads)
    say(f"memory grown in {STEPS:,} steps{'':<26}{found['grown_bytes'] / 1e6:10.2f} MB")
    row("memory/growth", found["seconds"], {
        "section": "memory-growth", "workload": "memory/growth", "implementation": dispatch.backends()[0],
        "threads": n_threads, "grown_bytes": found["grown_bytes"]})


@pytest.mark.parametrize("module", MODULES)
def test_import(module, n_threads, row, say):
    seconds = [process.run("import", module, n_threads=n_threads)["seconds"][0] for _ in range(3)]
    say(f"import {module:<41}{statistics.median(seconds) * 1e3:10.0f} ms")
    row("start-up/import", seconds, {"section": "start-up", "workload": "start-up/import", "implementation": module,
                                     "threads": n_threads})


@pytest.mark.parametrize("backend", dispatch.backends())
def test_first_call(backend, n_threads, row, say):
    found = [process.run("first", backend, n_threads=n_threads) for _ in range(3)]
    seconds = [one["seconds"][0] for one in found]
    second = statistics.median(one["second_call"] for one in found)
    say(f"first call, {backend:<36}{statistics.median(seconds) * 1e3:10.1f} ms, then {second * 1e3:.1f} ms")
    row("start-up/first-call", seconds, {"section": "start-up", "workload": "start-up/first-call",
                                         "implementation": backend, "threads": n_threads, "second_call": second})


@pytest.mark.skipif("numba" not in dispatch.backends(), reason="Numba is not installed")
def test_first_call_of_all(n_threads, row, say, tmp_path):
    """Nothing is compiled yet."""
    found = process.run("first", "numba", n_threads=n_threads, NUMBA_CACHE_DIR=str(tmp_path))
    title = "numba, nothing compiled yet"
    say(f"first call, {title:<36}{found['seconds'][0]:10.1f} s, then {found['second_call'] * 1e3:.1f} ms")
    row("start-up/first-call", found["seconds"], {
        "section": "start-up", "workload": "start-up/first-call", "implementation": title, "threads": n_threads,
        "second_call": found["second_call"]})
