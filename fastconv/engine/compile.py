"""From a graph of layers to the list of steps that a plan runs.

Forwards, what follows a filter is taken along: Convolution + Relu + 2x2 Pooling is one step, Affine + Relu too.
Backwards, a ReLU is applied to a gradient where it is computed, and where one pooled, the pooling spreads it.
"""
from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from ..layers import (
    LRN,
    Add,
    Affine,
    BatchNormalization,
    Concat,
    Convolution,
    Dropout,
    Flatten,
    GlobalAveragePooling,
    Pooling,
    Relu,
    Sigmoid,
    SoftmaxWithLoss,
)
from .emitter import NotCompiled
from .filter_steps import FilterSteps
from .graph import INPUT, Graph
from .layer_steps import LayerSteps

LANE_BYTES = 8 << 20   # of a lane's private gradients at most
SHARED_WORK = 1 << 24  # multiply-adds of an image from which on all workers share each step of a prediction


class Schedule(FilterSteps, LayerSteps):
    """The steps of a network for one shape of its samples.

    Attributes
    ----------
    output : Tensor
        The scores.
    """

    def __init__(self, graph: Graph, last_layer: Any, shape: tuple[int, ...], dtype: np.dtype, *,
                 training: bool, loss: bool, gradient: bool, winograd: bool) -> None:
        super().__init__(graph, dtype, training=training, winograd=winograd)
        self.last_layer, self.gradient = last_layer, gradient
        if loss and graph.auxiliary:
            raise NotCompiled("auxiliary scores have losses of their own")
        self._forward(shape)
        self.output = self.values[len(graph.layers) - 1]
        if loss:
            self._loss(last_layer)
        else:
            self.step("output", a=self.output)
        if gradient:
            self._backward()
            weights = sum(np.size(layer.W) for layer in self.filter_layers) * dtype.itemsize
            if weights > LANE_BYTES:
                raise NotCompiled(f"the weights, {weights:,} bytes, are too large for a gradient in every lane")
        self.finish(shared=not (training or loss or gradient) and self.work >= SHARED_WORK)

    def _forward(self, shape: tuple[int, ...]) -> None:
        for node, layer in enumerate(self.graph.layers):
            if is_overridden(layer):
                raise NotCompiled(f"layers[{node}], a {type(layer).__name__}, has a forward or backward of its own")
        if len(shape) == 3:
            C, H, W = shape
        elif len(shape) == 1:
            (C,), H, W = shape, 1, 1
        else:
            raise NotCompiled(f"samples of shape {shape} are neither images nor rows")
        self.images[INPUT] = len(shape) == 3
        self.values[INPUT] = self.tensor(H, W, C)
        self.step("input", out=self.values[INPUT])
        emit: dict[type, Callable[[int, Any], set[int]]] = {
            Convolution: self._convolution, Affine: self._affine, Relu: self._relu, Sigmoid: self._sigmoid,
            Pooling: self._pooling, Dropout: self._dropout, Add: self._add, Concat: self._concat,
            BatchNormalization: self._normalization, LRN: self._lrn, Flatten: self._flatten,
            GlobalAveragePooling: self._global_pooling}
        done: set[int] = set()
        for node, layer in enumerate(self.graph.layers):
            if node in done or node not in self.needed:
                continue
            if type(layer) not in emit:
                raise NotCompiled(f"layers[{node}], a {type(layer).__name__}, has no steps of its own")
            done |= emit[type(layer)](node, layer)

    def _loss(self, last_layer: Any) -> None:
        if type(last_layer) is not SoftmaxWithLoss or is_overridden(last_layer):
            raise NotCompiled(f"last_layer is a {type(last_layer).__name__}")
        if self.images[len(self.graph.layers) - 1]:
            raise NotCompiled("the scores are images")
        dout = self.like(self.output) if self.gradient else None
        self.step("loss", a=self.output, out=dout)
        if dout is not None:
            self.douts[len(self.graph.layers) - 1] = dout

    def _backward(self) -> None:
        for node in reversed(range(len(self.graph.layers))):
            if node in self.needed and node not in self.back:  # part of another node's step
                continue
            if node in self.douts:
                if self.learns[node]:
                    self.back[node](self.douts[node])
            elif self.learns[node]:
                raise NotCompiled(f"no later layer reads the output of layers[{node}]")


def is_overridden(layer: Any) -> bool:
    """Say whether the object has a forward or backward of its own, besides its class's."""
    own = getattr(layer, "__dict__", ())
    return "forward" in own or "backward" in own
