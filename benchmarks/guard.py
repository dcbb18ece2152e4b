"""Compare a run with a saved one: which rows fell?

    pytest --benchmark --benchmark-json=now.json
    python -m benchmarks.guard now.json saved.json --threshold 0.2

Times of two runs cannot be compared: the machine differs, or what else it does. Ratios can: each was measured in turns
with its baseline. A row fell if its ratio to the book's NumPy and its ratio to the NumPy reference are all below
(1 - threshold) times what they were; requiring both keeps out rows whose baseline was disturbed.

Exit code: 0 no row fell, 1 some did, or are missing, or failed; 2 the files cannot be compared.
"""
from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from dataclasses import dataclass

from .figures import BASELINES
from .results import Results, ResultsError, Row, load

Key = tuple[str, str]


@dataclass(frozen=True)
class Fall:
    """A row that fell: what is left of its ratios (0.5 is half), the least fallen one."""

    key: Key
    left: float

    def __str__(self) -> str:
        return f"{self.key[0]} ({self.key[1]}): {self.left:.2f} of what it was"


def comparable(results: Results) -> dict[Key, Row]:
    """Return the rows of fastconv's backends that have a ratio to a baseline."""
    return {(row["workload"], row["implementation"]): row for row in results.rows
            if row.get("ours") and any(f"ratio_{baseline}" in row for baseline in BASELINES)}


def falls(now: Results, saved: Results, threshold: float) -> list[Fall]:
    """Return the rows that fell by more than `threshold` (0.2 is 20 %), the worst first."""
    rows, found = comparable(now), []
    for key, before in comparable(saved).items():
        names = [f"ratio_{baseline}" for baseline in BASELINES if f"ratio_{baseline}" in before]
        if key in rows and all(name in rows[key] for name in names):
            left = max(rows[key][name] / before[name] for name in names)
            if left < 1 - threshold:
                found.append(Fall(key, left))
    return sorted(found, key=lambda fall: fall.left)


def missing(now: Results, saved: Results) -> list[Key]:
    """Return the rows of the saved run that this one does not have."""
    return sorted(comparable(saved).keys() - comparable(now).keys())


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.guard", description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("now", metavar="NOW.json")
    parser.add_argument("saved", metavar="SAVED.json")
    parser.add_argument("--threshold", type=share, default=0.2, help="how far a ratio may fall (default: 0.2, 20 %%)")
    args = parser.parse_args(argv)
    try:
        now, saved = load(args.now), load(args.saved)
        common = comparable(now).keys() & comparable(saved).keys()
        if not common:
            raise ResultsError(f"{args.now} and {args.saved} have no row in common")
    except ResultsError as error:
        print(f"benchmarks.guard: error: {error}", file=sys.stderr)
        return 2
    fallen, gone = falls(now, saved, args.threshold), missing(now, saved)
    for fall in fallen:
        print(f"fell: {fall}")
    for workload, implementation in gone:
        print(f"missing: {workload} ({implementation})")
    for failure in now.failed:
        print(f"failed: {failure['row']}: {failure['reason']}")
    print(f"{len(common)} rows compared, {len(fallen)} fell by more than {args.threshold:.0%}")
    return 1 if fallen or gone or now.failed else 0


def share(text: str) -> float:
    """Parse a number between 0 and 1."""
    try:
        value = float(text)
    except ValueError:
        value = -1.0
    if not 0 < value < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number between 0 and 1")
    return value


if __name__ == "__main__":
    sys.exit(main())
