"""``fastconv train``: train a network on MNIST and keep what comes of it."""
from __future__ import annotations

import argparse
import contextlib
import sys
import tempfile
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, TextIO

from . import train_settings
from .common import CommandError, add_threads, as_json, folder_name, load_data, new_command, say, use_threads

if TYPE_CHECKING:
    from ..datasets.mnist import Split
    from ..engine import Network
    from ..trainer import Trainer

FAILED, INTERRUPTED = 1, 130
EXAMPLES = """\
  fastconv train                                 20 epochs: seconds on the excerpt, minutes on MNIST
  fastconv train --data excerpt --epochs 5       without the network
  fastconv train --optimizer Momentum --lr 0.05 --schedule cosine --seed 1 --output runs/momentum
  fastconv train --model resnet20 --epochs 30 --patience 5
  fastconv train --json --quiet > result.json
  fastconv train --resume fastconv-run           go on where a run ended, however it ended
  fastconv train --resume fastconv-run --epochs 40

The output folder gets params.pkl (the latest parameters), best.pkl (those with the best test accuracy),
history.jsonl (a line per epoch), learning_curve.png and checkpoint.npz, in place of those of an earlier run that
is finished. One that is not finished is kept: resume it, or give it up with --overwrite. Ctrl-C or SIGTERM stops
after the running step and saves what was trained; a second one leaves at once."""


def add_to(commands: Any) -> None:
    """Add the subcommand to argparse's `commands`."""
    parser = new_command(commands, "train", run, description="Train a network on handwritten digits.",
                         examples=EXAMPLES)
    train_settings.add(parser)
    place = parser.add_mutually_exclusive_group()
    place.add_argument("--output", type=folder_name, default=Path("fastconv-run"), metavar="DIR",
                       help="folder for the results, made if missing (default: fastconv-run)")
    place.add_argument("--resume", type=folder_name, metavar="DIR",
                       help="go on with the run in this folder, with its own settings; of these only --epochs (more of "
                            "them) and --data (where it is now) may be given with it")
    parser.add_argument("--overwrite", action="store_true",
                        help="start anew even if the output folder has a run that is not finished")
    parser.add_argument("--quiet", action="store_true", help="no progress, only data, engine and result")
    add_threads(parser)


def run(args: argparse.Namespace) -> int:
    """Train, save, and return the exit code."""
    from ..config import config
    from ..training.folder_lock import locked
    folder = args.output if args.resume is None else args.resume
    settings = train_settings.of(args)
    args.data = settings["data"]
    _make_writable(folder)
    use_threads(args)
    source, train, test = load_data(args)
    settings["data"] = train_settings.lasting_name(source)
    engine = config()
    instructions = f"instruction set {engine['instruction_set']}, " if engine["backend"] == "native" else ""
    say(args, f"engine: {engine['backend']} backend, {instructions}{engine['threads']} threads")

    with locked(folder), _said_warnings(), contextlib.redirect_stdout(sys.stderr if args.json else sys.stdout):
        saver = _Saver(folder / "params.pkl")
        trainer = _trainer(args, settings, train, test, saver)
        code = _train(trainer)
        saver.save(trainer.network)
    result = {
        "test_accuracy": trainer.final_test_acc, "interrupted": trainer.interrupted,
        "epochs": trainer.current_epoch, "steps": trainer.current_iter, "best_epoch": trainer.best_epoch,
        "images_per_second": trainer.images_per_second, "model": settings["model"],
        "train_images": len(train[0]), "test_images": len(test[0]),
        "data": source.name, "data_dir": str(source.folder), "output": str(folder), "config": engine,
    }
    say(args, _summary(result, settings["epochs"]))
    if args.json:
        print(as_json(result))
    unwritten = trainer.unwritten | saver.unwritten
    for name, error in unwritten.items():
        print(f"fastconv train: error: {folder / name} is not from the end of this run: {error.strerror}",
              file=sys.stderr)
    _draw(args, folder, trainer.history)
    return FAILED if unwritten else code


