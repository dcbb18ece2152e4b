"""How many images of a batch go through the layers at a time, so that what these remember fits into memory."""
from __future__ import annotations

import math
from typing import Any

from ..layers import (
    LRN,
    AdaptiveAveragePooling,
    Add,
    Affine,
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
from .compile import is_overridden
from .graph import Graph
from .output_shapes import output_shapes

PART_BYTES = 1 << 30  # of values that the layers remember
LEAST = 8             # images, so many that a part's weights are read for

# layers to which the other images of a batch are nothing
EACH_ALONE = {LRN, AdaptiveAveragePooling, Add, Affine, Concat, Convolution, Dropout, Flatten, GlobalAveragePooling,
              Pooling, Relu, Sigmoid}


def images_at_a_time(graph: Graph, last_layer: Any, images: int, shape: tuple[int, ...], item: int) -> int:
    """Return how many of a batch's images, of `shape` and with `item` bytes a value: all, where the layers need that.

    A batch's loss is the mean over its images, so its gradient is the sum of its parts', each times its share.
    BatchNormalization, and layers that are not fastconv's, look at the whole batch.
    """
    layers = [*graph.layers, last_layer]
    if images <= LEAST or any(type(layer) not in EACH_ALONE for layer in graph.layers) \
            or type(last_layer) is not SoftmaxWithLoss or any(map(is_overridden, layers)):
        return images
    try:
        values = sum(map(math.prod, output_shapes(graph, shape).values()))
    except (TypeError, ValueError):  # the layers themselves say best what is wrong
        return images
    return max(LEAST, PART_BYTES // (item * max(values, 1)))
