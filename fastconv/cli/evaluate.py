"""``fastconv evaluate``: accuracy and loss of saved parameters on test images."""
from __future__ import annotations

import argparse
from typing import Any

import numpy as np

from .common import (
    add_data,
    add_params,
    add_threads,
    as_json,
    load_data,
    load_network,
    new_command,
    say,
    use_threads,
)

EXAMPLES = """\
  fastconv evaluate                              what fastconv train made, on MNIST's 10,000 test images
  fastconv evaluate --params deep_convnet_params.pkl -v
  fastconv evaluate --data my-digits/ --json

The excerpt is a part of MNIST's training set: with --data excerpt, parameters that were trained on the whole
of MNIST are tested on images they have seen."""


def add_to(commands: Any) -> None:
    """Add the subcommand to argparse's `commands`."""
    parser = new_command(commands, "evaluate", run, examples=EXAMPLES,
                         description="Test a network's saved parameters on handwritten digits.")
    add_params(parser)
    add_data(parser)
    parser.add_argument("-v", "--verbose", action="store_true", help="also a line for each class")
    add_threads(parser)


def run(args: argparse.Namespace) -> int:
    """Evaluate, print, and return the exit code."""
    from ..functions import cross_entropy_error, softmax
    use_threads(args)
    network = load_network(args)
    source, _, (x, t) = load_data(args)
    y = softmax(np.concatenate([network.predict(x[i:i + 100]) for i in range(0, len(x), 100)]))
    loss = cross_entropy_error(y, t)
    hits = y.argmax(axis=1) == t
    classes = [{"digit": digit, "images": int((t == digit).sum()), "correct": int(hits[t == digit].sum())}
               for digit in range(10)]

    say(args, f"accuracy {hits.mean():.4f} ({hits.sum():,} of {len(t):,} images), loss {loss:.4f}")
    if args.verbose:
        say(args, "digit  images  correct  accuracy")
        for row in classes:
            accuracy = row["correct"] / row["images"] if row["images"] else float("nan")
            say(args, f"{row['digit']:>5}  {row['images']:>6}  {row['correct']:>7}  {accuracy:>8.4f}")
    if args.json:
        print(as_json({"accuracy": float(hits.mean()), "correct": int(hits.sum()), "images": len(t),
                       "loss": loss, "classes": classes, "params": args.params,
                       "data": source.name, "data_dir": str(source.folder)}))
    return 0