def _trainer(args: argparse.Namespace, settings: dict[str, Any], train: Split, test: Split, saver: _Saver) -> Trainer:
    from ..models import SMALL
    from ..optimizers import OPTIMIZERS
    from ..schedules import Cosine
    from ..trainer import Trainer
    from ..winograd import use_winograd
    if settings["no_winograd"]:
        use_winograd(False)
    network = SMALL[settings["model"]](input_dim=train[0].shape[1:], num_classes=10, seed=settings["seed"])
    param = {} if settings["lr"] is None else {"lr": settings["lr"]}
    rate: Any = OPTIMIZERS[settings["optimizer"].lower()](**param)
    trainer = Trainer(
        network, train[0], train[1], test[0], test[1], epochs=settings["epochs"],
        mini_batch_size=settings["batch_size"], optimizer=settings["optimizer"], optimizer_param=param,
        evaluate_sample_num_per_epoch=1000, verbose=not args.quiet, seed=settings["seed"],
        on_epoch=lambda record: saver.save(network),
        checkpoint=args.output if args.resume is None else args.resume, every=settings["checkpoint_every"],
        schedule=Cosine(rate.lr, settings["epochs"]) if settings["schedule"] == "cosine" else None,
        clip=settings["clip"], patience=settings["patience"])
    if args.resume is not None:
        try:
            trainer.resume()
        except ValueError as error:
            raise CommandError(str(error)) from error
        say(args, _resumed(trainer, settings["epochs"]))
    elif args.overwrite:
        (args.output / "checkpoint.npz").unlink(missing_ok=True)
    trainer.settings = settings
    return trainer


def _train(trainer: Trainer) -> int:
    """Train and return the exit code."""
    try:
        trainer.train()
    except SystemExit as terminated:
        assert isinstance(terminated.code, int)
        return terminated.code
    except FloatingPointError as error:
        raise CommandError(str(error)) from error
    return INTERRUPTED if trainer.interrupted else 0


class _Saver:
    """Writes the latest parameters, and remembers where that failed last."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.unwritten: dict[str, OSError] = {}

    def save(self, network: Network) -> None:
        from ..training.run_folder import NotWritten
        self.unwritten.clear()
        try:
            network.save_params(self.path)
        except OSError as error:
            self.unwritten[self.path.name] = error
            warnings.warn(f"{self.path} could not be written: {error.strerror}", NotWritten, stacklevel=2)


@contextlib.contextmanager
def _said_warnings() -> Iterator[None]:
    """Print warnings about files as one line for people, each of them."""
    from ..training.run_folder import NotWritten
    with warnings.catch_warnings():
        warnings.simplefilter("always", NotWritten)
        shown = warnings.showwarning

        def show(message: Warning | str, category: type[Warning], filename: str, lineno: int,
                 file: TextIO | None = None, line: str | None = None) -> None:
            if issubclass(category, NotWritten):
                print(f"fastconv train: warning: {message}", file=sys.stderr)
            else:
                shown(message, category, filename, lineno, file, line)

        warnings.showwarning = show
        yield


def _resumed(trainer: Trainer, epochs: int) -> str:
    done = f"{trainer.current_epoch} of {epochs} epochs ({trainer.current_iter} steps)"
    if trainer.current_epoch >= epochs:
        return f"resumed a run that is finished, after {done}; more --epochs train on"
    return f"resumed after {done}"


def _summary(result: dict[str, Any], epochs: int) -> str:
    if result["interrupted"]:
        return ("interrupted after {epochs} of {wanted} epochs ({steps} steps); what was trained is saved "
                "in {output}; go on with: fastconv train --resume {output}".format(wanted=epochs, **result))
    early = f", stopped after {result['epochs']} of {epochs} epochs" if result["epochs"] < epochs else ""
    return ("test accuracy {test_accuracy:.4f} on {test_images:,} images, trained at "
            "{images_per_second:,.0f} images/s{early}; saved in {output}".format(early=early, **result))


def _make_writable(folder: Path) -> None:
    """Make the output folder and write to it once: now, not after an hour of training."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as error:
        raise CommandError(f"cannot write to the output folder {folder}: {error.strerror}") from error


def _draw(args: argparse.Namespace, folder: Path, history: list[dict[str, Any]]) -> None:
    path = folder / "learning_curve.png"
    path.unlink(missing_ok=True)  # an earlier run's
    try:
        from matplotlib.figure import Figure
    except ImportError:
        say(args, "no learning curve drawn: that needs matplotlib (pip install matplotlib)")
        return
    from ..plot import learning_curve
    figure = Figure(layout="constrained")  # drawn without a display, whatever backend is set
    learning_curve(history, figure.subplots())
    figure.savefig(path)
