"""Checkpoints: all that a training run needs to go on, bit for bit, in one .npz file.

Entries ``params/...``, ``statistics/...``, ``optimizer/...``, ``order`` (of the samples of the running epoch),
``train_loss_list``, ``train_acc_list``, ``test_acc_list``, and ``run``, the rest as JSON. Nothing in it is pickled, and
each entry has its checksum.
"""
from __future__ import annotations

import json
import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from .. import params as files
from .network_state import (
    Arrays,
    Put,
    layers_of,
    put_parameters,
    put_statistics,
    take_parameters,
    take_statistics,
)
from .optimizer_state import BY_PARAMETER, put_optimizer, take_optimizer
from .random_state import generators_of, put_random, take_random

if TYPE_CHECKING:
    from ..trainer import Trainer

FORMAT = 1
LISTS = ("train_loss_list", "train_acc_list", "test_acc_list")
SIZES = ("train_size", "test_size", "batch_size")
# names in the file -> attributes of the trainer
COUNTS = {"epochs_done": "current_epoch", "steps_done": "current_iter", "first_epoch": "_first_epoch",
          "last_epoch": "_last_epoch", "samples_done": "_trained"}
SUMS = {"loss": "_loss", "seconds": "_seconds"}
# what `run` has in a file
SCHEMA: dict[str, type | tuple[type, ...]] = {
    "format": int, "network": str, "optimizer": str, "optimizer_values": dict, "random": dict, "history": list,
    "settings": dict, "is_finished": bool, **dict.fromkeys((*SIZES, *COUNTS), int),
    **dict.fromkeys(SUMS, (int, float))}


@dataclass
class Checkpoint:
    """What a file holds."""

    path: Path
    run: dict[str, Any]
    arrays: Arrays

    def part(self, name: str) -> Arrays:
        """Return the entries ``<name>/...`` without that."""
        return {key.removeprefix(f"{name}/"): value for key, value in self.arrays.items() if key.startswith(f"{name}/")}


def write_checkpoint(path: Path, trainer: Trainer) -> None:
    """Write what `trainer` has come to.

    Raises
    ------
    OSError
        The file cannot be written; an old one is as it was.
    TypeError
        The optimizer, the generators or `trainer.settings` hold something that cannot be kept.
    """
    values, moments = take_optimizer(trainer.optimizer)
    run: dict[str, Any] = {
        "format": FORMAT, "network": type(trainer.network).__name__, "optimizer": type(trainer.optimizer).__name__,
        "optimizer_values": values, "random": take_random(_generators(trainer)), "history": trainer.history,
        "settings": trainer.settings, "is_finished": trainer.is_finished}
    run |= {name: getattr(trainer, name) for name in SIZES}
    run |= {name: getattr(trainer, attribute) for name, attribute in {**COUNTS, **SUMS}.items()}
    arrays: Arrays = {"run": np.frombuffer(json.dumps(run).encode(), np.uint8)}
    arrays |= {name: np.asarray(getattr(trainer, name), np.float64) for name in LISTS}
    if trainer._order is not None:
        arrays["order"] = trainer._order
    for name, part in (("params", take_parameters(trainer.network)), ("statistics", take_statistics(trainer.network)),
                       ("optimizer", moments)):
        arrays |= {f"{name}/{key}": value for key, value in part.items()}
    files.save(path, arrays)


def read_checkpoint(path: str | os.PathLike[str]) -> Checkpoint:
    """Read a file and check what is in it, as far as that needs no trainer.

    Raises
    ------
    ValueError
        The file is damaged, or no checkpoint; the message names file and entry.
    OSError
        The file cannot be read.
    """
    path = Path(path)
    arrays = files.load(path)
    try:
        return Checkpoint(path, _run(arrays), arrays)
    except ValueError as error:
        raise ValueError(f"checkpoint {path}: {error}") from error


