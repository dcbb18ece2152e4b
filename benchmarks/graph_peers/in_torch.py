"""A network as a PyTorch module. Needs PyTorch."""
from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from fastconv import layers
from fastconv.engine import Network
from fastconv.engine.graph import INPUT

Step = Callable[..., Tensor]


class TorchGraph(nn.Module):
    """The network's layers in the order of its graph; what no later layer reads is dropped at once.

    Parameters
    ----------
    network : Network
        Its parameters and running statistics are copied.
    layout : {'torch', 'torch-nhwc'}
        How images and filters lie in memory.

    Attributes
    ----------
    keeps_all : bool
        Whether nothing is dropped by Dropout in training. In inference it does nothing, inverted or not.
    """

    def __init__(self, network: Network, layout: str = "torch") -> None:
        super().__init__()
        graph, self.keeps_all = network._graph, False
        self.memory = torch.channels_last if layout == "torch-nhwc" else torch.contiguous_format
        self.readers = [sum(node in sources for sources in graph.inputs) for node in range(len(graph.layers))]
        self._keys = {id(value): key for key, value in network.params.items()}
        self._learned: dict[str, tuple[nn.Parameter, bool]] = {}
        self._last, self._auxiliary = len(graph.layers) - 1, dict(graph.auxiliary)
        self._smoothing = network.last_layer.label_smoothing
        self._steps = [(STEPS[type(layer)](self, layer, sources), sources)
                       for layer, sources in zip(graph.layers, graph.inputs, strict=True)]
        self._predicts = graph.needed([self._last])
        self.to(memory_format=self.memory)  # type: ignore[call-overload]

    def learned(self, array: np.ndarray | None, transposed: bool = False) -> nn.Parameter | None:
        """Return a copy of one of the network's parameters, or of its transpose."""
        if array is None:
            return None
        key = self._keys[id(array)]
        parameter = nn.Parameter(torch.from_numpy(np.array(array.T if transposed else array, order="C")))
        self.register_parameter(key, parameter)
        self._learned[key] = parameter, transposed
        return parameter

    def statistic(self, name: str, array: np.ndarray) -> Tensor:
        """Return a copy of running statistics, as a buffer of that name."""
        self.register_buffer(name, torch.from_numpy(np.array(array)))
        return self.get_buffer(name)

    def images(self, x: np.ndarray) -> Tensor:
        """Return a batch as the module takes it."""
        return torch.from_numpy(x).contiguous(memory_format=self.memory)

    def forward(self, x: Tensor) -> Tensor:
        """Return the scores."""
        return self._outputs(x)[0]

    def loss(self, x: Tensor, t: Tensor) -> Tensor:
        """Return the loss, with those of the auxiliary scores in training."""
        weights = [1.0, *self._auxiliary.values()]
        return torch.stack([weight * F.cross_entropy(y, t, label_smoothing=self._smoothing)
                            for weight, y in zip(weights, self._outputs(x), strict=False)]).sum()

    def gradients(self) -> dict[str, np.ndarray]:
        """Return what the last backward pass left, with the keys and shapes of the network's own gradients."""
        grads = {key: (parameter.grad, transposed) for key, (parameter, transposed) in self._learned.items()}
        return {key: grad.numpy().T if transposed else grad.numpy()
                for key, (grad, transposed) in grads.items() if grad is not None}

    def _outputs(self, x: Tensor) -> list[Tensor]:
        """Return the last node's output and, in training, the auxiliary ones."""
        wanted = [self._last, *(self._auxiliary if self.training else ())]
        run = range(self._last + 1) if self.training else sorted(self._predicts)
        last_reader = {i: node for node in run for i in self._steps[node][1]}
        values = {INPUT: x}
        for node in run:
            step, sources = self._steps[node]
            xs = [values[i] for i in sources]
            for i in set(sources):
                if last_reader[i] == node and i not in wanted:
                    del values[i]
            values[node] = step(*xs)
        return [values[node] for node in wanted]


def _convolution(module: TorchGraph, layer: Any, sources: tuple[int, ...]) -> Step:
    W, b = module.learned(layer.W), module.learned(layer.b)
    return lambda x: F.conv2d(x, W, b, layer.stride, layer.pad, layer.dilation, layer.groups)


def _affine(module: TorchGraph, layer: Any, sources: tuple[int, ...]) -> Step:
    W, b = module.learned(layer.W, transposed=True), module.learned(layer.b)
    return lambda x: F.linear(x.flatten(1), W, b)


def _batch_normalization(module: TorchGraph, layer: Any, sources: tuple[int, ...]) -> Step:
    gamma, beta, key = module.learned(layer.gamma), module.learned(layer.beta), module._keys[id(layer.gamma)]
    mean, var = (module.statistic(f"{name}_{key}", getattr(layer, name)) for name in ("running_mean", "running_var"))
    return lambda x: F.batch_norm(x, mean, var, gamma, beta, module.training, 1 - layer.momentum, layer.eps)


def _relu(module: TorchGraph, layer: Any, sources: tuple[int, ...]) -> Step:
    in_place = sources[0] != INPUT and module.readers[sources[0]] == 1
    return lambda x: F.relu(x, inplace=in_place)


def _pooling(module: TorchGraph, layer: Any, sources: tuple[int, ...]) -> Step:
    pool = F.max_pool2d if layer.mode == "max" else F.avg_pool2d
    window = layer.pool_h, layer.pool_w
    return lambda x: pool(x, window, layer.stride, layer.pad, ceil_mode=layer.ceil_mode)


def _dropout(module: TorchGraph, layer: Any, sources: tuple[int, ...]) -> Step:
    return lambda x: F.dropout(x, layer.dropout_ratio, module.training and not module.keeps_all)


def _lrn(module: TorchGraph, layer: Any, sources: tuple[int, ...]) -> Step:
    return lambda x: F.local_response_norm(x, layer.n, layer.alpha, layer.exponent, layer.k)


def _adaptive(module: TorchGraph, layer: Any, sources: tuple[int, ...]) -> Step:
    return lambda x: F.adaptive_avg_pool2d(x, (layer.out_h, layer.out_w))


def _global_average(module: TorchGraph, layer: Any, sources: tuple[int, ...]) -> Step:
    return lambda x: F.adaptive_avg_pool2d(x, 1).flatten(1)


def _flatten(module: TorchGraph, layer: Any, sources: tuple[int, ...]) -> Step:
    return lambda x: x.flatten(1)


def _concat(module: TorchGraph, layer: Any, sources: tuple[int, ...]) -> Step:
    return lambda *xs: torch.cat(xs, 1)


def _add(module: TorchGraph, layer: Any, sources: tuple[int, ...]) -> Step:
    return lambda first, *others: sum(others, first)


STEPS: dict[type, Callable[[TorchGraph, Any, tuple[int, ...]], Step]] = {
    layers.Convolution: _convolution, layers.Affine: _affine, layers.BatchNormalization: _batch_normalization,
    layers.Relu: _relu, layers.Pooling: _pooling, layers.Dropout: _dropout, layers.LRN: _lrn,
    layers.AdaptiveAveragePooling: _adaptive, layers.GlobalAveragePooling: _global_average, layers.Flatten: _flatten,
    layers.Concat: _concat, layers.Add: _add,
}
