"""What shape a layer's output has, without running it."""
from __future__ import annotations

import copy
import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from ..layers import (
    LRN,
    AdaptiveAveragePooling,
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
)
from ..shapes import Shape, convolution_geometry, pooling_geometry
from .graph import INPUT, Graph, takes


def output_shape(layer: Any, shapes: Sequence[Shape]) -> Shape:
    """Return the shape of one sample of the layer's output, given those of its inputs.

    A layer that is none of fastconv's is asked: a copy of it runs on zeros.

    Raises
    ------
    ValueError
        If the layer does not take samples of such shapes.
    """
    for kind in type(layer).__mro__:
        if kind in SHAPES:
            return SHAPES[kind](layer, *shapes)
    zeros = (np.zeros((1, *shape), np.float32) for shape in shapes)
    more = {"train_flg": False} if takes(type(layer).forward, "train_flg") else {}
    return np.shape(copy.copy(layer).forward(*zeros, **more))[1:]


def output_shapes(graph: Graph, input_dim: Shape) -> dict[int, Shape]:
    """Return the shapes of all nodes' samples; an error says at which layer it is."""
    graph.check()
    shapes: dict[int, Shape] = {INPUT: tuple(input_dim)}
    for node, (layer, sources) in enumerate(zip(graph.layers, graph.inputs, strict=True)):
        try:
            shapes[node] = output_shape(layer, [shapes[i] for i in sources])
        except (TypeError, ValueError) as error:
            error.add_note(f"in layers[{node}] of a network for samples of shape {tuple(input_dim)}")
            raise
    return shapes


def _convolution(layer: Convolution, shape: Shape) -> Shape:
    _, OH, OW, FN = convolution_geometry((1, *shape), np.shape(layer.W), layer.stride, layer.pad, layer.dilation,
                                         layer.groups).out_shape
    return FN, OH, OW


def _pooling(layer: Pooling, shape: Shape) -> Shape:
    _, OH, OW, C = pooling_geometry((1, *shape), layer.pool_h, layer.pool_w, layer.stride, layer.pad,
                                    layer.ceil_mode).out_shape
    return C, OH, OW


def _affine(layer: Affine, shape: Shape) -> Shape:
    D, M = np.shape(layer.W)
    if math.prod(shape) != D:
        raise ValueError(f"Affine: samples have shape {shape}, {math.prod(shape)} values, expected {D}: W has shape "
                         f"{(D, M)}")
    return (M,)


def _add(layer: Add, *shapes: Shape) -> Shape:
    if len(set(shapes)) > 1:
        raise ValueError(f"Add: samples have shapes {', '.join(map(str, shapes))}, expected one shape")
    return shapes[0]


def _concat(layer: Concat, *shapes: Shape) -> Shape:
    if len({shape[1:] for shape in shapes}) > 1:
        raise ValueError(f"Concat: samples have shapes {', '.join(map(str, shapes))}, which may differ in the channels "
                         "only")
    return sum(shape[0] for shape in shapes), *shapes[0][1:]


def _channels(layer: Any, shape: Shape) -> Shape:
    return shape[:1]


def _same(layer: Any, shape: Shape) -> Shape:
    return shape


SHAPES: dict[type, Callable[..., Shape]] = {
    Convolution: _convolution, Pooling: _pooling, Affine: _affine, Add: _add, Concat: _concat, Relu: _same,
    Sigmoid: _same, Dropout: _same, BatchNormalization: _same, LRN: _same, GlobalAveragePooling: _channels,
    Flatten: lambda layer, shape: (math.prod(shape),),
    AdaptiveAveragePooling: lambda layer, shape: (shape[0], layer.out_h, layer.out_w),
}
