"""The ``fastconv`` command, one file per subcommand."""
from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence

from ..config import package_version
from . import bench, evaluate, info, predict, run, summary, train, warmup
from .common import CommandError, check_environment

FAILED, INTERRUPTED = 1, 130  # a wrong command line is 2, argparse's own
COMMANDS = {"run": run, "train": train, "evaluate": evaluate, "predict": predict, "bench": bench, "warmup": warmup,
            "summary": summary, "info": info}


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
    if run.names_script(argv, list(COMMANDS)):
        argv = ["run", *argv]
    args = _parser().parse_args(argv)
    try:
        check_environment()
        return args.run(args)
    except (CommandError, OSError) as error:
        print(f"fastconv {args.command}: error: {error}", file=sys.stderr)
        return FAILED
    except KeyboardInterrupt:
        print(f"fastconv {args.command}: interrupted", file=sys.stderr)
        return INTERRUPTED


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="fastconv", description="Train and use convolutional networks on the CPU.",
        epilog="python -m fastconv [options] SCRIPT.py [ARGS] runs a script of the book Deep Learning from Scratch,\n"
               "unchanged and fast; its options: fastconv run --help.\n\n"
               "Exit codes: 0 done, 1 failed, 2 wrong command line, 130 interrupted by Ctrl-C, 143 by SIGTERM.\n"
               "'fastconv COMMAND --help' has examples.",
        formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--version", action="version", version=f"fastconv {package_version()}")
    commands = parser.add_subparsers(dest="command", metavar="COMMAND", required=True)
    for command in COMMANDS.values():
        command.add_to(commands)
    return parser
