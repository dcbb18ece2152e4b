"""``fastconv run`` and ``python -m fastconv script.py``: run a script of the book's on fastconv."""
from __future__ import annotations

import argparse
import io
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from types import ModuleType, TracebackType
from typing import Any

from .common import CommandError, add_threads, use_threads

WITH_VALUE = ("--only", "--precision", "--threads")
OPTIONS = (*WITH_VALUE, "--strict-book", "--report")
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


def names_script(argv: Sequence[str], commands: Sequence[str]) -> bool:
    """Say whether a command line runs a script without the word ``run``: after our options comes a Python file."""
    words = iter(argv)
    for word in words:
        if not word.startswith("-"):
            return word not in commands and (word.endswith(".py") or Path(word).is_file())
        if word.partition("=")[0] not in OPTIONS:
            return False
        if word in WITH_VALUE:
            next(words, None)
    return False


def run(args: argparse.Namespace) -> int:
    """Run the script as ``python SCRIPT ARGS`` would."""
    from .. import dropin
    script = Path(args.script)
    if not script.is_file():
        what = "is a folder" if script.is_dir() else "does not exist"
        raise CommandError(f"the script {args.script} {what}; the working directory is {os.getcwd()}")
    use_threads(args)
    try:
        dropin.install(None if args.only is None else args.only.split(","), strict_book=args.strict_book,
                       precision=args.precision, report=args.report or None)
    except ValueError as error:
        raise CommandError(str(error)) from error
    sys.argv[:] = [args.script, *args.args]
    _set_path(script.resolve())
    try:
        _execute(os.path.abspath(script))
    except Exception as error:
        _show(error, os.path.abspath(script))
        return 1
    except KeyboardInterrupt as error:
        _show(error, os.path.abspath(script))
        return 130
    return 0


def _execute(path: str) -> None:
    """Run a file as the module ``__main__``."""
    main = ModuleType("__main__")
    main.__file__, main.__builtins__ = path, __builtins__  # type: ignore[attr-defined]
    sys.modules["__main__"] = main
    with io.open_code(path) as file:
        code = compile(file.read(), path, "exec")
    exec(code, vars(main))


def _set_path(script: Path) -> None:
    """Let modules be found in the script's folder first, as Python does, and last in the book's.

    The book's scripts add the folder above the working directory, which is the book's only where one has changed into
    the script's folder.
    """
    sys.path[:1] = [str(script.parent)]
    for folder in script.parents:
        if (folder / "common").is_dir() or (folder / "dataset").is_dir():
            sys.path.append(str(folder))
            return


def _show(error: BaseException, path: str) -> None:
    """Print a traceback as Python does: from the script's own lines on."""
    shown: TracebackType | None = error.__traceback__
    while shown is not None and shown.tb_frame.f_code.co_filename != path:
        shown = shown.tb_next
    sys.stdout.flush()
    if sys.excepthook is sys.__excepthook__:
        import traceback
        traceback.print_exception(type(error), error, shown)
    else:
        sys.excepthook(type(error), error, shown)
