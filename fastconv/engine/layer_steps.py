"""The steps of the layers without weights, and of BatchNormalization."""
from __future__ import annotations

import numpy as np

from ..layers import (
    LRN,
    Add,
    BatchNormalization,
    Concat,
    Dropout,
    Flatten,
    GlobalAveragePooling,
    Pooling,
    Relu,
    Sigmoid,
)
from ..shapes import pooling_geometry
from .emitter import Emitter, NotCompiled
from .graph import INPUT
from .tensors import Tensor


class LayerSteps(Emitter):
    """Emits a layer's step, and how its gradient goes back. Each method returns the nodes that its steps are for."""

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


def _no_way_back(dout: Tensor) -> None:
    raise AssertionError("a prediction has no backward pass")
