"""The HTML page: charts, every row in sortable tables, memory, start-up, threads, the machine."""
from __future__ import annotations

import json

from fastconv.cli.html import Cell, figure, page, paragraph, table

from ..results import Results, Row, mean_ratio
from .words import beside, losing, machine, percent, seconds, times

HEADINGS = ("Workload", "By", "Median", "× book", "× NumPy float32", "× best peer", "Best peer", "GFLOP/s", "of peak",
            "GB/s", "of copy", "Fastest", "Rounds")

METHOD = ("Medians of interleaved runs; every result was compared with the reference, the large networks' with "
          "PyTorch's, before it was timed. A ratio above 1 means that fastconv is faster. Tap a heading to sort.")


def html(results: Results, charts: dict[str, tuple[str, str]]) -> str:
    """Return the page."""
    introduction = paragraph(machine(results), faint=True) + "".join(
        paragraph(text) for text in (_summary(results), " ".join(beside(results)), METHOD) if text)
    sections = [(description, figure(svg, description)) for svg, description in charts.values()]
    sections.append(("fastconv, row by row", table(HEADINGS, map(_cells, results.ours()))))
    everything = [_cells(row) for row in results.rows if "headline" in row]
    sections.append(("Every implementation", table(HEADINGS, everything)))
    sections += [part for part in (_memory(results), _threads(results), _start_up(results)) if part[1]]
    sections.append(("Where it loses, and what failed", "".join(map(paragraph, losing(results)))))
    sections.append(("The machine", _machine(results)))
    return page("fastconv benchmarks", sections, introduction)


def _summary(results: Results) -> str:
    means = [(label, mean_ratio(results.ours(), ratio)) for label, ratio in (
        ("the book's NumPy", "ratio_book"), ("the NumPy reference in float32", "ratio_reference"),
        ("the best peer", "ratio_peer"))]
    said = ", ".join(f"{times(mean)} times as fast as {label}" for label, mean in means if mean)
    return f"Over all rows (geometric mean) fastconv is {said}." if said else ""


def _ratio(row: Row, key: str) -> Cell:
    value = row.get(key)
    kind = "" if value is None or not row.get("ours") else "bad" if value < 1 else "good" if value > 1.05 else ""
    return Cell(value, times(value), kind)


def _cells(row: Row) -> list[Cell | str]:
    return [row["workload"], row["implementation"], Cell(row["median"], seconds(row["median"])),
            _ratio(row, "ratio_book"), _ratio(row, "ratio_reference"), _ratio(row, "ratio_peer"),
            row.get("best_peer") or "",
            Cell(row.get("gflops"), f"{row['gflops']:.1f}" if "gflops" in row else ""),
            Cell(row.get("peak_share"), percent(row.get("peak_share"))),
            Cell(row.get("gbytes"), f"{row['gbytes']:.1f}" if "gbytes" in row else ""),
            Cell(row.get("copy_share"), percent(row.get("copy_share"))),
            Cell(row["fastest"], seconds(row["fastest"])), Cell(row["rounds"], str(row["rounds"]))]


def _memory(results: Results) -> tuple[str, str]:
    rows = results.of("memory")
    content = rows and table(("Implementation", "Batch", "Peak memory", "of it before the steps", "Step"), [
        [row["implementation"], Cell(row["batch"], str(row["batch"])),
         Cell(row["peak_bytes"], f"{row['peak_bytes'] / 1e6:.0f} MB"),
         Cell(row["bytes_before"], f"{row['bytes_before'] / 1e6:.0f} MB"), Cell(row["median"], seconds(row["median"]))]
        for row in rows])
    return "Memory of a training step", content or ""


def _threads(results: Results) -> tuple[str, str]:
    rows = results.of("threads")
    content = rows and table(("Workload", "By", "Threads", "Median", "Speed-up"), [
        [row["workload"].removeprefix("threads/"), row["implementation"], Cell(row["threads"], str(row["threads"])),
         Cell(row["median"], seconds(row["median"])), Cell(row["speed_up"], times(row["speed_up"]))] for row in rows])
    return "Threads", content or ""


def _start_up(results: Results) -> tuple[str, str]:
    rows = results.of("start-up")
    content = rows and table(("What", "Of", "Median", "Second call"), [
        [row["workload"].removeprefix("start-up/"), row["implementation"], Cell(row["median"], seconds(row["median"])),
         Cell(row.get("second_call"), seconds(row["second_call"]) if "second_call" in row else "")] for row in rows])
    return "Start-up", content or ""


def _machine(results: Results) -> str:
    return table(("What", "Value"), [[name.replace("_", " "), value if isinstance(value, str) else json.dumps(value)]
                                     for name, value in results.machine.items()])
