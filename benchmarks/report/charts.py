"""The four charts, drawn with matplotlib."""
from __future__ import annotations

import io
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from ..results import Results, ResultsError, Row

COLOURS = {"book": "#8d99a6", "reference": "#4f8fc0", "native": "#d1495b", "numba": "#a0522d",
           "torch": "#edae49", "torch-nhwc": "#c98a14",
           "onnxruntime": "#66a182", "openvino": "#7d6b9e"}
SECTION_COLOURS = ("#d1495b", "#4f8fc0", "#66a182", "#edae49", "#7d6b9e", "#8d99a6", "#c2577f", "#2a6f77", "#a0522d")


def draw(results: Results, folder: Path) -> dict[str, tuple[str, str]]:
    """Write each chart as SVG and PNG; return name -> (SVG text, what it shows), without those that have no data.

    Raises
    ------
    ResultsError
        If matplotlib is not installed.
    """
    try:
        import matplotlib
        from matplotlib.figure import Figure
    except ImportError as error:
        raise ResultsError("the charts need matplotlib: pip install -e '.[plot]'") from error
    matplotlib.rcParams.update({"svg.fonttype": "none", "svg.hashsalt": "fastconv", "font.size": 10,
                                "font.family": "sans-serif", "axes.spines.top": False, "axes.spines.right": False})
    folder.mkdir(parents=True, exist_ok=True)
    drawn = {}
    for name, (chart, description) in CHARTS.items():
        figure = Figure(figsize=(8, 4.5), layout="constrained")
        if not chart(results, figure):
            for suffix in ("svg", "png"):  # an earlier run's
                (folder / f"{name}.{suffix}").unlink(missing_ok=True)
            continue
        text = io.StringIO()
        figure.savefig(text, format="svg", metadata={"Date": None})
        (folder / f"{name}.svg").write_text(text.getvalue())
        figure.savefig(folder / f"{name}.png", dpi=120)
        drawn[name] = text.getvalue(), description
    return drawn


def speed_up(results: Results, figure: Any) -> bool:
    """Bars: how many times faster than the book's NumPy and than the float32 reference, row by row."""
    rows = [row for row in results.ours(headline=True) if "ratio_book" in row or "ratio_reference" in row]
    if not rows:
        return False
    figure.set_size_inches(8, 1.2 + 0.3 * len(rows))
    axes = figure.subplots()
    for shift, baseline, label in ((-0.2, "book", "book (float64)"), (0.2, "reference", "NumPy float32 reference")):
        found = [(i, row[f"ratio_{baseline}"]) for i, row in enumerate(rows) if f"ratio_{baseline}" in row]
        axes.barh([i + shift for i, _ in found], [value - 1 for _, value in found], 0.4, left=1,
                  color=COLOURS[baseline], label=label)
        for i, value in found:
            axes.annotate(f"{value:.1f}", (value, i + shift), xytext=(3 if value >= 1 else -3, 0), fontsize=7,
                          textcoords="offset points", va="center", ha="left" if value >= 1 else "right")
    axes.set(xscale="log", xlabel="times faster (logarithmic); left of 1 it is slower", ylim=(len(rows) - 0.5, -0.5))
    axes.set_yticks(range(len(rows)), [row["workload"] for row in rows], fontsize=8)
    axes.axvline(1, color="black", linewidth=0.8)
    axes.xaxis.set_major_formatter("{x:g}")
    axes.legend(loc="lower left", bbox_to_anchor=(0, 1), ncols=2, frameon=False)
    return True


