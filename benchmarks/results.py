"""Read the JSON of a run."""
from __future__ import annotations

import json
import statistics
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from . import SCHEMA

Row = dict[str, Any]


class ResultsError(Exception):
    """A file of results that cannot be used; the message says why and what to do."""


@dataclass(frozen=True)
class Results:
    """A run: what it ran on, its rows (the figures of each implementation of each workload), and what failed."""

    machine: dict[str, Any]
    limits: list[dict[str, Any]]
    threads: int
    date: str
    rows: list[Row]
    failed: list[dict[str, str]]
    numba_alone: bool = False  # the Numba kernels' shares are from a run without the other libraries

    def ours(self, *, headline: bool = False) -> list[Row]:
        """Return the rows of fastconv's fastest backend."""
        best = self.machine["backends"][0]
        return [row for row in self.rows if row["implementation"] == best and row.get("ours")
                and (row["headline"] or not headline)]

    def of(self, section: str) -> list[Row]:
        return [row for row in self.rows if row["section"] == section]

    def limit(self, n_threads: int) -> dict[str, Any] | None:
        return next((limit for limit in self.limits if limit["threads"] == n_threads), None)


def load(path: str | Path) -> Results:
    """Read a file that ``pytest --benchmark --benchmark-json=FILE`` or ``--benchmark-autosave`` wrote.

    Raises
    ------
    ResultsError
        If there is no such file, it is no JSON, not from these benchmarks, from another version, or without rows.
    """
    how = "make one with: pytest --benchmark --benchmark-json=results.json"
    try:
        data = json.loads(Path(path).read_text())
    except FileNotFoundError:
        raise ResultsError(f"there is no file {path}; {how}") from None
    except (OSError, UnicodeDecodeError) as error:
        raise ResultsError(f"cannot read {path}: {error}") from error
    except json.JSONDecodeError as error:
        raise ResultsError(f"{path} is no JSON ({error}); an interrupted run? {how}") from error
    try:
        ours, machine = data["fastconv"], data["machine_info"]["fastconv"]
    except (KeyError, TypeError):
        raise ResultsError(f"{path} is not from fastconv's benchmarks; {how}") from None
    if ours.get("schema") != SCHEMA:
        raise ResultsError(f"{path} is from another version of these benchmarks (format {ours.get('schema')}, this one "
                           f"reads {SCHEMA}); run them again, or use the version that wrote it")
    rows = [_row(bench) for bench in data["benchmarks"] if bench["extra_info"]]
    if not rows:
        raise ResultsError(f"{path} has no rows: {len(ours['failed'])} failed; {how}")
    return Results(machine, ours["limits"], ours["threads"], data["datetime"][:10], rows, ours["failed"])


def with_numba_of(results: Results, other: Results) -> Results:
    """Return the results with the Numba kernels' shares of another run, where that has the row."""
    shares = {_key(row): row["ratio_numba"] for row in other.ours() if "ratio_numba" in row}
    rows = [row | {"ratio_numba": shares[_key(row)]} if row["implementation"] == results.machine["backends"][0]
            and _key(row) in shares else row for row in results.rows]
    return replace(results, rows=rows, numba_alone=True)


def _key(row: Row) -> tuple[str, int]:
    return row["workload"], row["threads"]


def _row(bench: dict[str, Any]) -> Row:
    return {"median": bench["stats"]["median"], "fastest": bench["stats"]["min"], "rounds": bench["stats"]["rounds"],
            **bench["extra_info"]}


def losses(results: Results, ratio: str) -> list[Row]:
    """Return our rows that are slower than the comparator, the worst first."""
    return sorted((row for row in results.ours() if row.get(ratio, 1) < 1), key=lambda row: row[ratio])


def mean_ratio(rows: list[Row], ratio: str) -> float | None:
    """Return the geometric mean of a ratio over the rows that have it."""
    values = [row[ratio] for row in rows if ratio in row]
    return statistics.geometric_mean(values) if values else None
