"""A network as a table: what each layer reads, the shape of its output, its parameters and multiply-adds."""
from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..layers import Affine, Convolution, Pooling
from ..shapes import Shape, pair
from .graph import INPUT, Graph, learned
from .output_shapes import output_shapes

HEADINGS = ("node", "name", "layer", "reads", "output", "parameters", "multiply-adds")


@dataclass(frozen=True)
class Row:
    """One layer; `shape` is that of one sample, `weight` that of its auxiliary loss."""

    node: int
    name: str
    layer: str
    reads: tuple[int, ...]
    shape: Shape
    parameters: int
    multiply_adds: int
    predicts: bool
    weight: float | None


def rows(graph: Graph, input_dim: Shape) -> list[Row]:
    """Return a row for each layer of a network for samples of shape `input_dim`."""
    shapes, predicts = output_shapes(graph, input_dim), graph.needed([len(graph.layers) - 1])
    names = {node: name for name, node in graph.names.items()}
    return [Row(node, names.get(node, ""), _kind(layer), sources, shapes[node],
                sum(np.size(getattr(layer, name)) for name in learned(layer)),
                _multiply_adds(layer, shapes[node]), node in predicts, graph.auxiliary.get(node))
            for node, (layer, sources) in enumerate(zip(graph.layers, graph.inputs, strict=True))]


def table(rows: Sequence[Row], input_dim: Shape) -> str:
    """Return the rows as text, with the sums below."""
    lines = [HEADINGS, ("", "input", "", "", by(input_dim), "", "")]
    lines += [(str(row.node), row.name, row.layer, _reads(row), by(row.shape), _count(row.parameters),
               _count(row.multiply_adds)) for row in rows]
    widths = [max(len(line[column]) for line in lines) for column in range(len(HEADINGS))]
    text = ["  ".join(cell.rjust(width) if column in (0, 5, 6) else cell.ljust(width)
                      for column, (cell, width) in enumerate(zip(line, widths, strict=True))).rstrip()
            for line in lines]
    text.insert(1, "-" * max(map(len, text)))
    return "\n".join([*text, text[1], *_sums(rows)])


def by(shape: Shape) -> str:
    """Return the shape of a sample as the papers write it: 224x224x64, height, width and channels; 4096."""
    return "x".join(map(str, (*shape[1:], shape[0]) if len(shape) == 3 else shape))


def _sums(rows: Sequence[Row]) -> list[str]:
    parts = [("in all", rows)]
    if not all(row.predicts for row in rows):
        parts = [("predictions", [row for row in rows if row.predicts]), ("training", rows)]
    return [f"{what}: {sum(row.parameters for row in part):,} parameters, "
            f"{sum(row.multiply_adds for row in part) / 1e9:,.3f} G multiply-adds" for what, part in parts]


def _kind(layer: Any) -> str:
    """Return the layer's class, with the window and the stride where it has them."""
    kind = type(layer).__name__
    if isinstance(layer, Convolution):
        window, groups = np.shape(layer.W)[2:], f" groups {layer.groups}" if layer.groups > 1 else ""
    elif isinstance(layer, Pooling):
        window, groups = (layer.pool_h, layer.pool_w), ""
        kind = f"{layer.mode} {kind}"
    else:
        return kind
    stride = pair(layer.stride, "stride", 1)
    step = str(stride[0]) if stride[0] == stride[1] else "x".join(map(str, stride))
    return f"{kind} {'x'.join(map(str, window))}/{step}{groups}"


def _reads(row: Row) -> str:
    """Return what a node reads; empty where it is the node before alone."""
    before = row.reads == (row.node - 1,) and row.node
    reads = "" if before else ", ".join("input" if i == INPUT else str(i) for i in row.reads)
    return reads if row.weight is None else f"{reads} loss x {row.weight:g}".strip()


def _multiply_adds(layer: Any, shape: Shape) -> int:
    if isinstance(layer, Convolution):
        return math.prod(shape) * math.prod(np.shape(layer.W)[1:])
    return math.prod(np.shape(layer.W)) if isinstance(layer, Affine) else 0


def _count(n: int) -> str:
    return f"{n:,}" if n else ""
