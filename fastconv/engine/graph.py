"""The graph of layers: runs them in the order they were added, and backwards in the reverse order.

Each node is one layer with the nodes it reads. A layer with several inputs is called ``forward(*xs)`` and
returns a tuple from ``backward``; where a node's output is read several times, the gradients add up.
"""
from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import cache
from types import MappingProxyType
from typing import Any

import numpy as np

INPUT = -1  # the id of the network's input

# the layers' attributes that are learned
LEARNED = ("W", "b", "gamma", "beta")

Sources = int | str | Sequence[int | str] | None


class Graph:
    """Layers (`layers`), for each the nodes it reads (`inputs`), and which have a loss of their own (`auxiliary`)."""

    def __init__(self) -> None:
        self.layers: list[Any] = []
        self.inputs: list[tuple[int, ...]] = []
        self.names: dict[str, int] = {"input": INPUT}
        self.auxiliary: dict[int, float] = {}  # node -> weight of its loss

    def add(self, layer: Any, inputs: Sources = None, name: str | None = None) -> int:
        """Append a layer that reads `inputs` (default: the node before) and return its id."""
        if any(layer is other for other in self.layers):
            raise ValueError(f"Network.add: this {type(layer).__name__} is in the network already; a layer "
                             "remembers one forward pass for its backward pass, so add another one")
        if name in self.names:
            raise ValueError(f"Network.add: the name {name!r} is taken")
        node = len(self.layers)
        if inputs is None:
            inputs = node - 1
        if isinstance(inputs, str) or not np.iterable(inputs):
            inputs = (inputs,)
        sources = tuple(self.node(i) for i in inputs)
        if not sources:
            raise ValueError(f"Network.add: this {type(layer).__name__} has no inputs")
        self.layers.append(layer)
        self.inputs.append(sources)
        if name is not None:
            self.names[name] = node
        return node

    def node(self, node: int | str, where: str = "Network.add") -> int:
        """Return a node's id, from its id or name."""
        if isinstance(node, str):
            if node not in self.names:
                raise ValueError(f"{where}: no node is called {node!r}; names: {', '.join(self.names)}")
            return self.names[node]
        if isinstance(node, bool) or not isinstance(node, (int, np.integer)):
            raise TypeError(f"{where}: {node!r} is no node, expected an id or a name")
        if not INPUT <= node < len(self.layers):
            raise ValueError(f"{where}: {node} is no earlier node; ids go from {INPUT} (the network's "
                             f"input) to {len(self.layers) - 1}")
        return int(node)

    def forward(self, x: np.ndarray, train_flg: bool) -> np.ndarray:
        """Return the last node's output; nodes that it does not need are not run."""
        return self.outputs(x, train_flg)[0]

    def outputs(self, x: np.ndarray, train_flg: bool, auxiliary: Iterable[int] = (),
                watch: Callable[[int, np.ndarray], object] | None = None) -> list[np.ndarray]:
        """Return the outputs of the last node and the auxiliary ones.

        Nodes that none of these needs are not run; others' outputs are dropped as soon as no later node reads them.
        `watch` is called with each node and its output.
        """
        self.check()
        wanted = [len(self.layers) - 1, *auxiliary]
        run = self.needed(wanted)
        last_reader = {i: node for node in sorted(run) for i in self.inputs[node]}
        values = {INPUT: x}
        for node in sorted(run):
            layer, sources = self.layers[node], self.inputs[node]
            xs = [values[i] for i in sources]
            for i in set(sources):
                if last_reader[i] == node and i not in wanted:
                    del values[i]
            more = {"train_flg": train_flg} if takes(type(layer).forward, "train_flg") else {}
            try:
                values[node] = layer.forward(*xs, **more)
            except (TypeError, ValueError) as error:
                error.add_note(f"in layers[{node}] of a network whose input has shape {np.shape(x)}")
                raise
            if watch is not None:
                watch(node, values[node])
        return [values[node] for node in wanted]

    def backward(self, dout: np.ndarray, auxiliary: Mapping[int, np.ndarray] = MappingProxyType({})) -> None:
        """Run the layers' backward passes down to the lowest that learns.

        They start with the gradients of the last node's output and of the auxiliary ones.
        """
        learns = {INPUT: False}  # node -> does its output depend on a parameter?
        for node, (layer, sources) in enumerate(zip(self.layers, self.inputs, strict=True)):
            learns[node] = bool(learned(layer)) or any(learns[i] for i in sources)
        douts = {len(self.layers) - 1: dout, **auxiliary}
        for node in reversed(range(len(self.layers))):
            layer, sources = self.layers[node], self.inputs[node]
            if node not in douts:
                if learns[node]:
                    raise ValueError(f"Network.gradient: no later layer reads the output of layers[{node}], "
                                     f"a {type(layer).__name__}, so it gets no gradient")
                continue
            needed = [learns[i] for i in sources]
            dxs = _backward(layer, douts.pop(node), any(needed), len(sources))
            for i, need, dx in zip(sources, needed, dxs, strict=True):
                if need:
                    douts[i] = douts[i] + dx if i in douts else dx

    def needed(self, nodes: Iterable[int]) -> set[int]:
        """Return the given nodes and all those that they depend on."""
        found = set(nodes)
        for node in reversed(range(len(self.layers))):
            if node in found:
                found.update(self.inputs[node])
        return found - {INPUT}

    def check(self) -> None:
        """Raise where there are no layers, or some that were not added."""
        if not self.layers:
            raise ValueError("Network: there are no layers yet; add some with Network.add")
        if len(self.layers) != len(self.inputs):
            raise ValueError(f"Network: {len(self.inputs)} layers were added but `layers` has "
                             f"{len(self.layers)}; use Network.add, which also says what a layer reads")


def learned(layer: Any) -> list[str]:
    """Return the names of the layer's parameters: those of `LEARNED` that it has and that are not None."""
    return [name for name in LEARNED if getattr(layer, name, None) is not None]


def _backward(layer: Any, dout: np.ndarray, need_dx: bool, n_inputs: int) -> Sequence[Any]:
    """Return one gradient per input; where none is needed, the layer is spared the work."""
    if need_dx:
        dx = layer.backward(dout)
        return (dx,) if n_inputs == 1 else dx
    if takes(type(layer).backward, "need_dx"):
        layer.backward(dout, need_dx=False)
    elif learned(layer):
        layer.backward(dout)
    return (None,) * n_inputs


@cache
def takes(method: Callable[..., Any], keyword: str) -> bool:
    """Say whether a layer's method has a parameter of that name."""
    return keyword in inspect.signature(method).parameters
