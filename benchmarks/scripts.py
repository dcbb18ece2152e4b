"""The book's scripts before and after: by Python alone, and by ``python -m fastconv``, in turns.

    python -m benchmarks.scripts --output scripts.json              # all
    python -m benchmarks.scripts --output scripts.json 'ch06/*'     # some; the others stay in the file
    python -m benchmarks.scripts --output scripts.json --data DIR   # as a reader has it: with the whole of MNIST
    python -m benchmarks.scripts --output scripts.json --readme     # none; the file's rows go to the README

The scripts, in tests/dropin/book, are in the manner of the book's chapters and were written for this. Without --data
their digits are the 5,000 that come with fastconv.
"""
from __future__ import annotations

import argparse
import json
import os
import pickle
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from fnmatch import fnmatch
from pathlib import Path

import fastconv

from .report.readme import replace
from .report.words import seconds, times
from .results import ResultsError

ROOT = Path(__file__).parents[1]
BOOK = ROOT / "tests" / "dropin" / "book"
BEGIN, END = "<!-- scripts:begin -->", "<!-- scripts:end -->"
ROUNDS = 5
PATIENCE = 15.0  # seconds; a script that runs longer gets fewer rounds
NUMBER = re.compile(r"(?<![\w.])-?(?:\d+\.?\d*(?:e[-+]?\d+)?|nan|inf)\b")


@dataclass(frozen=True)
class Script:
    """A script of the reader's folder.

    Parameters
    ----------
    name : str
        Where it lies in the folder.
    few : int
        Its argument for a short run: how many steps, samples or whatever it counts.
    by_design : bool
        Prints other numbers on fastconv: it draws other samples or masks. With ``--strict-book`` it does not.
    tolerance : float
        How far its numbers may be off: see `difference`.
    """

    name: str
    few: int
    by_design: bool = False
    tolerance: float = 1e-7


SCRIPTS = (
    Script("ch03/predict_digits.py", 200),
    Script("ch04/slopes.py", 50),
    Script("ch04/train_sigmoid_net.py", 40),
    Script("ch05/check_gradients.py", 20),
    Script("ch05/train_layer_net.py", 45),
    Script("ch06/optimizers_in_a_valley.py", 30),
    Script("ch06/optimizers_on_digits.py", 15),
    Script("ch06/initial_weights.py", 15),
    Script("ch06/with_batch_norm.py", 10),
    Script("ch06/weight_decay.py", 15),
    Script("ch06/with_dropout.py", 6, by_design=True),
    Script("ch06/search.py", 2, by_design=True),
    Script("ch07/apply_filters.py", 5, tolerance=1e-5),  # the column matrix of float32 images is float32
    Script("ch07/check_gradients.py", 6),
    Script("ch07/train_convnet.py", 1, by_design=True),
    Script("ch08/misclassified.py", 4, by_design=True),
    Script("ch08/half_precision.py", 4, by_design=True),
)


@dataclass(frozen=True)
class Row:
    """What came of a script: seconds by Python and on fastconv, how far its numbers are from each other, and how many
    digits its folder had.
    """

    name: str
    before: list[float]
    after: list[float]
    difference: float
    strict: bool
    digits: int = 5000


def reader_folder(target: Path, data: Path | None = None) -> Path:
    """Make a reader's folder: the book's modules, the scripts, the digits as the book keeps them.

    Parameters
    ----------
    target : Path
    data : Path, optional
        A folder with MNIST's four IDX files; without it the digits are those that come with fastconv.
    """
    shutil.copytree(BOOK, target, ignore=shutil.ignore_patterns("__pycache__"))
    train, test = (fastconv.load_mnist(normalize=False, source="excerpt") if data is None
                   else fastconv.load_mnist(normalize=False, data_dir=data))
    arrays = dict(zip(("train_img", "train_label", "test_img", "test_label"), (*train, *test), strict=True))
    (target / "dataset" / "mnist.pkl").write_bytes(pickle.dumps(arrays, -1))
    return target


def digits_in(folder: Path) -> int:
    """Return how many digits a reader's folder has."""
    arrays = pickle.loads((folder / "dataset" / "mnist.pkl").read_bytes())
    return len(arrays["train_img"]) + len(arrays["test_img"])


