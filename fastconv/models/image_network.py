"""What the networks for photos share: layers that find out their sizes, narrow forms, initial weights."""
from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import DTypeLike

from ..engine import Network
from ..engine.graph import INPUT, Sources
from ..engine.output_shapes import output_shape
from ..layers import (
    AdaptiveAveragePooling,
    Affine,
    BatchNormalization,
    Convolution,
    Dropout,
    GlobalAveragePooling,
    Pooling,
    Relu,
)
from ..seeds import generator
from ..shapes import image_size, number, whole
from .initialize import he

WIDEST = 1000  # factor of the numbers of channels


class ImageNetwork(Network):
    """A network for images of one size whose layers are added by what a paper's table says about them.

    A layer reads the node that was added last, or `reads`. The methods return the new node's id. Weights are zeros
    until `initialize`.

    Parameters
    ----------
    input_dim : (int, int, int)
        Channels, height and width of the images.
    num_classes : int
    width : float
        All numbers of channels are multiplied by it, and rounded.
    dtype : dtype
        Dtype of the parameters.
    variant : str, optional
        One of the class's `variants`, where it has such.
    small : bool, default False
        The form for small images.
    """

    variants: tuple[str, ...] = ()
    multiple = 1  # numbers of channels are rounded to multiples of it, so that they can be cut into groups

    def __init__(self, input_dim: tuple[int, ...], num_classes: int, width: float, dtype: DTypeLike, *,
                 variant: str | None = None, small: bool = False) -> None:
        super().__init__(dtype=dtype)
        where = type(self).__name__
        self.input_dim = image_size(where, input_dim)
        self.num_classes = whole(num_classes, f"{where}: num_classes", 1)
        self.width = number(width, f"{where}: width")
        if not 0 < self.width <= WIDEST:
            raise ValueError(f"{where}: width is {width!r}, expected a factor above 0, at most {WIDEST}")
        if self.variants and variant not in self.variants:
            raise ValueError(f"{where}: variant is {variant!r}, expected {' or '.join(map(repr, self.variants))}")
        self.variant, self.is_small = variant, bool(small)
        self._shapes: dict[int, tuple[int, ...]] = {INPUT: self.input_dim}

    def add(self, layer: Any, *, inputs: Sources = None, name: str | None = None) -> int:
        """Append a layer, as `Network.add` does, and find out the shape of its output."""
        node = super().add(layer, inputs=inputs, name=name)
        shapes = [self._shapes[i] for i in self._graph.inputs[node]]
        try:
            self._shapes[node] = output_shape(layer, shapes)
        except ValueError as error:
            raise ValueError(f"{type(self).__name__}: layers[{node}], {name or type(layer).__name__}, does not fit; "
                             f"are the images of {self.input_dim} too small? {error}") from None
        return node

    def shape(self, node: int | None = None) -> tuple[int, ...]:
        """Return the shape of a sample of a node's output; by default the last one's."""
        return self._shapes[len(self._graph.layers) - 1 if node is None else node]

    def channels(self, count: int) -> int:
        """Return so many channels times the width, rounded, at least one `multiple`."""
        return max(1, round(count * self.width / self.multiple)) * self.multiple

    def conv(self, name: str, filters: int, size: int, stride: int = 1, pad: int = 0, *, groups: int = 1,
             bias: bool = True, reads: int | None = None) -> int:
        """Add a convolution of `filters` times the width square filters."""
        FN = self.channels(filters)
        W = np.zeros((FN, self.shape(reads)[0] // groups, size, size), self.dtype)
        return self.add(Convolution(W, np.zeros(FN) if bias else None, stride, pad, groups=groups), inputs=reads,
                        name=name)

    def bn(self, name: str, eps: float = 1e-5) -> int:
        """Add a BatchNormalization of channels that does what PyTorch's does; gamma, beta, mean and var are 1 0 0 1."""
        ones, zeros = (np.full(self.shape()[0], value, self.dtype) for value in (1, 0))
        layer = BatchNormalization(ones, zeros, 0.9, zeros.copy(), ones.copy(), eps=eps, unbiased=True)
        return self.add(layer, name=name)

    def relu(self) -> int:
        return self.add(Relu())

    def conv_relu(self, name: str, filters: int, size: int, stride: int = 1, pad: int = 0, *, groups: int = 1,
                  reads: int | None = None) -> int:
        """Add a convolution and a ReLU."""
        self.conv(name, filters, size, stride, pad, groups=groups, reads=reads)
        return self.relu()

    def pool(self, size: int, stride: int, pad: int = 0, *, ceil_mode: bool = False, mode: str = "max",
             reads: int | None = None) -> int:
        """Add a pooling of square windows."""
        return self.add(Pooling(size, size, stride, pad, mode=mode, ceil_mode=ceil_mode), inputs=reads)

    def pool_where_it_fits(self, size: int, stride: int, *, ceil_mode: bool = False) -> None:
        """Add a maximum pooling, unless the map is smaller than its window."""
        if min(self.shape()[1:]) >= size:
            self.pool(size, stride, ceil_mode=ceil_mode)

    def average_to(self, size: int, reads: int | None = None) -> int:
        """Bring the map to size x size by averages; a map of that size stays."""
        C, H, W = self.shape(reads)
        if (H, W) == (size, size):
            return len(self._graph.layers) - 1 if reads is None else reads
        if H % size == W % size == 0:
            return self.add(Pooling(H // size, W // size, (H // size, W // size), mode="average"), inputs=reads)
        return self.add(AdaptiveAveragePooling(size, size), inputs=reads)

    def global_average(self) -> int:
        return self.add(GlobalAveragePooling())

    def affine(self, name: str, outputs: int) -> int:
        """Add a fully connected layer of exactly `outputs` neurons."""
        W = np.zeros((math.prod(self.shape()), outputs), self.dtype)
        return self.add(Affine(W, np.zeros(outputs)), name=name)

    def dropout(self, ratio: float) -> int:
        """Add an inverted Dropout, which does nothing in predictions."""
        return self.add(Dropout(ratio, inverted=True))

    def initialize(self, seed: int | np.random.Generator | None) -> None:
        """Draw He's initial weights, and let Dropout draw from the same generator if a seed is given."""
        if seed is None:
            he(self, np.random.default_rng(np.random.randint(0, 2**32, 4, np.uint64)))
        else:
            rng = generator(type(self).__name__, seed)
            he(self, rng)
            self.seed(rng)
