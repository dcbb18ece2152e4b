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
from ..shapes import convolution_geometry, pooling_geometry
from .axis import Axis
from .graph import INPUT, Graph, learned
from .steps import Steps
from .tensors import Tensor

LANE_BYTES = 8 << 20   # of a lane's private gradients at most
LINE_BYTES = 64
SHARED_WORK = 1 << 24  # multiply-adds of an image from which on all workers share each step of a prediction


class NotCompiled(Exception):
    """Why a network runs layer by layer."""


class Schedule(Steps):
    """The steps of a network for one shape of its samples.

    Attributes
    ----------
    filters : list of dict
        As kernels/native/plan_setup.pxd takes them, like `steps`.
    filter_layers, dropouts, normalizations : list
        The layers whose parameters, keys and statistics a run brings along.
    output : Tensor
        The scores.
    """

    def __init__(self, graph: Graph, last_layer: Any, shape: tuple[int, ...], dtype: np.dtype, *,
                 training: bool, loss: bool, gradient: bool, winograd: bool) -> None:
        super().__init__(dtype)
        self.graph, self.last_layer = graph, last_layer
        self.training, self.gradient, self.winograd = training, gradient, winograd and dtype == np.float32
        self.filters: list[dict[str, Any]] = []
        self.filter_layers: list[Any] = []
        self.folded: list[BatchNormalization | None] = []         # of each filter: what follows, in a prediction
        self.work = 0                                             # multiply-adds of an image
        self.dropouts: list[Any] = []
        self.normalizations: list[Any] = []
        self.columns: list[tuple[int, float]] = []                # of the normalizations: how many, epsilon
        self.readers: dict[int, int] = dict.fromkeys(range(-1, len(graph.layers)), 0)
        if loss and graph.auxiliary:
            raise NotCompiled("auxiliary scores have losses of their own")
        self.needed = graph.needed([len(graph.layers) - 1])       # nodes that lead to the output
        for node in self.needed:
            for source in graph.inputs[node]:
                self.readers[source] += 1
        self.values: dict[int, Tensor] = {}                       # node -> its output
        self.relus: set[int] = set()                              # nodes whose output went through a ReLU in their step
        self.back: dict[int, Callable[[Tensor], None]] = {}       # node -> emits the steps of its backward pass
        self.douts: dict[int, Tensor] = {}                        # node -> gradient of its output
        self.flat: list[Tensor] = []                              # gradients that are rows, without zeros around
        self.masked: set[int] = set()                             # nodes whose gradient went back through their ReLU
        self.learns = {INPUT: False}
        for node, (layer, sources) in enumerate(zip(graph.layers, graph.inputs, strict=True)):
            self.learns[node] = bool(learned(layer)) or any(self.learns[i] for i in sources)
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

    # ---- forwards

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
        self.images = {INPUT: len(shape) == 3}  # node -> is its output (N, C, H, W), else (N, D)
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

    def _convolution(self, node: int, layer: Convolution) -> set[int]:
        self._images_only(node)
        source, = self.graph.inputs[node]
        x = self.values[source]
        W = np.asarray(layer.W)
        geometry = convolution_geometry((1, x.c, x.h, x.w), W.shape, layer.stride, layer.pad, layer.dilation,
                                        layer.groups)
        (_, OH, OW, FN), (FH, FW) = geometry.out_shape, W.shape[2:]
        axes = [Axis(*axis) for axis in zip((x.h, x.w), (OH, OW), (FH, FW), geometry.stride, geometry.pad,
                                             geometry.dilation, strict=True)]
        fast, fast_back = self._by_winograd(x.c, FN, W.shape, geometry), self._by_winograd(FN, x.c, W.shape, geometry)
        x.want(max(a.pad for a in axes), max(a.after(fast) for a in axes))
        norm = self._foldable(node, FN)
        relu = self._only_reader(node if norm is None else norm, Relu)
        pool = None if relu is None or FN % (LINE_BYTES // self.dtype.itemsize) else self._only_reader(relu, Pooling)
        if pool is not None and not self._halves(self.graph.layers[pool], OH, OW):
            pool = None
        last = next(n for n in (pool, relu, norm, node) if n is not None)
        if pool is None:
            out, winner = self.tensor(OH, OW, FN), None
            out.want(0, max(a.room_out for a in axes) if fast else 0)
        else:
            out, winner = self.tensor(OH // 2, OW // 2, FN), self.tensor(-(-OH // 4) * 2, -(-OW // 4) * 2, FN, 1)
            out.want(0, max(winner.h - out.h, winner.w - out.w) if fast else 0)
        filters = self._filters(layer, x, out, shape=W.shape, size=(OH, OW), stride=geometry.stride, pad=geometry.pad,
                                dilation=geometry.dilation, groups=geometry.groups, pooled=winner is not None,
                                folded=None if norm is None else self.graph.layers[norm])
        self.step("filter", filters=filters, a=x, c=winner, out=out, relu=relu is not None)

        def back(dout: Tensor) -> None:
            if winner is not None:
                pooled, dout = dout, self.tensor(OH, OW, FN)
                self.step("unpool", a=pooled, c=winner, out=dout)
            elif relu is not None:
                dout = self._through_relu(last, dout, out)
            if dout in self.flat:
                flat, dout = dout, self.like(dout)
                self.step("copy", a=flat, out=dout)
            self.filters[filters]["dout"] = dout
            self.step("filter_weight", filters=filters, a=x, b=dout)
            dout.want(0, max(a.room_out for a in axes) if fast else 0)
            if self.learns[source]:
                dx = self.like(x)
                dout.want(max(a.back_before for a in axes), max(a.back_after(fast_back) for a in axes))
                self._data_gradient(filters, source, x, dout, dx, max(a.room for a in axes) if fast_back else 0)

        self._define(last, out, True, back)
        if relu is not None and pool is None:
            self.relus.add(last)
        return {n for n in (node, norm, relu, pool) if n is not None}

    def _foldable(self, node: int, outputs: int) -> int | None:
        """Return the BatchNormalization of each channel that alone reads this node, if the filters can take it in."""
        norm = None if self.training else self._only_reader(node, BatchNormalization)
        if norm is None:
            return None
        gamma, beta = np.asarray(self.graph.layers[norm].gamma), np.asarray(self.graph.layers[norm].beta)
        return norm if gamma.size == beta.size == outputs and gamma.dtype == beta.dtype == self.dtype else None

    def _affine(self, node: int, layer: Affine) -> set[int]:
        source, = self.graph.inputs[node]
        x = self.values[source]
        W = np.asarray(layer.W)
        if W.ndim != 2 or W.shape[0] != x.values or 0 in W.shape:
            raise NotCompiled(f"layers[{node}] has weights of shape {W.shape} for samples of {x.values} values")
        if not x.dense or self.readers[source] > 1 or source == INPUT:
            x, spread = self.like(x), x
            self.step("copy", a=spread, out=x)
        relu = self._only_reader(node, Relu)
        last = node if relu is None else relu
        out = self.tensor(1, 1, W.shape[1])
        filters = self._filters(layer, x, out, shape=(W.shape[1], W.shape[0], 1, 1), size=(1, 1), stride=(1, 1),
                                pad=(0, 0), dilation=(1, 1), groups=1, pooled=False, affine=True, plane=x.h * x.w)
        self.step("filter", filters=filters, a=x, out=out, relu=relu is not None)

        def back(dout: Tensor) -> None:
            if relu is not None:
                dout = self._through_relu(last, dout, out)
            self.filters[filters]["dout"] = dout
            self.step("filter_weight", filters=filters, a=x, b=dout)
            if self.learns[source]:
                dx = self.like(x)
                self.flat.append(dx)
                self._data_gradient(filters, source, x, dout, dx, 0)

        self._define(last, out, False, back)
        if relu is not None:
            self.relus.add(last)
        return {n for n in (node, relu) if n is not None}

    def _filters(self, layer: Any, x: Tensor, out: Tensor, folded: BatchNormalization | None = None,
                 **geometry: Any) -> int:
        self.folded.append(folded)
        self.work += np.size(layer.W) * int(np.prod(geometry["size"]))
        self.filters.append({"affine": False, "plane": 1, "x": x, "out": out, "dout": None, "dx": None, **geometry})
        self.filter_layers.append(layer)
        return len(self.filters) - 1

    def _by_winograd(self, channels: int, outputs: int, w_shape: tuple[int, ...], geometry: Any) -> bool:
        """Say whether Winograd's method can be taken from so many channels to so many outputs (winograd_fits)."""
        return (self.winograd and w_shape[2:] == (3, 3) and geometry.stride == geometry.dilation == (1, 1)
                and geometry.groups == 1 and channels % 16 == 0 and outputs >= 16)

    def _halves(self, layer: Pooling, H: int, W: int) -> bool:
        """Say whether a Pooling layer takes the maximum of each 2x2 pixels."""
        geometry = pooling_geometry((1, 1, H, W), layer.pool_h, layer.pool_w, layer.stride, layer.pad, layer.ceil_mode)
        return (layer.mode == "max" and geometry.window == geometry.stride == (2, 2) and geometry.pad == (0, 0)
                and geometry.out_shape[1:3] == (H // 2, W // 2))

    def _relu(self, node: int, layer: Relu) -> set[int]:
        return self._elementwise(node, "relu", "relu_gradient")

    def _sigmoid(self, node: int, layer: Sigmoid) -> set[int]:
        return self._elementwise(node, "sigmoid", "sigmoid_gradient")

    def _elementwise(self, node: int, forward: str, backward: str) -> set[int]:
        source, = self.graph.inputs[node]
        x = self.values[source]
        out = self.like(x)
        self.step(forward, a=x, out=out)

        def back(dout: Tensor) -> None:
            dx = self.like(x)
            self.step(backward, a=dout, b=out, out=dx)
            self._give(source, dx)

        self._define(node, out, self.images[source], back)
        return {node}

    def _normalization(self, node: int, layer: BatchNormalization) -> set[int]:
        source, = self.graph.inputs[node]
        x = self.values[source]
        count = np.size(layer.gamma)
        if count not in (x.c, x.values) or np.size(layer.beta) != count:
            raise NotCompiled(f"layers[{node}] has {count} values of gamma for samples of {x.c} x {x.h} x {x.w}")
        if not np.asarray(layer.gamma).dtype == np.asarray(layer.beta).dtype == self.dtype:
            raise NotCompiled(f"layers[{node}] has parameters that are not arrays of {self.dtype}")
        relu = self._only_reader(node, Relu)
        last = node if relu is None else relu
        columns, out = len(self.normalizations), self.like(x)
        self.normalizations.append((layer, (x.c, x.h, x.w) if self.images[source] else (x.c,)))
        self.columns.append((count, layer.eps))
        if self.training:
            self.step("mean", a=x, columns=columns)
            self.step("variance", a=x, columns=columns)
        self.step("normalize", a=x, out=out, columns=columns, relu=relu is not None)

        def back(dout: Tensor) -> None:
            if relu is not None:
                dout = self._through_relu(last, dout, out)
            self.step("normalize_sums", a=dout, b=x, columns=columns)
            if self.learns[source]:
                dx = self.like(x)
                self.step("normalize_gradient", a=dout, b=x, out=dx, columns=columns)
                self._give(source, dx)

        self._define(last, out, self.images[source], back)
        if relu is not None:
            self.relus.add(last)
        return {n for n in (node, relu) if n is not None}

    def _pooling(self, node: int, layer: Pooling) -> set[int]:
        self._images_only(node)
        source, = self.graph.inputs[node]
        x = self.values[source]
        geometry = pooling_geometry((1, x.c, x.h, x.w), layer.pool_h, layer.pool_w, layer.stride, layer.pad,
                                    layer.ceil_mode)
        window, stride, pad, (_, OH, OW, _) = geometry
        out = self.tensor(OH, OW, x.c)
        pool = (window, stride, pad, x, out)
        self.step(f"{layer.mode}_pooling", a=x, out=out, pool=pool)

        def back(dout: Tensor) -> None:
            dx = self.like(x)
            forward = {"b": x, "c": out} if layer.mode == "max" else {}
            self.step(f"{layer.mode}_pooling_gradient", a=dout, out=dx, pool=pool, **forward)
            self._give(source, dx)

        self._define(node, out, True, back)
        return {node}

    def _global_pooling(self, node: int, layer: GlobalAveragePooling) -> set[int]:
        self._images_only(node)
        source, = self.graph.inputs[node]
        x = self.values[source]
        out = self.tensor(1, 1, x.c)
        pool = ((x.h, x.w), (1, 1), (0, 0), x, out)
        self.step("average_pooling", a=x, out=out, pool=pool)

        def back(dout: Tensor) -> None:
            dx = self.like(x)
            self.step("average_pooling_gradient", a=dout, out=dx, pool=pool)
            self._give(source, dx)

        self._define(node, out, False, back)
        return {node}

    def _flatten(self, node: int, layer: Flatten) -> set[int]:
        source, = self.graph.inputs[node]
        x = self.values[source]
        out = self.tensor(1, 1, x.values)
        self.step("flatten", a=x, out=out)

        def back(dout: Tensor) -> None:
            dx = self.like(x)
            self.step("unflatten", a=dout, out=dx)
            self._give(source, dx)

        self._define(node, out, False, back)
        return {node}

    def _lrn(self, node: int, layer: LRN) -> set[int]:
        self._images_only(node)
        source, = self.graph.inputs[node]
        x = self.values[source]
        out, response = self.like(x), layer.settings()
        self.step("lrn", a=x, out=out, response=response)

        def back(dout: Tensor) -> None:
            dx = self.like(x)
            self.step("lrn_gradient", a=dout, b=x, out=dx, response=response)
            self._give(source, dx)

        self._define(node, out, True, back)
        return {node}

    def _dropout(self, node: int, layer: Dropout) -> set[int]:
        source, = self.graph.inputs[node]
        x = self.values[source]
        if not self.training and layer.inverted and self.readers[source] == 1 and source != INPUT:
            self._define(node, x, self.images[source], _no_way_back)
            return {node}
        out = self.like(x)
        if not self.training:
            self.step("scale", a=x, out=out, ratio=1.0 if layer.inverted else 1.0 - layer.dropout_ratio)
            self._define(node, out, self.images[source], _no_way_back)
            return {node}
        mask = self.like(x, item=1)
        self.step("dropout", a=x, c=mask, out=out, number=len(self.dropouts), ratio=float(layer.dropout_ratio))
        self.dropouts.append(layer)
        out = self._scaled(out, layer.scale)

        def back(dout: Tensor) -> None:
            dx = self.like(x)
            self.step("dropout_gradient", a=dout, c=mask, out=dx)
            self._give(source, self._scaled(dx, layer.scale))

        self._define(node, out, self.images[source], back)
        return {node}

    def _scaled(self, x: Tensor, ratio: float) -> Tensor:
        if ratio == 1.0:
            return x
        out = self.like(x)
        self.step("scale", a=x, out=out, ratio=ratio)
        return out

    def _add(self, node: int, layer: Add) -> set[int]:
        sources, xs = self.graph.inputs[node], self._sources(node)
        if len({(x.h, x.w, x.c) for x in xs}) > 1 or len({self.images[i] for i in sources}) > 1 or len(xs) < 2:
            raise NotCompiled(f"layers[{node}] adds arrays of different shapes, or only one")
        relu = self._only_reader(node, Relu)
        last = node if relu is None else relu
        out = xs[0]
        for number, x in enumerate(xs[1:], 2):
            total = self.like(x)
            self.step("sum_relu" if number == len(xs) and relu is not None else "sum", a=out, b=x, out=total)
            out = total

        def back(dout: Tensor) -> None:
            if relu is not None:
                dout = self._through_relu(last, dout, out)
            for source in sources:
                self._give(source, dout)

        self._define(last, out, self.images[sources[0]], back)
        if relu is not None:
            self.relus.add(last)
        return {n for n in (node, relu) if n is not None}

    def _concat(self, node: int, layer: Concat) -> set[int]:
        sources, xs = self.graph.inputs[node], self._sources(node)
        if len({(x.h, x.w) for x in xs}) > 1 or len({self.images[i] for i in sources}) > 1:
            raise NotCompiled(f"layers[{node}] joins images of different sizes")
        out = self.tensor(xs[0].h, xs[0].w, sum(x.c for x in xs))
        firsts = np.cumsum([0] + [x.c for x in xs]).tolist()
        for x, first in zip(xs, firsts[:-1], strict=True):
            self.step("slice", a=x, out=out, first=0, other=first, channels=x.c)

        def back(dout: Tensor) -> None:
            for source, x, first in zip(sources, xs, firsts[:-1], strict=True):
                if self.learns[source]:
                    dx = self.like(x)
                    self.step("slice", a=dout, out=dx, first=first, other=0, channels=x.c)
                    self._give(source, dx)

        self._define(node, out, self.images[sources[0]], back)
        return {node}

    # ---- the loss, and backwards

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

    def _give(self, node: int, dx: Tensor) -> None:
        """Add to the gradient of a node's output."""
        if not self.learns[node]:
            return
        if node in self.douts:
            total = self.like(dx)
            self.step("sum", a=self.douts[node], b=dx, out=total)
            dx = total
        self.douts[node] = dx

    def _data_gradient(self, filters: int, source: int, x: Tensor, dout: Tensor, dx: Tensor, room: int) -> None:
        """Emit the gradient to the data, through the ReLU before it where no other gradient joins there."""
        alone = source in self.relus and self.readers[source] == 1 and self.values[source] is x
        mask = x if alone else None
        dx.want(0, room)
        if mask is not None:
            mask.want(0, room)
            self.masked.add(source)
        self.filters[filters]["dx"] = dx
        self.step("filter_data", filters=filters, a=dout, b=mask, out=dx)
        self._give(source, dx)

    def _through_relu(self, node: int, dout: Tensor, out: Tensor) -> Tensor:
        if node in self.masked:
            return dout
        dx = self.like(out)
        self.step("relu_gradient", a=dout, b=out, out=dx)
        return dx


def is_overridden(layer: Any) -> bool:
    """Say whether the object has a forward or backward of its own, besides its class's."""
    own = getattr(layer, "__dict__", ())
    return "forward" in own or "backward" in own


def _no_way_back(dout: Tensor) -> None:
    raise AssertionError("a prediction has no backward pass")