def run(folder: Path, script: str, *arguments: object, options: Sequence[str] | None = None) -> tuple[str, float]:
    """Run a script in its folder, by ``python -m fastconv`` with the options or, without them, by Python alone.

    Returns
    -------
    printed : str
    seconds : float

    Raises
    ------
    RuntimeError
        If it fails; with what it says.
    """
    way = [] if options is None else ["-m", "fastconv", *options]
    where = (str(Path(fastconv.__file__).parents[1]), os.environ.get("PYTHONPATH", ""))
    path = folder / script
    start = time.perf_counter()
    done = subprocess.run([sys.executable, *way, path.name, *map(str, arguments)], cwd=path.parent, text=True,
                          env=os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, where))}, capture_output=True)
    taken = time.perf_counter() - start
    if done.returncode:
        raise RuntimeError(f"{script} ends with exit code {done.returncode}: {done.stderr.strip()}")
    return done.stdout, taken


def numbers(printed: str) -> list[float]:
    """Return the numbers in what a script printed."""
    return [float(found) for found in NUMBER.findall(printed)]


def difference(found: str, expected: str) -> float:
    """Return the largest difference between the numbers of two runs, of numbers above 1 the relative one; inf where
    there are not as many.
    """
    ours, theirs = numbers(found), numbers(expected)
    if len(ours) != len(theirs):
        return float("inf")
    return max((abs(a - b) / max(1.0, abs(b)) for a, b in zip(ours, theirs, strict=True)), default=0.0)


def measure(folder: Path, script: Script, digits: int) -> Row:
    """Run a script before and after in turns, in a folder with so many digits."""
    before: list[float] = []
    after: list[float] = []
    while len(before) < ROUNDS and sum(before) + sum(after) < PATIENCE:
        expected, taken = run(folder, script.name)
        before.append(taken)
        found, taken = run(folder, script.name, options=[])
        after.append(taken)
    if script.by_design:
        found, _ = run(folder, script.name, options=["--strict-book"])
    return Row(script.name, before, after, difference(found, expected), script.by_design, digits)


def markdown(rows: Sequence[Row]) -> str:
    """Return the README's table, and before it which data its rows were measured with.

    Raises
    ------
    ResultsError
        If they were measured with different ones.
    """
    counts = {row.digits for row in rows}
    if len(counts) > 1:
        raise ResultsError(f"the rows were measured with {' and with '.join(map(str, sorted(counts)))} digits; "
                           "measure them all with the same --data")
    known = {5000: "the 5,000 digits that come with fastconv", 70000: "the whole of MNIST, 70,000 digits"}
    data = [f"Data: {known.get(count, f'{count:,} digits')}.\n" for count in counts]
    return "\n".join([*data, *table(rows)])


def table(rows: Sequence[Row]) -> list[str]:
    """Return the lines of the table."""
    lines = ["| Script | by Python | on fastconv | × faster | largest difference |", "|---|--:|--:|--:|--:|"]
    for row in sorted(rows, key=lambda row: row.name):
        before, after = min(row.before), min(row.after)
        lines.append(f"| {row.name} | {seconds(before)} | {seconds(after)} | {times(before / after)} "
                     f"| {row.difference:.1e}{' (strict)' if row.strict else ''} |")
    return lines


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.scripts", description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("patterns", nargs="*", metavar="PATTERN", help="which scripts (default: all)")
    parser.add_argument("--output", type=Path, required=True, metavar="FILE.json")
    parser.add_argument("--data", type=Path, metavar="DIR",
                        help="a folder with MNIST's four IDX files, as a reader's folder has them all (default: the "
                             "5,000 digits that come with fastconv)")
    parser.add_argument("--readme", nargs="?", type=Path, const=ROOT / "README.md", metavar="FILE",
                        help="measure nothing; write the table between the markers of this file (default: README.md)")
    args = parser.parse_args(argv)
    chosen = [script for script in SCRIPTS
              if any(fnmatch(script.name, pattern) for pattern in args.patterns or ["*"])]
    if not chosen:
        parser.error(f"no script is named like {' or '.join(args.patterns)}; there are "
                     + ", ".join(script.name for script in SCRIPTS))
    rows = {}
    if args.output.exists():
        rows = {row["name"]: Row(**row) for row in json.loads(args.output.read_text())}
    try:
        if args.readme:
            replace(args.readme, BEGIN, END, markdown(list(rows.values())))
            return 0
        with tempfile.TemporaryDirectory() as scratch:
            folder = reader_folder(Path(scratch) / "reader", args.data)
            digits = digits_in(folder)
            for script in chosen:
                row = rows[script.name] = measure(folder, script, digits)
                print(table([row])[-1], flush=True)
                args.output.write_text(json.dumps([asdict(row) for row in rows.values()]))
    except (ResultsError, RuntimeError, OSError) as error:
        print(f"benchmarks.scripts: error: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
