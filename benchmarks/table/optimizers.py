"""One step of each optimizer on a million parameters."""
from __future__ import annotations

from functools import partial
from typing import Any

import numpy as np

from .. import book, book_optimizers
from ..workload import Maker, Runner, Workload
from .kernels import Call, kernel_workload

SIZE = 1_000_000

# operation -> hyperparameters, the book's optimizer, its state in the kernel's order
OPTIMIZERS: dict[str, tuple[tuple[float, ...], Any, tuple[str, ...]]] = {
    "sgd_update": ((0.01,), book_optimizers.SGD, ()),
    "momentum_update": ((0.01, 0.9), book_optimizers.Momentum, ("v",)),
    "nesterov_update": ((0.01, 0.9), book_optimizers.Nesterov, ("v",)),
    "adagrad_update": ((0.01,), book_optimizers.AdaGrad, ("h",)),
    "rmsprop_update": ((0.01, 0.99), book_optimizers.RMSprop, ("h",)),
    "adam_update": ((0.001, 0.9, 0.999), book.Adam, ("m", "v")),
}


def rows() -> list[Workload]:
    """Return one row per optimizer."""
    return [kernel_workload(op, "1M", "optimizer", partial(_step, op), others={"book": _book_maker(op)},
                            headline=op == "adam_update") for op in OPTIMIZERS]


def _step(op: str, rng: np.random.Generator) -> Call:
    """Return a first step: the state starts at zero."""
    hyperparameters, _, state = OPTIMIZERS[op]
    if op == "adam_update":
        lr, beta1, beta2 = hyperparameters
        hyperparameters = lr * (1 - beta2) ** 0.5 / (1 - beta1), beta1, beta2
    grad, param = (rng.standard_normal(SIZE, np.float32) for _ in range(2))
    return Call((grad, *hyperparameters), [param, *(np.zeros(SIZE, np.float32) for _ in state)])


def _book_maker(op: str) -> Maker:
    hyperparameters, kind, state = OPTIMIZERS[op]

    def make(call: Call, n_threads: int) -> Runner:
        optimizer = kind(*hyperparameters)
        params, grads = {"W": call.outputs[0].astype(np.float64)}, {"W": call.arguments[0].astype(np.float64)}

        def run() -> None:
            optimizer.update(params, grads)

        def results() -> list[np.ndarray]:
            run()
            return [params["W"], *(getattr(optimizer, name)["W"] for name in state)]

        return Runner(run, results)

    return make