def roofline(results: Results, figure: Any) -> bool:
    """Points: what the kernels reach, under the limits of the machine."""
    limit = results.limit(results.threads)
    rows = [row for row in results.ours() if row.get("flops") and row.get("bytes") and row.get("gflops")]
    if limit is None or not rows:
        return False
    axes = figure.subplots()
    peak, bandwidth = limit["flops_per_second"] / 1e9, limit["bytes_per_second"] / 1e9
    intensities = [row["flops"] / row["bytes"] for row in rows]
    low, high = min(*intensities, 0.3) / 1.5, max(*intensities, 2 * peak / bandwidth) * 1.5
    axes.plot([low, peak / bandwidth, high], [low * bandwidth, peak, peak], color="black", linewidth=1)
    axes.annotate(f"{peak:.0f} GFLOP/s, measured multiply-add peak on {results.threads} threads", (high, peak),
                  fontsize=8, xytext=(0, 8), textcoords="offset points", ha="right")
    axes.annotate(f"{bandwidth:.0f} GB/s copy", (low, low * bandwidth), fontsize=8, xytext=(6, 0),
                  textcoords="offset points", va="top")
    operations = list(dict.fromkeys(row["workload"].split("/")[0] for row in rows))
    for operation, colour in zip(operations, SECTION_COLOURS, strict=False):
        points = [(x, row["gflops"]) for x, row in zip(intensities, rows, strict=True)
                  if row["workload"].startswith(f"{operation}/")]
        axes.scatter(*zip(*points, strict=True), s=22, color=colour, label=operation, alpha=0.85)
    axes.set(xscale="log", yscale="log", xlim=(low, high), ylim=(None, peak * 2), ylabel="GFLOP/s",
             xlabel="operations per byte that must be moved (FLOP/byte)")
    axes.xaxis.set_major_formatter("{x:g}")
    axes.yaxis.set_major_formatter("{x:g}")
    axes.legend(loc="lower right", frameon=False, fontsize=8)
    return True


def threads(results: Results, figure: Any) -> bool:
    """Lines: speed-up over one thread."""
    rows = results.of("threads")
    if not rows:
        return False
    axes = figure.subplots()
    most = max(row["threads"] for row in rows)
    axes.plot([1, most], [1, most], color="black", linewidth=0.8, linestyle=":", label="ideal")
    for (workload, backend), points in _groups(rows, "workload", "implementation"):
        axes.plot([row["threads"] for row in points], [row["speed_up"] for row in points], marker="o",
                  label=f"{workload.removeprefix('threads/')} ({backend})")
    axes.set(xlabel="threads", ylabel="times as fast as one thread", ylim=(0, most * 1.1),
             xticks=sorted({row["threads"] for row in rows}))
    axes.legend(loc="lower right", frameon=False, fontsize=8)
    return True


def memory(results: Results, figure: Any) -> bool:
    """Lines: peak resident size of a process that trains DeepConvNet, against the batch size."""
    rows = results.of("memory")
    if not rows:
        return False
    axes = figure.subplots()
    for (implementation,), points in _groups(rows, "implementation"):
        axes.plot([row["batch"] for row in points], [row["peak_bytes"] / 1e6 for row in points], marker="o",
                  label=implementation, color=COLOURS.get(implementation))
    axes.set(xscale="log", yscale="log", xlabel="batch size", ylabel="peak memory of the process (MB)")
    batches = sorted({row["batch"] for row in rows})
    axes.set_xticks(batches, map(str, batches))
    axes.minorticks_off()
    axes.set_yticks(ticks := [100, 200, 500, 1000, 2000, 5000], map(str, ticks))
    axes.legend(loc="upper left", frameon=False, fontsize=8)
    return True


def _groups(rows: list[Row], *keys: str) -> Iterator[tuple[tuple[Any, ...], list[Row]]]:
    for group in dict.fromkeys(tuple(row[key] for key in keys) for row in rows):
        yield group, [row for row in rows if tuple(row[key] for key in keys) == group]


CHARTS: dict[str, tuple[Callable[[Results, Any], bool], str]] = {
    "speed_up": (speed_up, "Times faster than NumPy"),
    "roofline": (roofline, "Kernels under the machine's limits"),
    "threads": (threads, "Speed-up by threads"),
    "memory": (memory, "Peak memory by batch size"),
}
