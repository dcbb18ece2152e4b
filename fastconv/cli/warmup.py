"""``fastconv warmup``: compile the kernels of the Numba backend, and keep them for the next start."""
from __future__ import annotations

import argparse
import sys
import time
from typing import Any

from .common import CommandError, as_json, new_command, say

DTYPES = {"float32": ("float32",), "float64": ("float64",), "both": ("float32", "float64")}
EXAMPLES = """\
  fastconv warmup
  fastconv warmup --dtype float32
  FASTCONV_BACKEND=numba fastconv train          starts at once afterwards

Kernels that are kept already are only loaded. They are kept until fastconv, Numba, Python or the CPU changes;
what other arguments need is compiled when it is first used. NUMBA_CACHE_DIR names another folder to keep them
in, for warmup and for the programs that shall find them."""


def add_to(commands: Any) -> None:
    """Add the subcommand to argparse's `commands`."""
    parser = new_command(commands, "warmup", run, examples=EXAMPLES,
                         description="Compile the kernels of the Numba backend ahead of their first use.")
    parser.add_argument("--dtype", choices=DTYPES, default="both",
                        help="the precision to compile for; networks use float32 unless told otherwise (default: both)")


def run(args: argparse.Namespace) -> int:
    """Compile, print, and return the exit code."""
    started = time.perf_counter()
    _check()
    from .. import dispatch
    from .warmup_cases import both_variants, cases, loops
    steps = cases(DTYPES[args.dtype])
    say(args, "compiling Numba's kernels, which takes minutes where none is kept on disk")
    with dispatch.use("numba"), both_variants(), _bar(args, len(steps)) as bar:
        for name, step in steps:
            bar.set_description_str(name)
            step()
            bar.update()
    found: dict[str, Any] = {"compiled": 0, "loaded": 0, "cache": None}
    for loop in loops():
        for variant in {loop.alone, loop.shared}:
            found["compiled"] += sum(variant.stats.cache_misses.values())
            found["loaded"] += sum(variant.stats.cache_hits.values())
            found["cache"] = variant.stats.cache_path
    found["seconds"] = time.perf_counter() - started
    say(args, "compiled {compiled} kernels and found {loaded} compiled already, in {seconds:.1f} s; ".format(**found)
        + (f"they are kept in {found['cache']}" if found["cache"] else "no folder can be written to keep them in"))
    if args.json:
        print(as_json(found))
    return 0


def _check() -> None:
    """Raise CommandError where there is nothing to compile with."""
    from .. import dispatch
    try:
        with dispatch.use("numba"):
            dispatch.kernel("relu_forward", "numba")
    except ImportError as error:
        raise CommandError(str(error)) from error
    import numba
    if numba.config.DISABLE_JIT:
        raise CommandError("NUMBA_DISABLE_JIT is set: nothing is compiled")


def _bar(args: argparse.Namespace, total: int) -> Any:
    from tqdm import tqdm  # type: ignore[import-untyped]
    file = sys.stderr if args.json else sys.stdout
    return tqdm(total=total, unit=" steps", dynamic_ncols=True, leave=False, file=file, disable=not file.isatty())
