"""Which of fastconv's objects stands in for which of the book's."""
from __future__ import annotations

import inspect
from collections.abc import Collection
from importlib import import_module
from types import ModuleType
from typing import Any

import numpy as np

from .book import objects_of
from .probes import differs, undisturbed
from .report import report

# the book's module -> fastconv's, which is loaded when the book's is
HOMES = {
    "common.functions": "fastconv.functions", "common.util": "fastconv.util", "common.gradient": "fastconv.gradient",
    "common.layers": "fastconv.layers", "common.optimizer": "fastconv.optimizers", "common.trainer": "fastconv.trainer",
    "common.multi_layer_net": "fastconv.models", "common.multi_layer_net_extend": "fastconv.models",
    "dataset.mnist": "fastconv.datasets",
}

# what draws other samples or masks than the book's; the latter, made of layers that are replaced, then draws the same
BY_DESIGN = {"Trainer", "MultiLayerNetExtend"}


def home(module: str, name: str) -> str:
    """Return the full name of what stands in for an object of the book's."""
    return f"{HOMES[module]}.{name}"


def replacements(module: ModuleType, wanted: Collection[str], *, strict: bool,
                 precision: str) -> list[tuple[str, Any, Any]]:
    """Return names, the book's objects and ours, for those that can be replaced in a module; tell the report."""
    found, others = objects_of(module)
    done = []
    with undisturbed():
        for name in (each for each in found if each in wanted):
            if strict and name in BY_DESIGN:
                others[name] = "is the book's in strict mode"
                continue
            ours = _replacement(module.__name__, name, found[name], strict, precision)
            fault = differs(ours, found[name], name)
            if fault is None:
                done.append((name, found[name], ours))
            else:
                others[name] = fault
    if done:
        report.replaced[module.__name__] = [name for name, _, _ in done]
    for name, reason in others.items():
        if name in wanted:
            report.left_alone[f"{module.__name__}.{name}" if found else module.__name__] = reason
    return done


def _replacement(module: str, name: str, book: Any, strict: bool, precision: str) -> Any:
    match module:
        case "common.layers":
            from .layers import layer_replacement
            return layer_replacement(book, strict=strict)
        case "common.optimizer":
            from .fallback import optimizer_replacement
            return optimizer_replacement(_ours(module, name), book)
        case "common.trainer":
            from .trainer import BookTrainer
            return _subclass(BookTrainer, book, {"precision": np.dtype(precision)})
        case "dataset.mnist":
            from .mnist import mnist_replacement
            return mnist_replacement(book, strict=strict)
        case "common.multi_layer_net" | "common.multi_layer_net_extend":
            return _net_replacement(_ours(module, name), book)
        case _:
            from .fallback import function_replacement
            return function_replacement(_ours(module, name), book)


def _ours(module: str, name: str) -> Any:
    return getattr(import_module(HOMES[module]), name)


def _subclass(base: type, book: type, attributes: dict[str, Any]) -> type:
    """Return a class under the book's name, so that pickles name what the script imports."""
    return type(book.__name__, (base,), {"__module__": book.__module__, "__qualname__": book.__qualname__,
                                         "__doc__": base.__doc__, **attributes})


def _net_replacement(base: Any, book: type) -> type:
    """Return a network that takes the book's arguments and has float64 parameters, as the book's has."""
    def __init__(self: Any, *args: Any, **kwargs: Any) -> None:
        base.__init__(self, *args, **kwargs, dtype=np.float64)

    __init__.__signature__ = inspect.signature(book.__init__)  # type: ignore[misc, attr-defined]
    return _subclass(base, book, {"__init__": __init__})
