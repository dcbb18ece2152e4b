"""The settings of a run of ``fastconv train``: options of the command line, and kept in its checkpoint."""
from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from .common import CommandError, add_data, positive_number, whole_number

if TYPE_CHECKING:
    from ..datasets.mnist import MnistSource

SCHEDULES = ("constant", "cosine")


class Setting(NamedTuple):
    """How a setting is read, its default, and what ``--help`` says."""

    parse: Callable[[str], Any]
    default: Any
    metavar: str
    help: str


def _model(text: str) -> str:
    from ..models import SMALL
    if text not in SMALL:
        raise argparse.ArgumentTypeError(f"{text!r} is none of {', '.join(SMALL)}")
    return text


def _optimizer(text: str) -> str:
    from ..optimizers import OPTIMIZERS
    if text.lower() not in OPTIMIZERS:
        names = dict.fromkeys(optimizer.__name__ for optimizer in OPTIMIZERS.values())
        raise argparse.ArgumentTypeError(f"{text!r} is none of {', '.join(names)}")
    return text


def _schedule(text: str) -> str:
    if text not in SCHEDULES:
        raise argparse.ArgumentTypeError(f"{text!r} is none of {', '.join(SCHEDULES)}")
    return text


SETTINGS = {
    "model": Setting(_model, "deepconvnet", "NAME",
                     "deepconvnet; alexnet, vgg or googlenet in narrow forms for small images; resnet20, resnet32 or "
                     "resnet56 (default: deepconvnet)"),
    "epochs": Setting(whole_number(1), 20, "N", "times that each image is shown (default: 20)"),
    "batch_size": Setting(whole_number(1), 100, "N", "images per step (default: 100)"),
    "optimizer": Setting(_optimizer, "Adam", "NAME",
                         "SGD, Momentum, Nesterov, AdaGrad, RMSprop or Adam (default: Adam)"),
    "lr": Setting(positive_number, None, "X", "learning rate (default: the optimizer's own)"),
    "schedule": Setting(_schedule, "constant", "NAME",
                        "constant, or cosine: the learning rate falls to 0 at the last epoch (default: constant)"),
    "clip": Setting(positive_number, None, "X", "largest L2 norm of all gradients together (default: any)"),
    "patience": Setting(whole_number(1), None, "N",
                        "stop when the test accuracy has not become better for N epochs (default: never)"),
    "seed": Setting(whole_number(0), None, "N", "makes the run repeatable, bit for bit"),
    "checkpoint_every": Setting(whole_number(1), None, "STEPS",
                                "steps from checkpoint to checkpoint (default: an epoch)"),
}
KEPT = {"data": "auto", "no_winograd": False, **{name: setting.default for name, setting in SETTINGS.items()}}
ALSO_WITH_RESUME = ("data", "epochs")


def add(parser: argparse.ArgumentParser) -> None:
    """Add the options; what is not given is None."""
    add_data(parser)
    parser.set_defaults(data=None)
    for name, setting in SETTINGS.items():
        parser.add_argument(_option(name), type=setting.parse, metavar=setting.metavar, help=setting.help)
    parser.add_argument("--no-winograd", action="store_true", default=None,
                        help="convolve as defined, slower and a little more exact (FASTCONV_WINOGRAD=0)")


def of(args: argparse.Namespace) -> dict[str, Any]:
    """Return the settings of the run that the command line asks for.

    Raises
    ------
    CommandError
        It resumes a run and has other settings, or that run's cannot be read.
    """
    given = {name: getattr(args, name) for name in KEPT if getattr(args, name) is not None}
    if args.resume is None:
        return KEPT | given
    others = [_option(name) for name in given if name not in ALSO_WITH_RESUME] + ["--overwrite"] * args.overwrite
    if others:
        raise CommandError(f"--resume goes on with the settings of that run; leave out {', '.join(others)}")
    run = _read(args.resume)
    settings = _checked(run["settings"], args.resume) | given
    if settings["epochs"] < run["epochs_done"]:
        raise CommandError(f"the run in {args.resume} has {run['epochs_done']} epochs already; --epochs is how many it "
                           "has in the end")
    return settings


def lasting_name(source: MnistSource) -> str:
    """Return what ``--data`` finds this data set by, later and in another working directory."""
    from ..datasets.mnist import EXCERPT
    return "excerpt" if source.folder == EXCERPT else str(Path(source.folder).resolve())


def _read(folder: Path) -> dict[str, Any]:
    from ..training.checkpoint import read_checkpoint
    path = folder / "checkpoint.npz"
    if not path.is_file():
        raise CommandError(f"there is no {path}, so there is no run to go on with")
    try:
        return read_checkpoint(path).run
    except ValueError as error:
        raise CommandError(str(error)) from error


def _checked(settings: dict[str, Any], folder: Path) -> dict[str, Any]:
    where = f"{folder / 'checkpoint.npz'}, entry 'run': settings"
    if set(settings) != set(KEPT):
        raise CommandError(f"{where} are not those of fastconv train; go on with it by Trainer.resume")
    for name, value in settings.items():
        is_kept = isinstance(value, bool if name == "no_winograd" else str) if name not in SETTINGS else True
        if name in SETTINGS and value is not None:
            try:
                settings[name] = SETTINGS[name].parse(str(value))
            except argparse.ArgumentTypeError as error:
                raise CommandError(f"{where}: {name}: {error}") from error
        if not is_kept or value is None and KEPT[name] is not None:
            raise CommandError(f"{where}: {name} is {value!r:.60}")
    return settings


def _option(name: str) -> str:
    return f"--{name.replace('_', '-')}"
