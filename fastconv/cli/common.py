"""What the subcommands share: options, loading, printing."""
from __future__ import annotations

import argparse
import math
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from ..json_line import as_json as as_json
from .errors import CommandError as CommandError

if TYPE_CHECKING:
    from ..datasets.mnist import MnistSource, Split
    from ..engine import Network

T = TypeVar("T")
DEFAULT_PARAMS = "fastconv-run/params.pkl"


def new_command(commands: Any, name: str, run: Callable[[argparse.Namespace], int], *,
                description: str, examples: str) -> argparse.ArgumentParser:
    """Add a subcommand with the options that all have."""
    parser = commands.add_parser(name, help=description[0].lower() + description[1:].rstrip("."),
                                 description=description, epilog=f"examples:\n{examples}",
                                 formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.set_defaults(run=run)
    parser.add_argument("--json", action="store_true",
                        help="print one JSON object to stdout, and what is meant for people to stderr")
    return parser


def add_data(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--data", default="auto", metavar="auto|mnist|excerpt|DIR",
                        help="mnist: from FASTCONV_DATA_DIR, the cache or the network; excerpt: the 5,000 "
                             "digits that come with fastconv; DIR: a folder of IDX files; auto: mnist where "
                             "it is in reach, else excerpt (default: auto)")


def add_params(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--params", default=DEFAULT_PARAMS, metavar="FILE",
                        help="parameters of a network that fastconv train makes, .pkl, .npz or .safetensors "
                             f"(default: {DEFAULT_PARAMS})")


def add_threads(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--threads", type=whole_number(1), metavar="N",
                        help="threads (default: FASTCONV_NUM_THREADS, OMP_NUM_THREADS, or the usable CPUs)")


def whole_number(least: int) -> Callable[[str], int]:
    """Return a parser for an option that takes whole numbers from `least` on."""
    def parse(text: str) -> int:
        if not text.isdecimal() or int(text) < least:
            raise argparse.ArgumentTypeError(f"{text!r} is not a whole number from {least} on")
        return int(text)

    return parse


def positive_number(text: str) -> float:
    """Parse an option that takes a finite number above 0."""
    try:
        number = float(text)
    except ValueError:
        number = math.nan
    if not 0 < number < math.inf:
        raise argparse.ArgumentTypeError(f"{text!r} is not a positive number")
    return number


def folder_name(text: str) -> Path:
    """Parse an option that names a folder."""
    if not text:
        raise argparse.ArgumentTypeError("the name of the folder is empty; the working directory is '.'")
    return Path(text)


def say(args: argparse.Namespace, line: str) -> None:
    """Print a line for people."""
    print(line, file=sys.stderr if args.json else sys.stdout, flush=True)


def use_threads(args: argparse.Namespace) -> None:
    """Apply ``--threads``."""
    if args.threads is not None:
        from ..threads import set_num_threads
        set_num_threads(args.threads)


def load_data(args: argparse.Namespace) -> tuple[MnistSource, Split, Split]:
    """Load what ``--data`` names, say what it is, and return it: source, training and test data.

    Images are (N, 1, 28, 28) uint8, which networks take as 0 to 1; labels (N,) uint8.
    """
    from ..datasets import find_mnist, load_mnist
    source = find_mnist(args.data)
    if source.note:
        say(args, f"MNIST is out of reach: {source.note}.")
    train, test = load_mnist(normalize=False, flatten=False, data_dir=source.folder)
    if not len(train[0]) or not len(test[0]):
        raise CommandError(f"there are no images in {source.folder}")
    say(args, f"data: {source.name}, {len(train[0]):,} training and {len(test[0]):,} test images, "
              f"from {source.folder}")
    return source, train, test


def opened(read: Callable[[str], T], path: str) -> T:
    """Return what `read` finds in a file; CommandError where that fails."""
    try:
        return read(path)
    except OSError as error:
        raise CommandError(f"cannot read {path}: {error.strerror or error}") from error
    except (ImportError, ValueError) as error:
        raise CommandError(str(error)) from error


def load_network(args: argparse.Namespace) -> Network:
    """Return the network of digits that the parameters in the file that ``--params`` names are of."""
    from .. import params
    from ..models import SMALL
    if not Path(args.params).is_file():
        raise CommandError(f"there is no file {args.params}; train a network first (fastconv train), "
                           "or name a file of parameters with --params")
    faults = []
    try:
        arrays = params.load(args.params)
        for make in SMALL.values():
            network = make(input_dim=(1, 28, 28), num_classes=10, seed=0)
            try:
                network.load_state(arrays, str(args.params))
                return network
            except ValueError as error:
                faults.append(str(error))
    except ValueError as error:
        raise CommandError(str(error)) from error
    nearest = min(faults, key=len)
    raise CommandError(f"{nearest}. fastconv train makes the parameters of {', '.join(SMALL)}")
