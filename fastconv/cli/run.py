"""``fastconv run`` and ``python -m fastconv script.py``: run a script of the book's on fastconv."""
from __future__ import annotations

import argparse
from typing import Any

from .common import add_threads, use_threads
from .script import run_script

EXAMPLES = """examples:
  python -m fastconv ch08/train_deepnet.py
  python -m fastconv --report ch07/train_convnet.py
  python -m fastconv --strict-book --only layers,util ch05/gradient_check.py
"""


def add_to(commands: Any) -> None:
    """Add the subcommand."""
    parser = commands.add_parser(
        "run", help="run a script of the book's, unchanged; also: python -m fastconv [options] SCRIPT [ARGS]",
        description="Run a script of the book Deep Learning from Scratch, unchanged, on fastconv: its modules common.* "
                    "and dataset.mnist get fastconv's layers, functions, optimizers and Trainer as they are imported.",
        epilog=EXAMPLES + "\nThe exit code is the script's.", formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", metavar="NAMES", help="replace only these modules or objects, separated by commas: "
                                                        "layers, common.util, Convolution")
    parser.add_argument("--strict-book", action="store_true",
                        help="as in the book where fastconv differs by design: samples, masks, lines; slower")
    parser.add_argument("--precision", choices=("float32", "float64"), default="float32",
                        help="of a network that a Trainer trains on float32 images (default: float32)")
    parser.add_argument("--report", action="store_true",
                        help="print at the end, on stderr, what was replaced, calls, times, and what the book's own "
                             "code had to do (also: FASTCONV_VERBOSE=1)")
    add_threads(parser)
    parser.add_argument("script", metavar="SCRIPT", help="a Python file")
    parser.add_argument("args", metavar="ARGS", nargs=argparse.REMAINDER, help="the script's own arguments")
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Run the script as ``python SCRIPT ARGS`` would."""
    use_threads(args)
    return run_script(args.script, *args.args, only=args.only, strict_book=args.strict_book, precision=args.precision,
                      report=args.report)
