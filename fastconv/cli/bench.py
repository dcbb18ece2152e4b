"""``fastconv bench``: what this machine gets out of fastconv, in half a minute."""
from __future__ import annotations

import argparse
import statistics
from pathlib import Path
from typing import Any

from .common import CommandError, add_threads, as_json, new_command, say, use_threads, whole_number

EXAMPLES = """\
  fastconv bench
  fastconv bench --threads 1 --batch 10
  fastconv bench --json | python -m json.tool
  fastconv bench --html bench.html

The whole suite, with the book's NumPy code, PyTorch and others as comparators: pytest --benchmark, in a clone."""

SECONDS = 1.0  # per comparison and side
LAYERS = "network.gradient, measured above, does not run layer by layer but as one plan"


def add_to(commands: Any) -> None:
    """Add the subcommand to argparse's `commands`."""
    parser = new_command(commands, "bench", run, examples=EXAMPLES,
                         description="Measure the speed-up over NumPy and where the time of a training step goes.")
    parser.add_argument("--batch", type=whole_number(1), default=100, metavar="N",
                        help="images per step (default: 100)")
    parser.add_argument("--html", type=Path, metavar="FILE", help="write a page with the tables as well")
    add_threads(parser)


def run(args: argparse.Namespace) -> int:
    """Measure, print, and return the exit code."""
    from .. import dispatch
    from ..config import config
    use_threads(args)
    if args.html and not args.html.parent.is_dir():
        raise CommandError(f"cannot write {args.html}: there is no folder {args.html.parent}")
    engine = config()
    found: dict[str, Any] = {"batch": args.batch, "config": engine, "limits": _limits()}
    say(args, _machine(found))
    say(args, f"\n{'speed-up over NumPy (float32 reference)':<44}{'NumPy':>11}{'fastconv':>11}{'times':>8}")
    found["speed_up"] = []
    if len(dispatch.backends()) == 1:
        say(args, "none: the compiled kernels are not installed, fastconv itself runs on NumPy")
    else:
        for row in _speed_up(args.batch):
            found["speed_up"].append(row)
            say(args, f"{row['what']:<44}{row['numpy_ms']:8.2f} ms{row['fastconv_ms']:8.2f} ms{row['times']:8.1f}")
    found["profile"] = _profile(args.batch)
    found["step_ms"] = sum(row["ms"] for row in found["profile"])
    say(args, f"\na training step on {args.batch} images, layer by layer\n{'layer':<24}{'forward':>11}{'backward':>11}"
              f"{'GFLOP/s':>10}{'share':>8}")
    for row in found["profile"]:
        rate = f"{row['gflops']:.1f}" if row["gflops"] else ""
        say(args, f"{row['layer']:<24}{row['forward_ms']:8.2f} ms{row['backward_ms']:8.2f} ms"
                  f"{rate:>10}{row['share']:8.1%}")
    say(args, f"{'together':<24}{found['step_ms']:19.2f} ms\n{LAYERS}")
    if args.html:
        args.html.write_text(_page(found), encoding="utf-8")
        say(args, f"wrote {args.html}")
    if args.json:
        print(as_json(found))
    return 0


def _limits() -> dict[str, float] | None:
    from ..probe import limits
    try:
        found = limits()
    except ImportError:
        return None
    return {"threads": found.threads, "gflops": found.flops_per_second / 1e9, "gbytes": found.bytes_per_second / 1e9}


def _machine(found: dict[str, Any]) -> str:
    engine, limits = found["config"], found["limits"]
    text = (f"fastconv {engine['fastconv']} on {engine['platform']}, numpy {engine['numpy']}\n"
            f"backend {engine['backend']}, {engine['instruction_set'] or 'no compiled level'}, "
            f"{engine['threads']} threads")
    if limits:
        text += f"\nmeasured limits: {limits['gflops']:.0f} GFLOP/s multiply-adds, {limits['gbytes']:.0f} GB/s copied"
    return text


def _speed_up(batch: int) -> Any:
    """Yield one row per comparison; each result is checked before it is timed."""
    from ..timing import interleave
    from .bench_cases import cases
    for case in cases(batch):
        if not case.agree():
            raise CommandError(f"{case.what}: the compiled kernels and the reference disagree, so there is no time")
        times = interleave({"numpy": case.reference, "fastconv": case.fast}, SECONDS, least=3)
        numpy_s, fast_s = statistics.median(times["numpy"]), statistics.median(times["fastconv"])
        yield {"what": case.what, "numpy_ms": numpy_s * 1e3, "fastconv_ms": fast_s * 1e3, "times": numpy_s / fast_s}


def _profile(batch: int) -> list[dict[str, Any]]:
    from ..optimizers import Adam
    from ..profile import profile
    from .bench_cases import step_inputs
    network, x, t = step_inputs(batch)
    rows = profile(network, x, t, Adam())
    total = sum(row.forward + row.backward for row in rows)
    return [{"layer": row.name, "forward_ms": row.forward * 1e3, "backward_ms": row.backward * 1e3,
             "ms": (row.forward + row.backward) * 1e3, "share": (row.forward + row.backward) / total,
             "gflops": row.flops / (row.forward + row.backward) / 1e9} for row in rows]


def _page(found: dict[str, Any]) -> str:
    from .html import Cell, page, paragraph, table

    def ms(value: float) -> Cell:
        return Cell(value, f"{value:.2f} ms")

    speed = table(("What", "NumPy", "fastconv", "times"), [
        [row["what"], ms(row["numpy_ms"]), ms(row["fastconv_ms"]),
         Cell(row["times"], f"{row['times']:.1f}", "good" if row["times"] > 1 else "bad")]
        for row in found["speed_up"]])
    layers = table(("Layer", "Forward", "Backward", "GFLOP/s", "Share"), [
        [row["layer"], ms(row["forward_ms"]), ms(row["backward_ms"]),
         Cell(row["gflops"] or None, f"{row['gflops']:.1f}" if row["gflops"] else ""),
         Cell(row["share"], f"{row['share']:.1%}")] for row in found["profile"]])
    title = f"A training step on {found['batch']} images, layer by layer, {found['step_ms']:.1f} ms"
    return page("fastconv bench", [("Speed-up over NumPy (float32 reference)", speed),
                                   (title, paragraph(f"{LAYERS}.", faint=True) + layers)],
                "".join(paragraph(line, faint=True) for line in _machine(found).splitlines()))
