"""The ``fastconv`` command, one file per subcommand."""
from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from importlib import import_module

from . import run
from .common import CommandError, check_environment

FAILED, INTERRUPTED = 1, 130  # a wrong command line is 2, argparse's own
COMMANDS = ("run", "train", "evaluate", "predict", "bench", "warmup", "summary", "info")


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command.

    Parameters
    ----------
    argv : sequence of str, optional
        The arguments; by default those of the process.

    Returns
    -------
    int
        The exit code: 0, 1 if something was missing, damaged or not writable, 130 if interrupted by Ctrl-C, 143 if
        by SIGTERM.

    Raises
    ------
    SystemExit
        With 2 for a wrong command line, with 0 after ``--help`` and ``--version``.
    """
    argv = sys.argv[1:] if argv is None else argv
    if run.names_script(argv, COMMANDS):
        args = _parser("run").parse_args(["run", *argv])  # without the others, whose imports take time
    else:
        args = _parser(*COMMANDS).parse_args(argv)
    try:
        check_environment()
        return args.run(args)
    except (CommandError, OSError) as error:
        print(f"fastconv {args.command}: error: {error}", file=sys.stderr)
        return FAILED
    except KeyboardInterrupt:
        print(f"fastconv {args.command}: interrupted", file=sys.stderr)
        return INTERRUPTED


class _Version(argparse.Action):
    """Print the version, which takes time to find, and end."""

    def __call__(self, parser: argparse.ArgumentParser, *rest: object) -> None:
        from ..config import package_version
        print(f"fastconv {package_version()}")
        parser.exit()


def _parser(*names: str) -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="fastconv", description="Train and use convolutional networks on the CPU.",
        epilog="python -m fastconv [options] SCRIPT.py [ARGS] runs a script of the book Deep Learning from Scratch,\n"
               "unchanged and fast; its options: fastconv run --help.\n\n"
               "Exit codes: 0 done, 1 failed, 2 wrong command line, 130 interrupted by Ctrl-C, 143 by SIGTERM.\n"
               "'fastconv COMMAND --help' has examples.",
        formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--version", action=_Version, nargs=0, help="show program's version number and exit")
    commands = parser.add_subparsers(dest="command", metavar="COMMAND", required=True)
    for name in names:
        import_module(f".{name}", __name__).add_to(commands)
    return parser
