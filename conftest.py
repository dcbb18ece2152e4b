"""Settings for every test below this folder, and ``pytest --benchmark``.

A plain ``pytest`` runs the tests, ``pytest --benchmark`` (or ``--benchmark-only``) the benchmarks and nothing else.
"""
from __future__ import annotations

import importlib.util
import os
import signal
import sys
from pathlib import Path

import pytest

BENCHMARKS = Path(__file__).parent / "benchmarks"


if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:  # as in a shell's background, where tests of Ctrl-C would fail
    signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_addoption(parser: pytest.Parser) -> None:
    group = parser.getgroup("fastconv benchmarks")
    group.addoption("--benchmark", action="store_true", dest="fastconv_benchmark",
                    help="run the benchmarks, and only them (pip install -e '.[bench]' first)")
    group.addoption("--benchmark-workload", action="append", default=[], metavar="PATTERN", dest="fastconv_workloads",
                    help="with --benchmark: only workloads like 'gemm/*'; may be given several times")
    group.addoption("--benchmark-threads", type=int, default=None, metavar="N", dest="fastconv_threads",
                    help="with --benchmark: threads of every library (default: fastconv's own rule)")


    group.addoption("--benchmark-alone", action="store_true", dest="fastconv_alone",
                    help="with --benchmark: leave out PyTorch, ONNX Runtime and OpenVINO, whose threads may slow "
                         "Numba's down where they are in one process")


def benchmarking(config: pytest.Config) -> bool:
    """Say whether this run is for the benchmarks."""
    return config.option.fastconv_benchmark or bool(getattr(config.option, "benchmark_only", False))


def make_importable() -> None:
    """Let the tests import `benchmarks`, without this folder in the path: fastconv shall be the installed one."""
    spec = importlib.util.spec_from_file_location("benchmarks", BENCHMARKS / "__init__.py",
                                                  submodule_search_locations=[str(BENCHMARKS)])
    assert spec is not None and spec.loader is not None
    sys.modules["benchmarks"] = package = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(package)


def pytest_configure(config: pytest.Config) -> None:
    """Turn ``--benchmark`` into pytest-benchmark's own options, before that plugin reads them."""
    make_importable()
    options = config.option
    if not benchmarking(config):
        if options.fastconv_workloads or options.fastconv_threads or options.fastconv_alone:
            raise pytest.UsageError("--benchmark-workload, --benchmark-threads and --benchmark-alone need --benchmark")
        return
    if not config.pluginmanager.hasplugin("benchmark") or importlib.util.find_spec("threadpoolctl") is None:
        raise pytest.UsageError("--benchmark needs pytest-benchmark and threadpoolctl: pip install -e '.[bench]'")
    if getattr(options, "numprocesses", None) or getattr(options, "dist", "no") != "no":
        raise pytest.UsageError("--benchmark does not run under pytest-xdist: processes side by side would measure "
                                "each other; leave out -n and --dist")
    if options.fastconv_threads is not None and options.fastconv_threads < 1:
        raise pytest.UsageError(f"--benchmark-threads is {options.fastconv_threads}, expected at least 1")
    if options.fastconv_alone:
        from benchmarks.libraries import ALONE
        os.environ[ALONE] = "1"
    if options.fastconv_workloads:
        from benchmarks.table import select
        try:
            select(options.fastconv_workloads)
        except ValueError as error:
            raise pytest.UsageError(f"--benchmark-workload: {error}") from error
    options.benchmark_only = True
    options.benchmark_columns = options.benchmark_columns or ["min", "median", "rounds"]
    if config.args_source is not pytest.Config.ArgsSource.ARGS:
        config.args = [str(BENCHMARKS)]


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Keep the benchmarks or the tests; skip what compares with PyTorch where PyTorch is not installed."""
    wanted = benchmarking(config)
    other = [item for item in items if item.path.is_relative_to(BENCHMARKS) != wanted]
    if other:
        config.hook.pytest_deselected(items=other)
        items[:] = [item for item in items if item not in set(other)]
    if importlib.util.find_spec("torch") is None:
        for item in items:
            if item.get_closest_marker("torch"):
                item.add_marker(pytest.mark.skip(reason="PyTorch is not installed"))
