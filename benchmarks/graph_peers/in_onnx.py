"""A network as an ONNX model for inference. Needs onnx."""
from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from onnx import TensorProto, checker, helper, numpy_helper

from fastconv import layers
from fastconv.engine import Network
from fastconv.engine.graph import INPUT
from fastconv.engine.output_shapes import output_shapes
from fastconv.shapes import Shape, pair


class OnnxGraph:
    """Nodes and initializers, added layer by layer; `names` are those of the layers' outputs."""

    def __init__(self, network: Network, x_shape: Shape) -> None:
        graph = network._graph
        self.nodes: list[Any] = []
        self.initializers: list[Any] = []
        self.shapes = output_shapes(graph, x_shape[1:])
        self.names = {INPUT: "x"}
        for node in sorted(graph.needed([len(graph.layers) - 1])):
            sources = graph.inputs[node]
            names, shapes = [self.names[i] for i in sources], [self.shapes[i] for i in sources]
            self.names[node] = NODES[type(graph.layers[node])](self, graph.layers[node], names, shapes)

    def node(self, kind: str, inputs: list[str], **attributes: Any) -> str:
        """Add a node and return its output's name."""
        name = f"{kind}_{len(self.nodes)}"
        self.nodes.append(helper.make_node(kind, inputs, [name], **attributes))
        return name

    def arrays(self, *values: np.ndarray | None) -> list[str]:
        """Add initializers and return their names; a None is left out."""
        names = []
        for value in values:
            if value is not None:
                names.append(f"array_{len(self.initializers)}")
                self.initializers.append(numpy_helper.from_array(np.ascontiguousarray(value), names[-1]))
        return names


def onnx_model(network: Network, x_shape: Shape) -> bytes:
    """Return the network as an ONNX model for batches of shape `x_shape` (N, C, H, W).

    Dropout does nothing in it, inverted or not.
    """
    graph, last = OnnxGraph(network, x_shape), len(network._graph.layers) - 1
    y_shape = (x_shape[0], *graph.shapes[last])
    made = helper.make_graph(
        graph.nodes, type(network).__name__, [helper.make_tensor_value_info("x", TensorProto.FLOAT, x_shape)],
        [helper.make_tensor_value_info(graph.names[last], TensorProto.FLOAT, y_shape)], graph.initializers)
    model = helper.make_model(made, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
    checker.check_model(model)
    return model.SerializeToString()


def _convolution(graph: OnnxGraph, layer: Any, names: list[str], shapes: list[Shape]) -> str:
    return graph.node("Conv", names + graph.arrays(layer.W, layer.b), kernel_shape=layer.W.shape[2:],
                      strides=pair(layer.stride, "stride"), pads=pair(layer.pad, "pad") * 2,
                      dilations=pair(layer.dilation, "dilation"), group=layer.groups)


def _affine(graph: OnnxGraph, layer: Any, names: list[str], shapes: list[Shape]) -> str:
    if len(shapes[0]) > 1:
        names = [graph.node("Flatten", names)]
    return graph.node("Gemm", names + graph.arrays(layer.W, layer.b))


def _batch_normalization(graph: OnnxGraph, layer: Any, names: list[str], shapes: list[Shape]) -> str:
    arrays = graph.arrays(layer.gamma, layer.beta, layer.running_mean, layer.running_var)
    return graph.node("BatchNormalization", names + arrays, epsilon=layer.eps)


def _pooling(graph: OnnxGraph, layer: Any, names: list[str], shapes: list[Shape]) -> str:
    more = {} if layer.mode == "max" else {"count_include_pad": 1}
    return graph.node("MaxPool" if layer.mode == "max" else "AveragePool", names, ceil_mode=int(layer.ceil_mode),
                      kernel_shape=(layer.pool_h, layer.pool_w), strides=pair(layer.stride, "stride"),
                      pads=pair(layer.pad, "pad") * 2, **more)


def _lrn(graph: OnnxGraph, layer: Any, names: list[str], shapes: list[Shape]) -> str:
    if layer.n % 2 == 0:
        raise ValueError(f"onnx_model: LRN has n={layer.n}, expected an odd n: ONNX's window differs otherwise")
    return graph.node("LRN", names, size=layer.n, alpha=layer.alpha, beta=layer.exponent, bias=layer.k)


def _adaptive(graph: OnnxGraph, layer: Any, names: list[str], shapes: list[Shape]) -> str:
    """ONNX has no such node: multiply by the averages of rows and columns."""
    _, H, W = shapes[0]
    rows, columns = graph.arrays(_averages(H, layer.out_h), _averages(W, layer.out_w).T)
    return graph.node("MatMul", [rows, graph.node("MatMul", [*names, columns])])


def _averages(length: int, parts: int) -> np.ndarray:
    """Return the matrix (parts, length) that takes the averages of an axis."""
    matrix = np.zeros((parts, length), np.float32)
    for i in range(parts):
        part = slice(i * length // parts, -((i + 1) * -length // parts))
        matrix[i, part] = 1 / (part.stop - part.start)
    return matrix


def _global_average(graph: OnnxGraph, layer: Any, names: list[str], shapes: list[Shape]) -> str:
    return graph.node("Flatten", [graph.node("GlobalAveragePool", names)])


def _named(kind: str, **attributes: Any) -> Callable[..., str]:
    return lambda graph, layer, names, shapes: graph.node(kind, names, **attributes)


NODES: dict[type, Callable[..., str]] = {
    layers.Convolution: _convolution, layers.Affine: _affine, layers.BatchNormalization: _batch_normalization,
    layers.Pooling: _pooling, layers.LRN: _lrn, layers.AdaptiveAveragePooling: _adaptive,
    layers.GlobalAveragePooling: _global_average, layers.Relu: _named("Relu"), layers.Concat: _named("Concat", axis=1),
    layers.Add: _named("Sum"), layers.Flatten: _named("Flatten"),
    layers.Dropout: lambda graph, layer, names, shapes: names[0],
}
