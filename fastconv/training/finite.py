"""Where the first value that is not finite comes from, when a loss is nan or inf."""
from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from ..engine import Network
from ..engine.parts import images_at_a_time
from .network_state import take_parameters

if TYPE_CHECKING:
    from ..trainer import Trainer


class NotFinite(FloatingPointError):
    """A training step met a value that is not finite; the message says which.

    Parameters
    ----------
    what : str
    updated : bool
        Whether the parameters had been changed by the step already.
    """

    def __init__(self, what: str, updated: bool = False) -> None:
        super().__init__(what)
        self.updated = updated


class _Found(Exception):
    """Ends the pass through the layers."""


def explained(fault: NotFinite, trainer: Trainer, batch: np.ndarray, statistics: list[tuple[Any, Any, Any]]) -> str:
    """Say what happened in the running step, and what to do.

    Parameters
    ----------
    batch : array of int
        The step's samples.
    statistics : list of (layer, running_mean, running_var)
        From before the step; they are put back.
    """
    where = _first_not_finite(trainer.network, trainer.x_train, trainer.t_train, batch)
    for layer, mean, var in statistics:
        layer.running_mean, layer.running_var = mean, var
    state = ("has changed the parameters already" if fault.updated
             else "was not taken: parameters and running statistics are those from before it")
    return (f"Trainer: {fault} at step {trainer.current_iter + 1}, in epoch {trainer.current_epoch + 1}. {where} "
            f"The step {state}. {_advice(trainer)}")


def check_parameters(trainer: Trainer) -> None:
    """Raise FloatingPointError if a parameter is not finite."""
    parameter = _bad_parameter(trainer.network)
    if parameter is not None:
        raise FloatingPointError(f"Trainer: the parameter {parameter} is not finite after step {trainer.current_iter}. "
                                 f"{_advice(trainer)}")


def _advice(trainer: Trainer) -> str:
    lr = getattr(trainer.optimizer, "lr", None)
    rate = f", now {lr:g}," if isinstance(lr, (int, float)) else ""
    kept = "" if trainer._folder is None else f" The last checkpoint, {trainer._folder.checkpoint}, is as it was."
    return (f"Try a smaller learning rate{rate} or gradient clipping (clip=1.0), and look for values in the data that "
            f"are very large.{kept}")


def _first_not_finite(network: Any, x: np.ndarray, t: np.ndarray, batch: np.ndarray) -> str:
    """Say in a sentence where the loss of samples x[batch], t[batch] begins to be not finite.

    Input, labels and parameters are looked at first. A `Network` is then run layer by layer, as in training; that moves
    its running statistics, and draws other dropout masks.
    """
    for name, values in (("x_train", x), ("t_train", t)):
        if values.dtype.kind == "f":
            for sample in batch:
                if not np.isfinite(values[sample]).all():
                    return f"{name}[{sample}] has a value that is not finite."
    parameter = _bad_parameter(network)
    if parameter is not None:
        return f"The parameter {parameter} was not finite already, by an earlier step."
    if not isinstance(network, Network):
        return "The data and the parameters are finite."
    with np.errstate(all="ignore"):
        node = _first_layer(network, x, batch)
    if node is None:
        return ("Run again layer by layer, each layer's output is finite (dropout masks then differ, and the loss has "
                "the penalty too).")
    names = {number: f" ({name!r})" for name, number in network._graph.names.items()}
    return (f"The first values that are not finite are the output of layers[{node}]{names.get(node, '')}, a "
            f"{type(network._graph.layers[node]).__name__}.")


def _bad_parameter(network: Any) -> str | None:
    return next((key for key, value in take_parameters(network).items() if not np.isfinite(value).all()), None)


def _first_layer(network: Network, x: np.ndarray, batch: np.ndarray) -> int | None:
    graph = network._graph
    nodes: list[int] = []

    def watch(node: int, output: np.ndarray) -> None:
        if not np.isfinite(output).all():
            nodes.append(node)
            raise _Found

    most = images_at_a_time(graph, network.last_layer, len(batch), x.shape[1:], network.dtype.itemsize)
    for first in range(0, len(batch), most):
        try:
            graph.outputs(network._as_input(x[batch[first:first + most]]), True, graph.auxiliary, watch)
        except _Found:
            pass
    return min(nodes, default=None)
