"""The ``fastconv`` command, one file per subcommand."""
from __future__ import annotations

import sys
from collections.abc import Sequence
from functools import partial

from .errors import CommandError, check_environment
from .script import names_script, run_script

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
    is_script = names_script(argv, COMMANDS)
    if is_script and not argv[0].startswith("-"):
        command, run = "run", partial(run_script, *argv)
    else:
        from .parser import parser  # argparse, and what the subcommands import, takes time
        args = parser("run").parse_args(["run", *argv]) if is_script else parser(*COMMANDS).parse_args(argv)
        command, run = args.command, partial(args.run, args)
    try:
        check_environment()
        return run()
    except (CommandError, OSError) as error:
        print(f"fastconv {command}: error: {error}", file=sys.stderr)
        return FAILED
    except KeyboardInterrupt:
        print(f"fastconv {command}: interrupted", file=sys.stderr)
        return INTERRUPTED
