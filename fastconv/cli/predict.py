"""``fastconv predict``: read the digits in image files."""
from __future__ import annotations

import argparse
from typing import Any

import numpy as np

from .common import add_params, add_threads, as_json, load_network, new_command, say, use_threads

EXAMPLES = """\
  fastconv predict digit.png
  fastconv predict --params fastconv-run/params.pkl photos/*.jpg
  fastconv predict --json digit.png | python -m json.tool

One digit per image: dark on light or light on dark, of any size, with some background around it. It is
cropped, scaled and centred as MNIST's digits were; images that look like MNIST's are taken as they are."""


def add_to(commands: Any) -> None:
    """Add the subcommand to argparse's `commands`."""
    parser = new_command(commands, "predict", run, examples=EXAMPLES,
                         description="Say which digits PNG or JPEG images show.")
    parser.add_argument("images", nargs="+", metavar="IMAGE", help="image file with one digit")
    add_params(parser)
    add_threads(parser)


def run(args: argparse.Namespace) -> int:
    """Predict, print, and return the exit code."""
    from ..functions import softmax
    from .digits import read_digit
    use_threads(args)
    network = load_network(args)
    pixels = np.stack([read_digit(path) for path in args.images])
    y = softmax(network.predict(pixels[:, None] / np.float32(255)))

    say(args, "digit  " + "  ".join(f" p({digit})" for digit in range(10)) + "  image")
    for path, p in zip(args.images, y, strict=True):
        say(args, f"{p.argmax():>5}  " + "  ".join(f"{value:.3f}" for value in p) + f"  {path}")
    if args.json:
        print(as_json({"images": [{"image": path, "digit": int(p.argmax()), "probabilities": p.tolist()}
                                  for path, p in zip(args.images, y, strict=True)]}))
    return 0
