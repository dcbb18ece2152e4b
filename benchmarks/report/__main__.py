"""Turn the JSON of a run into the README's table, charts and a page.

    pytest --benchmark --benchmark-json=results.json
    python -m benchmarks.report results.json

writes the charts (SVG and PNG) and report.html into benchmarks/results/, and the table between the README's markers.
"""
from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from ..results import ResultsError, load, with_numba_of
from . import charts, page, readme

ROOT = Path(__file__).parents[2]


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.report", description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("results", metavar="RESULTS.json")
    parser.add_argument("--numba", metavar="ALONE.json",
                        help="a run with --benchmark-alone, from which the Numba kernels' shares are taken")
    parser.add_argument("--output", type=Path, default=ROOT / "benchmarks" / "results", metavar="DIR",
                        help="where the charts and report.html go (default: benchmarks/results)")
    parser.add_argument("--readme", type=Path, default=ROOT / "README.md", metavar="FILE",
                        help="the file with the markers (default: README.md)")
    parser.add_argument("--no-readme", action="store_true", help="leave the README alone")
    args = parser.parse_args(argv)
    try:
        results = load(args.results)
        if args.numba:
            results = with_numba_of(results, load(args.numba))
        drawn = charts.draw(results, args.output)
        report = args.output / "report.html"
        report.write_text(page.html(results, drawn), encoding="utf-8")
        written = [report, *(args.output / f"{name}.{suffix}" for name in drawn for suffix in ("svg", "png"))]
        if not args.no_readme:
            images = {name: (args.output / f"{name}.svg", description) for name, (_, description) in drawn.items()}
            readme.write(args.readme, results, images)
            written.append(args.readme)
    except (ResultsError, OSError) as error:
        print(f"benchmarks.report: error: {error}", file=sys.stderr)
        return 1
    print("\n".join(f"wrote {path}" for path in written))
    return 0


if __name__ == "__main__":
    sys.exit(main())
