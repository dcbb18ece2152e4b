"""Where the time of a training step goes, where its layers run one by one."""
from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import numpy as np

from .engine import Network
from .layers import Affine, Convolution


class LayerTime(NamedTuple):
    """Seconds of one layer in one step, and its floating-point operations (0 where they are not counted)."""

    name: str
    forward: float
    backward: float
    flops: float


def profile(network: Network, x: np.ndarray, t: np.ndarray, optimizer: Any = None, steps: int = 5) -> list[LayerTime]:
    """Run training steps layer by layer and return the median times: the layers, the loss, the optimizer.

    ``network.gradient`` runs a network of fastconv's own layers as one plan instead, and takes less time than the sum.

    Parameters
    ----------
    network : Network
        Its layers form a chain, as in DeepConvNet. The optimizer changes its parameters.
    x, t : array (N, ...), (N,)
    optimizer : object with update(params, grads), optional
    steps : int, default 5
        After one step that is not counted.
    """
    runs = [_step(network, x, t, optimizer) for _ in range(steps + 1)][1:]
    columns = zip(*runs, strict=True)
    return [LayerTime(column[0].name, statistics.median(row.forward for row in column),
                      statistics.median(row.backward for row in column), column[0].flops) for column in columns]


def _step(network: Network, x: np.ndarray, t: np.ndarray, optimizer: Any) -> list[LayerTime]:
    forward: list[float] = []
    backward: list[float] = []
    operations: list[float] = []
    y, layers = x, list(network.layers.values() if isinstance(network.layers, Mapping) else network.layers)
    for layer in layers:
        seconds, y = _timed(layer.forward, y)
        forward.append(seconds)
        operations.append(_multiply_adds(layer, y.shape))
    loss_forward, _ = _timed(network.last_layer.forward, y, t)
    loss_backward, dout = _timed(network.last_layer.backward, 1)
    for i, layer in reversed(list(enumerate(layers))):
        # nobody needs the gradient of the images
        spared = {"need_dx": False} if i == 0 and isinstance(layer, Convolution | Affine) else {}
        seconds, dout = _timed(layer.backward, dout, **spared)
        backward.insert(0, seconds)
    rows = []
    for i, layer in enumerate(layers):
        passes = 2 if i == 0 else 3
        rows.append(LayerTime(f"{i:2} {type(layer).__name__}", forward[i], backward[i], 2 * passes * operations[i]))
    rows.append(LayerTime(type(network.last_layer).__name__, loss_forward, loss_backward, 0))
    if optimizer is not None:
        seconds, _ = _timed(optimizer.update, network.params, network.params.gradients())
        rows.append(LayerTime(type(optimizer).__name__, 0, seconds, 0))
    return rows


def _timed(call: Callable[..., Any], *arguments: Any, **options: Any) -> tuple[float, Any]:
    start = time.perf_counter()
    result = call(*arguments, **options)
    return time.perf_counter() - start, result


def _multiply_adds(layer: Any, out_shape: tuple[int, ...]) -> float:
    """Return those of the forward pass: one per weight and output position."""
    if not isinstance(layer, Convolution | Affine):
        return 0
    weights = float(np.size(layer.W))
    return weights * out_shape[0] * (float(np.prod(out_shape[2:])) if isinstance(layer, Convolution) else 1)
