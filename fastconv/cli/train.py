"""``fastconv train``: train DeepConvNet on MNIST and keep what comes of it."""
from __future__ import annotations

import argparse
import contextlib
import sys
import tempfile
from pathlib import Path
from typing import Any

from .common import (
    CommandError,
    add_data,
    add_threads,
    as_json,
    load_data,
    new_command,
    positive_number,
    say,
    use_threads,
    whole_number,
)

INTERRUPTED = 130
EXAMPLES = """\
  fastconv train                                 20 epochs: seconds on the excerpt, minutes on MNIST
  fastconv train --data excerpt --epochs 5       without the network
  fastconv train --optimizer Momentum --lr 0.05 --seed 1 --output runs/momentum
  fastconv train --json --quiet > result.json

The output folder gets params.pkl (the parameters), history.jsonl (a line per epoch) and learning_curve.png,
in place of those of an earlier run. Ctrl-C stops after the running step and saves what was trained; a second
Ctrl-C leaves at once."""


def add_to(commands: Any) -> None:
    """Add the subcommand to argparse's `commands`."""
    parser = new_command(commands, "train", run, description="Train DeepConvNet on handwritten digits.",
                         examples=EXAMPLES)
    add_data(parser)
    parser.add_argument("--epochs", type=whole_number(1), default=20, metavar="N",
                        help="times that each image is shown (default: 20)")
    parser.add_argument("--batch-size", type=whole_number(1), default=100, metavar="N",
                        help="images per step (default: 100)")
    parser.add_argument("--optimizer", type=_optimizer, default="Adam", metavar="NAME",
                        help="SGD, Momentum, Nesterov, AdaGrad, RMSprop or Adam (default: Adam)")
    parser.add_argument("--lr", type=positive_number, metavar="X",
                        help="learning rate (default: the optimizer's own)")
    parser.add_argument("--seed", type=whole_number(0), metavar="N",
                        help="makes the run repeatable, bit for bit")
    parser.add_argument("--output", type=Path, default=Path("fastconv-run"), metavar="DIR",
                        help="folder for the results, made if missing (default: fastconv-run)")
    parser.add_argument("--no-winograd", action="store_true",
                        help="convolve as defined, slower and a little more exact (FASTCONV_WINOGRAD=0)")
    parser.add_argument("--quiet", action="store_true", help="no progress, only data, engine and result")
    add_threads(parser)


def run(args: argparse.Namespace) -> int:
    """Train, save, and return the exit code."""
    from ..config import config
    from ..models import DeepConvNet
    from ..trainer import Trainer
    from ..winograd import use_winograd
    _make_writable(args.output)
    use_threads(args)
    if args.no_winograd:
        use_winograd(False)
    source, (x_train, t_train), (x_test, t_test) = load_data(args)
    engine = config()
    instructions = f"instruction set {engine['instruction_set']}, " if engine["backend"] == "native" else ""
    say(args, f"engine: {engine['backend']} backend, {instructions}{engine['threads']} threads")

    history: list[dict[str, Any]] = []
    network = DeepConvNet(seed=args.seed)
    with (args.output / "history.jsonl").open("w") as file:
        def keep(record: dict[str, Any]) -> None:
            history.append(record)
            print(as_json(record), file=file, flush=True)
            network.save_params(args.output / "params.pkl")

        trainer = Trainer(network, x_train, t_train, x_test, t_test, epochs=args.epochs,
                          mini_batch_size=args.batch_size, optimizer=args.optimizer,
                          optimizer_param={} if args.lr is None else {"lr": args.lr},
                          evaluate_sample_num_per_epoch=1000, verbose=not args.quiet, seed=args.seed,
                          on_epoch=keep)
        with contextlib.redirect_stdout(sys.stderr if args.json else sys.stdout):
            trainer.train()
    network.save_params(args.output / "params.pkl")

    result = {
        "test_accuracy": trainer.final_test_acc, "interrupted": trainer.interrupted,
        "epochs": trainer.current_epoch, "steps": trainer.current_iter,
        "images_per_second": trainer.images_per_second,
        "train_images": len(x_train), "test_images": len(x_test),
        "data": source.name, "data_dir": str(source.folder), "output": str(args.output), "config": engine,
    }
    say(args, _summary(result, args.epochs))
    if args.json:
        print(as_json(result))
    _draw(args, history)
    return INTERRUPTED if trainer.interrupted else 0


def _summary(result: dict[str, Any], epochs: int) -> str:
    if result["interrupted"]:
        return ("interrupted after {epochs} of {wanted} epochs ({steps} steps); what was trained is saved "
                "in {output}".format(wanted=epochs, **result))
    return ("test accuracy {test_accuracy:.4f} on {test_images:,} images, trained at "
            "{images_per_second:,.0f} images/s; saved in {output}".format(**result))


def _optimizer(text: str) -> str:
    from ..optimizers import OPTIMIZERS
    if text.lower() not in OPTIMIZERS:
        names = dict.fromkeys(optimizer.__name__ for optimizer in OPTIMIZERS.values())
        raise argparse.ArgumentTypeError(f"{text!r} is none of {', '.join(names)}")
    return text


def _make_writable(folder: Path) -> None:
    """Make the output folder and write to it once: now, not after an hour of training."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as error:
        raise CommandError(f"cannot write to the output folder {folder}: {error.strerror}") from error


def _draw(args: argparse.Namespace, history: list[dict[str, Any]]) -> None:
    path = args.output / "learning_curve.png"
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
