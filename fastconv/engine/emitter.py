"""What the steps of all layers are emitted with: who reads what, and where gradients go."""
from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from .graph import INPUT, Graph, learned
from .steps import Steps
from .tensors import Tensor


class NotCompiled(Exception):
    """Why a network runs layer by layer."""


class Emitter(Steps):
    """The steps of a graph of layers, as far as they are known.

    Attributes
    ----------
    filters : list of dict
        As kernels/native/plan_setup.pxd takes them, like `steps`.
    filter_layers, dropouts, normalizations : list
        The layers whose parameters, keys and statistics a run brings along.
    """

    def __init__(self, graph: Graph, dtype: np.dtype, *, training: bool, winograd: bool) -> None:
        super().__init__(dtype)
        self.graph, self.training, self.winograd = graph, training, winograd and dtype == np.float32
        self.filters: list[dict[str, Any]] = []
        self.filter_layers: list[Any] = []
        self.folded: list[Any] = []                               # of each filter: the BatchNormalization it takes in
        self.work = 0                                             # multiply-adds of an image
        self.dropouts: list[Any] = []
        self.normalizations: list[Any] = []
        self.columns: list[tuple[int, float]] = []                # of the normalizations: how many, epsilon
        self.readers: dict[int, int] = dict.fromkeys(range(-1, len(graph.layers)), 0)
        self.needed = graph.needed([len(graph.layers) - 1])       # nodes that lead to the output
        for node in self.needed:
            for source in graph.inputs[node]:
                self.readers[source] += 1
        self.values: dict[int, Tensor] = {}                       # node -> its output
        self.images: dict[int, bool] = {}                         # node -> is its output (N, C, H, W), else (N, D)
        self.relus: set[int] = set()                              # nodes whose output went through a ReLU in their step
        self.back: dict[int, Callable[[Tensor], None]] = {}       # node -> emits the steps of its backward pass
        self.douts: dict[int, Tensor] = {}                        # node -> gradient of its output
        self.flat: list[Tensor] = []                              # gradients that are rows, without zeros around
        self.masked: set[int] = set()                             # nodes whose gradient went back through their ReLU
        self.learns = {INPUT: False}
        for node, (layer, sources) in enumerate(zip(graph.layers, graph.inputs, strict=True)):
            self.learns[node] = bool(learned(layer)) or any(self.learns[i] for i in sources)

    def _sources(self, node: int) -> list[Tensor]:
        return [self.values[i] for i in self.graph.inputs[node]]

    def _images_only(self, node: int) -> None:
        if not all(self.images[i] for i in self.graph.inputs[node]):
            raise NotCompiled(f"layers[{node}] reads rows where it needs images")

    def _only_reader(self, node: int, kind: type) -> int | None:
        """Return the node that alone reads this one, if it is of that kind."""
        readers = [n for n in self.needed if node in self.graph.inputs[n]]
        if len(readers) != 1 or self.graph.inputs[readers[0]] != (node,):
            return None
        return readers[0] if type(self.graph.layers[readers[0]]) is kind else None

    def _define(self, node: int, value: Tensor, images: bool, back: Callable[[Tensor], None]) -> None:
        self.values[node], self.images[node], self.back[node] = value, images, back

    def _give(self, node: int, dx: Tensor) -> None:
        """Add to the gradient of a node's output."""
        if not self.learns[node]:
            return
        if node in self.douts:
            total = self.like(dx)
            self.step("sum", a=self.douts[node], b=dx, out=total)
            dx = total
        self.douts[node] = dx

    def _through_relu(self, node: int, dout: Tensor, out: Tensor) -> Tensor:
        if node in self.masked:
            return dout
        dx = self.like(out)
        self.step("relu_gradient", a=dout, b=out, out=dx)
        return dx
