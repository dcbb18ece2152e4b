"""The README's table, between its two markers."""
from __future__ import annotations

import os
from pathlib import Path

from ..results import Results, ResultsError
from .words import beside, losing, machine, peer, percent, seconds, share, times

BEGIN, END = "<!-- benchmarks:begin -->", "<!-- benchmarks:end -->"


def markdown(results: Results, charts: list[tuple[str, str]]) -> str:
    """Return the text between the markers; `charts` are (path, description)."""
    lines = [machine(results), "",
             "Times are medians of interleaved runs; each result was compared with the reference, the large "
             "networks' with PyTorch's, before it was timed. The ratios say how many times faster fastconv is than the "
             "book's NumPy (float64, explicit column matrix), than fastconv's NumPy reference (float32), and than the "
             "best of PyTorch, ONNX Runtime and OpenVINO. Under Numba stands the share of that speed that the Numba "
             "kernels reach. GFLOP/s count the textbook's operations; Winograd's convolution does fewer, so a row may "
             "pass 100 % of the peak.", "",
             "| Workload | fastconv | Numba | GFLOP/s | of peak | × book | × NumPy float32 | × best peer |",
             "|---|--:|--:|--:|--:|--:|--:|--:|"]
    for row in results.ours(headline=True):
        gflops = f"{row['gflops']:.0f}" if "gflops" in row else ""
        lines.append(f"| {row['workload']} | {seconds(row['median'])} | {share(row)} | {gflops} "
                     f"| {percent(row.get('peak_share'))} | {times(row.get('ratio_book'))} "
                     f"| {times(row.get('ratio_reference'))} | {peer(row)} |")
    lines += ["", " ".join(beside(results)), "", *(f"{sentence}\n" for sentence in losing(results))]
    return "\n".join(lines + [f"![{description}]({path})" for path, description in charts])


def write(path: Path, results: Results, images: dict[str, tuple[Path, str]]) -> None:
    """Put the table and the charts into the README at `path`; see `replace`."""
    charts = [(Path(os.path.relpath(image, path.parent)).as_posix(), description)
              for image, description in images.values()]
    replace(path, BEGIN, END, markdown(results, charts))


def replace(path: Path, begin: str, end: str, table: str) -> None:
    """Replace what stands between two markers in a file.

    Raises
    ------
    ResultsError
        If there is no such file, or not one of each marker in the right order.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except OSError as error:
        raise ResultsError(f"cannot read {path}: {error.strerror}") from error
    if text.count(begin) != 1 or text.count(end) != 1 or text.index(begin) > text.index(end):
        raise ResultsError(f"{path} needs one line {begin} and, below it, one line {end}: the table goes between")
    before, after = text.split(begin)[0], text.split(end)[1]
    path.write_text(f"{before}{begin}\n{table}\n{end}{after}", encoding="utf-8")
