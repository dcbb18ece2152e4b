"""The steps of the layers with weights: Convolution and Affine, with what follows taken along."""
from __future__ import annotations

from typing import Any

import numpy as np

from ..layers import Affine, BatchNormalization, Convolution, Pooling, Relu
from ..shapes import convolution_geometry, pooling_geometry
from .axis import Axis
from .emitter import Emitter, NotCompiled
from .graph import INPUT
from .tensors import Tensor

LINE_BYTES = 64


class FilterSteps(Emitter):
    """Emits Convolution + BatchNormalization + Relu + 2x2 Pooling as one step where it can, Affine + Relu too.

    Each method returns the nodes that its steps are for.
    """

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

    def _foldable(self, node: int, outputs: int) -> int | None:
        """Return the BatchNormalization of each channel that alone reads this node, if the filters can take it in."""
        norm = None if self.training else self._only_reader(node, BatchNormalization)
        if norm is None:
            return None
        gamma, beta = np.asarray(self.graph.layers[norm].gamma), np.asarray(self.graph.layers[norm].beta)
        return norm if gamma.size == beta.size == outputs and gamma.dtype == beta.dtype == self.dtype else None

    def _by_winograd(self, channels: int, outputs: int, w_shape: tuple[int, ...], geometry: Any) -> bool:
        """Say whether Winograd's method can be taken from so many channels to so many outputs (winograd_fits)."""
        return (self.winograd and w_shape[2:] == (3, 3) and geometry.stride == geometry.dilation == (1, 1)
                and geometry.groups == 1 and channels % 16 == 0 and outputs >= 16)

    def _halves(self, layer: Pooling, H: int, W: int) -> bool:
        """Say whether a Pooling layer takes the maximum of each 2x2 pixels."""
        geometry = pooling_geometry((1, 1, H, W), layer.pool_h, layer.pool_w, layer.stride, layer.pad, layer.ceil_mode)
        return (layer.mode == "max" and geometry.window == geometry.stride == (2, 2) and geometry.pad == (0, 0)
                and geometry.out_shape[1:3] == (H // 2, W // 2))

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
