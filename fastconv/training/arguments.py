"""What a Trainer is given: each argument checked before anything is trained or written."""
from __future__ import annotations

import math
import os
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from ..arrays import as_array, result_dtype
from ..engine import Network
from ..optimizers import OPTIMIZERS
from ..shapes import number


def book_network(network: Any) -> Any:
    """Return a network with the book's protocol.

    Raises
    ------
    TypeError
        If it has not all of it, or is a class.
    """
    missing = [name for name in ("params", "gradient", "accuracy") if not hasattr(network, name)]
    if isinstance(network, type) or missing:
        raise TypeError(f"Trainer: network is {network!r:.100}, expected an object with params, loss, gradient and "
                        "accuracy")
    return network


def samples(network: Any, x: ArrayLike, t: ArrayLike, name: str) -> tuple[np.ndarray, np.ndarray]:
    """Return samples and labels as arrays.

    Raises
    ------
    ValueError
        If there is none, or not one label for each sample, or a list makes no array.
    TypeError
        If something is masked, or `network` is a `Network` and something is no array of real numbers.
    """
    arrays = {}
    for argument, value in ((f"x_{name}", x), (f"t_{name}", t)):
        array = as_array("Trainer", argument, value)
        arrays[argument] = value if isinstance(value, np.ndarray) else array  # a subclass stays what it is
        if not array.ndim and array.dtype == object:
            raise TypeError(f"Trainer: {argument} is a {type(value).__name__}, expected an array")
        if isinstance(network, Network):
            result_dtype("Trainer", **{argument: array})
    x, t = arrays.values()
    if not (x.ndim and t.ndim):
        raise ValueError(f"Trainer: x_{name} has shape {x.shape} and t_{name} has shape {t.shape}, expected samples "
                         "along the first axis")
    if len(x) != len(t):
        raise ValueError(f"Trainer: x_{name} has {len(x)} samples but t_{name} has {len(t)} labels")
    if not len(x):
        raise ValueError(f"Trainer: x_{name} has no samples")
    return x, t


def optimizer_of(optimizer: Any, param: Mapping[str, Any]) -> Any:
    """Return an optimizer, made where `optimizer` is a name, or raise ValueError or TypeError."""
    if isinstance(optimizer, str):
        if optimizer.lower() not in OPTIMIZERS:
            known = ", ".join(dict.fromkeys(kind.__name__ for kind in OPTIMIZERS.values()))
            raise ValueError(f"Trainer: there is no optimizer {optimizer!r}; there are: {known}")
        if not isinstance(param, Mapping):
            raise TypeError(f"Trainer: optimizer_param is {param!r:.100}, expected a mapping such as {{'lr': 0.01}}")
        try:
            return OPTIMIZERS[optimizer.lower()](**param)
        except TypeError as error:
            raise TypeError(f"Trainer: optimizer_param: {error}") from error
    if not hasattr(optimizer, "update") or isinstance(optimizer, (type, Mapping)):  # a dict has an update, too
        raise TypeError(f"Trainer: optimizer is {optimizer!r}, expected a name or an object with "
                        "update(params, grads)")
    return optimizer


def seeded(seed: Any) -> np.random.Generator | None:
    """Return the generator of a seed, None without one, or raise TypeError or ValueError."""
    if seed is None:
        return None
    if isinstance(seed, bool):
        raise TypeError(f"Trainer: seed is {seed}, expected an integer of at least 0 or a Generator")
    try:
        return np.random.default_rng(seed)
    except (TypeError, ValueError) as error:
        kind = ValueError if isinstance(error, ValueError) else TypeError
        raise kind(f"Trainer: seed is {seed!r:.100}, expected an integer of at least 0 or a Generator") from error


def limit_of(clip: Any) -> float | None:
    """Return the largest norm of the gradients, None without one, or raise TypeError or ValueError."""
    if clip is None:
        return None
    if isinstance(clip, bool):
        raise TypeError(f"Trainer: clip must be a number, got {clip}")
    most = number(clip, "Trainer: clip")
    if not 0 < most < math.inf:
        raise ValueError(f"Trainer: clip must be above 0 and finite, got {clip!r}")
    return most


def called(name: str, value: Any, example: str) -> Any:
    """Return what is to be called, None where nothing is, or raise TypeError."""
    if value is not None and not callable(value):
        raise TypeError(f"Trainer: {name} is {value!r:.100}, expected a callable such as {example}")
    return value


def schedule_of(schedule: Any, optimizer: Any) -> Any:
    """Return a schedule for an optimizer, None without one, or raise TypeError."""
    if schedule is not None and not hasattr(optimizer, "lr"):
        raise TypeError(f"Trainer: schedule sets the optimizer's lr, and a {type(optimizer).__name__} has none")
    return called("schedule", schedule, "fastconv.schedules.Cosine(0.1, epochs=20)")


def callbacks_of(callbacks: Iterable[Any]) -> list[Any]:
    """Return the callbacks, or raise TypeError."""
    if not isinstance(callbacks, Iterable):
        raise TypeError(f"Trainer: callbacks is {callbacks!r:.100}, expected a list of objects with on_step(trainer) "
                        "or on_epoch(trainer, record)")
    found = list(callbacks)
    for callback in found:
        if not hasattr(callback, "on_step") and not hasattr(callback, "on_epoch"):
            raise TypeError(f"Trainer: callbacks has {callback!r}, expected objects with on_step(trainer) or "
                            "on_epoch(trainer, record); a function for each epoch is on_epoch=")
    return found


def folder_path(where: str, folder: Any) -> str | os.PathLike[str]:
    """Return the path of a run's folder, or raise TypeError, or ValueError for an empty one."""
    try:
        text = os.fspath(folder)
    except TypeError:
        text = None
    if not isinstance(text, str):
        raise TypeError(f"{where} is {folder!r:.100}, expected the path of a folder")
    if not text or "\0" in text:
        raise ValueError(f"{where} is {text!r}, expected the path of a folder; the working directory is '.'")
    return folder