def put_checkpoint(checkpoint: Checkpoint, trainer: Trainer) -> None:
    """Bring a trainer, its network, its optimizer and all random generators to where the checkpoint was taken.

    Raises
    ------
    ValueError
        If something does not fit; then nothing is changed. The message names file and entry.
    """
    run = checkpoint.run
    try:
        for name in SIZES:
            if run[name] != getattr(trainer, name):
                raise ValueError(f"{name} is {run[name]}, expected this trainer's {getattr(trainer, name)}")
        parts = [put_parameters(trainer.network, checkpoint.part("params")),
                 put_statistics(trainer.network, checkpoint.part("statistics")),
                 put_optimizer(trainer.optimizer, run["optimizer"], run["optimizer_values"],
                               checkpoint.part("optimizer")),
                 put_random(_generators(trainer), run["random"]), _progress(checkpoint, trainer)]
    except ValueError as error:
        raise ValueError(f"Trainer.resume: {checkpoint.path} does not fit, nothing was changed: {error}") from error
    for put in parts:
        put()


def _generators(trainer: Trainer) -> list[np.random.BitGenerator]:
    return generators_of(trainer._rng, layers_of(trainer.network))


def _progress(checkpoint: Checkpoint, trainer: Trainer) -> Put:
    run, arrays = checkpoint.run, checkpoint.arrays

    def put() -> None:
        for name, attribute in {**COUNTS, **SUMS}.items():
            setattr(trainer, attribute, run[name])
        for name in LISTS:
            setattr(trainer, name, arrays[name].tolist())
        trainer.history = run["history"]
        trainer.settings = run["settings"]
        trainer._order = arrays.get("order")
        images = run["samples_done"] or run["train_size"]  # those that `seconds` are of
        trainer.images_per_second = images / run["seconds"] if run["seconds"] > 0 else 0.0

    return put


def _run(arrays: Arrays) -> dict[str, Any]:
    """Return the entry `run`, if it and what it counts are whole."""
    if "run" not in arrays or arrays["run"].dtype != np.uint8:
        raise ValueError("has no entry 'run': it is no checkpoint of fastconv's")
    try:
        run = json.loads(arrays["run"].tobytes())
    except (ValueError, RecursionError) as error:
        raise ValueError(f"entry 'run' is no JSON: {error}") from error
    if not isinstance(run, dict) or not isinstance(run.get("format"), int):
        raise ValueError("entry 'run' has no number of a format")
    if run["format"] > FORMAT:
        raise ValueError(f"has format {run['format']}, written by a newer fastconv")
    for name, kind in SCHEMA.items():
        if not isinstance(run.get(name), kind):
            raise ValueError(f"entry 'run': {name} is {run.get(name)!r:.60}")
    for name in (*SIZES, *COUNTS):
        if run[name] < 0:
            raise ValueError(f"entry 'run': {name} is {run[name]}, expected at least 0")
    if not all(isinstance(value, (bool, int, float, str, type(None))) or value == {BY_PARAMETER: True}
               for value in run["optimizer_values"].values()):
        raise ValueError("entry 'run': optimizer_values has something else than numbers")
    if not isinstance(run["random"].get("own"), list) or not isinstance(run["random"].get("numpy"), dict):
        raise ValueError("entry 'run': random has no states of generators")
    if len(run["history"]) != run["epochs_done"] or not all(isinstance(line, dict) for line in run["history"]):
        raise ValueError(f"entry 'run': history has {len(run['history'])} epochs, expected {run['epochs_done']}")
    _check_arrays(run, arrays)
    return run


def _check_arrays(run: dict[str, Any], arrays: Arrays) -> None:
    for name, count in zip(LISTS, (run["steps_done"], run["epochs_done"], run["epochs_done"]), strict=True):
        if name not in arrays or arrays[name].shape != (count,) or arrays[name].dtype != np.float64:
            raise ValueError(f"entry {name!r} does not have {count} numbers")
    order, n = arrays.get("order"), run["train_size"]
    if order is None:
        expected = 0
    elif order.dtype.kind != "i" or not np.array_equal(np.sort(order), np.arange(n)):
        raise ValueError(f"entry 'order' is no order of {n} samples")
    else:
        expected = n
    if run["samples_done"] > expected:
        raise ValueError(f"entry 'run': samples_done is {run['samples_done']}, expected at most {expected}")
