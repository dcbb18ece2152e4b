"""Run a script of the book's on fastconv, as ``python SCRIPT ARGS`` would run it.

Without argparse, whose import takes longer than all of this.
"""
from __future__ import annotations

import gc
import io
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from types import ModuleType, TracebackType
from typing import Literal

from .errors import CommandError

WITH_VALUE = ("--only", "--precision", "--threads")
OPTIONS = (*WITH_VALUE, "--strict-book", "--report")


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


def run_script(name: str, *args: str, only: str | None = None, strict_book: bool = False,
               precision: Literal["float32", "float64"] = "float32", report: bool = False) -> int:
    """Run the script with these arguments and return its exit code; the options are those of ``fastconv run``."""
    from .. import dropin
    script = Path(name)
    if not script.is_file():
        what = "is a folder" if script.is_dir() else "does not exist"
        raise CommandError(f"the script {name} {what}; the working directory is {os.getcwd()}")
    try:
        dropin.install(None if only is None else only.split(","), strict_book=strict_book, precision=precision,
                       report=report or None)
    except ValueError as error:
        raise CommandError(str(error)) from error
    gc.freeze()  # NumPy and fastconv, which stay: to search them for garbage takes 10 ms at the end of the script
    sys.argv[:] = [name, *args]
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
