"""The suites' fixtures, and what they add to pytest-benchmark's JSON."""
from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from benchmarks import SCHEMA
from benchmarks.figures import add_limits
from benchmarks.machine import better, describe, measured_limits, pin
from benchmarks.results import mean_ratio
from benchmarks.table import select, workloads
from fastconv.dispatch import backends
from fastconv.threads import get_num_threads, set_num_threads

failures = pytest.StashKey[list[dict[str, str]]]()
rows = pytest.StashKey[list[dict[str, Any]]]()
first_limits = pytest.StashKey[dict[int, Any]]()
_replayed: Iterator[float] = iter(())


def pytest_configure(config: pytest.Config) -> None:
    config.stash[failures], config.stash[rows] = [], []


def threads_of(config: pytest.Config) -> int:
    """Return the number of threads that every library gets."""
    return config.option.fastconv_threads or get_num_threads()


def chosen_workloads(config: pytest.Config) -> list[str]:
    """Return the names that the command line asks for."""
    return select(config.option.fastconv_workloads or ["*"])


@pytest.fixture(scope="session")
def n_threads(request: pytest.FixtureRequest) -> int:
    """Pin every library to so many threads, and measure what the machine can do."""
    n = threads_of(request.config)
    set_num_threads(n)
    pin(n)
    request.config.stash[first_limits] = measured_limits(n)
    return n


def replayed() -> float:
    """Return the next reading of a clock that shows times measured before."""
    return next(_replayed)


@pytest.fixture
def row(benchmark: Any, request: pytest.FixtureRequest) -> Callable[[str, list[float], dict[str, Any]], None]:
    """Return a function that makes a row of pytest-benchmark's table: ``row(group, seconds, figures)``.

    pytest-benchmark times one function at a time. Our implementations are measured in turns, so its fixture gets a
    clock that replays their times (see the marker in the suites).
    """
    def make(group: str, seconds: list[float], extra: dict[str, Any]) -> None:
        global _replayed
        benchmark.group = group
        benchmark.extra_info.update(extra)
        request.config.stash[rows].append(extra)
        _replayed = iter(list(itertools.chain.from_iterable((0.0, t) for t in seconds)))
        benchmark.pedantic(lambda: None, rounds=max(1, len(seconds)))

    return make


@pytest.fixture
def say(request: pytest.FixtureRequest) -> Callable[[str], None]:
    """Return a function that prints a line of progress."""
    plugins = request.config.pluginmanager
    terminal, capture = plugins.get_plugin("terminalreporter"), plugins.get_plugin("capturemanager")

    def line(text: str) -> None:
        if terminal is not None and request.config.option.verbose >= 0:
            with capture.global_and_fixture_disabled():
                terminal.ensure_newline()
                terminal.write_line(text)

    return line


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item: pytest.Item, call: pytest.CallInfo[None]) -> Iterator[None]:
    """Note the rows that failed: they have no times, and so no place in pytest-benchmark's list."""
    outcome: Any = yield
    report = outcome.get_result()
    if report.when == "call" and report.failed:
        message = str(call.excinfo.value) if call.excinfo else "failed"
        item.config.stash[failures].append({"row": item.name, "reason": message.splitlines()[0] if message else ""})


@pytest.hookimpl(trylast=True)
def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    """Say at the end how many times faster the fastest backend is, section by section."""
    ours = [row for row in config.stash[rows] if row.get("ours") and row["implementation"] == backends()[0]]
    if ours:
        terminalreporter.section("fastconv: times faster than ..., geometric means")
        terminalreporter.write_line(f"{'section':<24}{'rows':>6}{'book':>10}{'reference':>12}{'best peer':>12}")
    for section in dict.fromkeys(row["section"] for row in ours):
        means = [mean_ratio([row for row in ours if row["section"] == section], f"ratio_{name}")
                 for name in ("book", "reference", "peer")]
        book, reference, peer = ("" if mean is None else f"{mean:.2f}" for mean in means)
        count = sum(row["section"] == section for row in ours)
        terminalreporter.write_line(f"{section:<24}{count:>6}{book:>10}{reference:>12}{peer:>12}")


def pytest_benchmark_update_machine_info(config: pytest.Config, machine_info: dict[str, Any]) -> None:
    machine_info["fastconv"] = describe()


def pytest_benchmark_update_json(config: pytest.Config, benchmarks: Any, output_json: dict[str, Any]) -> None:
    """Add the machine's limits, each row's share of them, and the rows that failed."""
    n = threads_of(config)
    before = config.stash.get(first_limits, {})
    limits = better(before, measured_limits(n)) if before else measured_limits(n)
    for bench in output_json["benchmarks"]:
        if "median" in bench["extra_info"]:
            add_limits(bench["extra_info"], limits)
    output_json["fastconv"] = {
        "schema": SCHEMA, "threads": n, "failed": config.stash[failures], "workloads": list(workloads()),
        "limits": [limit._asdict() for limit in limits.values()],
    }
