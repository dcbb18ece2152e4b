"""The command line of ``fastconv``."""
from __future__ import annotations

import argparse
from importlib import import_module


class _Version(argparse.Action):
    """Print the version, which takes time to find, and end."""

    def __call__(self, parser: argparse.ArgumentParser, *rest: object) -> None:
        from ..config import package_version
        print(f"fastconv {package_version()}")
        parser.exit()


def parser(*names: str) -> argparse.ArgumentParser:
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
        import_module(f".{name}", __package__).add_to(commands)
    return parser
