"""``fastconv summary``: the layers of a network, their sizes and what they cost."""
from __future__ import annotations

import argparse
from typing import Any

from .common import CommandError, as_json, new_command, say, whole_number

EXAMPLES = """\
  fastconv summary vgg16
  fastconv summary resnet20 --input-dim 1 28 28 --num-classes 10
  fastconv summary googlenet --json | python -m json.tool

Sizes are height x width x channels; multiply-adds are those of one image."""


def add_to(commands: Any) -> None:
    """Add the subcommand to argparse's `commands`."""
    parser = new_command(commands, "summary", run, examples=EXAMPLES,
                         description="Show a network's layers, parameters and multiply-adds.")
    parser.add_argument("model", metavar="MODEL", help="name of a network: alexnet, vgg16, googlenet, resnet50, ...")
    parser.add_argument("--input-dim", nargs=3, type=whole_number(1), metavar=("C", "H", "W"),
                        help="channels, height and width of the images (default: the network's own)")
    parser.add_argument("--num-classes", type=whole_number(1), metavar="N",
                        help="number of classes (default: the network's own)")


def run(args: argparse.Namespace) -> int:
    """Print, and return the exit code."""
    from ..engine import summary
    from ..models import ZOO
    if args.model not in ZOO:
        raise CommandError(f"there is no network {args.model!r}; there are: {', '.join(ZOO)}")
    given = {} if args.input_dim is None else {"input_dim": tuple(args.input_dim)}
    given |= {} if args.num_classes is None else {"num_classes": args.num_classes}
    try:
        network = ZOO[args.model](**given)
    except ValueError as error:
        raise CommandError(str(error)) from error
    say(args, network.summary())
    if args.json:
        assert network.input_dim is not None
        rows = summary.rows(network._graph, network.input_dim)
        print(as_json({"model": args.model, "input_dim": list(network.input_dim),
                       "parameters": sum(row.parameters for row in rows),
                       "multiply_adds": sum(row.multiply_adds for row in rows if row.predicts),
                       "layers": [{"node": row.node, "name": row.name, "layer": row.layer, "reads": list(row.reads),
                                   "output": list(row.shape), "parameters": row.parameters,
                                   "multiply_adds": row.multiply_adds} for row in rows]}))
    return 0
