"""``fastconv info``: what this installation computes with."""
from __future__ import annotations

import argparse
from typing import Any

from .common import as_json, new_command

EXAMPLES = """\
  fastconv info
  fastconv info --json"""


def add_to(commands: Any) -> None:
    """Add the subcommand to argparse's `commands`."""
    new_command(commands, "info", run, examples=EXAMPLES,
                description="Show backend, instruction set, threads and versions.")


def run(args: argparse.Namespace) -> int:
    """Print, and return the exit code."""
    from ..config import config, show_config
    if args.json:
        print(as_json(config()))
    else:
        show_config()
    return 0
