"""DeepConvNet in the libraries next door, with our parameters: PyTorch, ONNX Runtime, OpenVINO, where installed.

The book's dropout scales at test time, theirs in training, so inference folds that factor into the last layers.
"""
from __future__ import annotations

import importlib.util
from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np

from .workload import Runner, of

Params = Mapping[str, np.ndarray]
PADS = (1, 1, 1, 2, 1, 1)
KEEP = 0.5
REDUCED = 0.05  # tolerance in bfloat16: eight layers, each rounded to 1/256


def training() -> dict[str, Callable[..., Runner]]:
    """Return the peers that train: name -> maker(x, t, params)."""
    return {name: partial(_torch_training, name) for name in ("torch", "torch-nhwc")} if _has("torch") else {}


def epochs() -> dict[str, Callable[..., Runner]]:
    """Return the peers that train an epoch: name -> maker(x, t, params, batches, evaluated, first)."""
    return {name: partial(_torch_epoch, name) for name in ("torch", "torch-nhwc")} if _has("torch") else {}


def inference() -> dict[str, Callable[..., Runner]]:
    """Return the peers that predict: name -> maker(x, params, n_threads)."""
    found: dict[str, Callable[..., Runner]] = {}
    if _has("torch"):
        found |= {name: partial(_torch_inference, name) for name in ("torch", "torch-nhwc")}
    if _has("onnx") and _has("onnxruntime"):
        found["onnxruntime"] = _onnxruntime
    if _has("onnx") and _has("openvino"):
        found |= {"openvino": partial(_openvino, "f32"), "openvino-default": partial(_openvino, None)}
    return found


def _has(library: str) -> bool:
    return importlib.util.find_spec(library) is not None


def torch_network(params: Params, layout: str) -> Any:
    """Return the network as a torch module with `params`."""
    import torch
    from torch import nn

    layers: list[Any] = []
    for i, pad in enumerate(PADS, 1):
        FN, C, FH, FW = params[f"W{i}"].shape
        layers += [nn.Conv2d(C, FN, (FH, FW), padding=pad), nn.ReLU()]
        if i % 2 == 0:
            layers.append(nn.MaxPool2d(2))
    layers += [nn.Flatten(), nn.Linear(*params["W7"].shape), nn.ReLU(), nn.Dropout(KEEP),
               nn.Linear(*params["W8"].shape), nn.Dropout(KEEP)]
    network = nn.Sequential(*layers)
    weighted = [layer for layer in network if hasattr(layer, "weight")]
    with torch.no_grad():
        for i, layer in enumerate(weighted, 1):
            W = params[f"W{i}"]
            layer.weight.copy_(torch.tensor(W.T if W.ndim == 2 else W))
            layer.bias.copy_(torch.tensor(params[f"b{i}"]))
    return network.to(memory_format=torch.channels_last if layout == "torch-nhwc" else torch.contiguous_format)


def _torch_training(layout: str, x: np.ndarray, t: np.ndarray, params: Params) -> Runner:
    import torch
    network = torch_network(params, layout).train()
    images, labels = torch.from_numpy(x), torch.from_numpy(t)
    if layout == "torch-nhwc":
        images = images.to(memory_format=torch.channels_last)
    adam = torch.optim.Adam(network.parameters(), lr=0.001)

    def gradient() -> None:
        adam.zero_grad()
        torch.nn.functional.cross_entropy(network(images), labels).backward()

    def run() -> None:
        gradient()
        adam.step()

    def results() -> list[np.ndarray]:
        network.eval()  # nothing is dropped
        gradient()
        network.train()
        grads = [p.grad.numpy() for p in network.parameters()]  # W1, b1, W2, ...
        grads = [g.T if g.ndim == 2 else g for g in grads]
        return grads[::2] + grads[1::2]

    return Runner(run, results)


def _torch_epoch(layout: str, x: np.ndarray, t: np.ndarray, params: Params, batches: list[np.ndarray],
                 evaluated: list[slice], first: int) -> Runner:
    """Train on the batches, one after another, then evaluate those in `evaluated`, as the Trainer does."""
    import torch
    memory = torch.channels_last if layout == "torch-nhwc" else torch.contiguous_format
    images, labels = torch.from_numpy(x).to(memory_format=memory), torch.from_numpy(t)

    def steps(keep_all: bool) -> list[float]:
        network = torch_network(params, layout)
        network.train(not keep_all)  # without dropout the losses can be compared
        adam = torch.optim.Adam(network.parameters(), lr=0.001)
        losses = []
        for batch in map(torch.from_numpy, batches):
            adam.zero_grad()
            loss = torch.nn.functional.cross_entropy(network(images[batch]), labels[batch])
            loss.backward()
            adam.step()
            losses.append(loss.item())
        network.eval()
        with torch.inference_mode():
            for some in evaluated:
                (network(images[some]).argmax(1) == labels[some]).sum().item()
        return losses

    return Runner(lambda: steps(False), lambda: [np.array(steps(True)[:first])])


def _folded(params: Params) -> dict[str, np.ndarray]:
    """Return parameters that make a network without dropout equal to the book's at test time."""
    return dict(params) | {"W8": params["W8"] * np.float32(KEEP * KEEP), "b8": params["b8"] * np.float32(KEEP)}


def _torch_inference(layout: str, x: np.ndarray, params: Params, n_threads: int) -> Runner:
    import torch

    from .table.layouts import pin_torch
    pin_torch(n_threads)
    network = torch_network(_folded(params), layout).eval()
    images = torch.from_numpy(x)
    if layout == "torch-nhwc":
        images = images.to(memory_format=torch.channels_last)

    def run() -> Any:
        with torch.inference_mode():
            return network(images)

    return of(lambda y: [y.numpy()], run)


def onnx_network(params: Params, batch: int) -> bytes:
    """Return the network without dropout as an ONNX model."""
    from onnx import TensorProto, checker, helper, numpy_helper
    nodes, last = [], "x"
    for i, pad in enumerate(PADS, 1):
        nodes += [helper.make_node("Conv", [last, f"W{i}", f"b{i}"], [f"c{i}"], pads=[pad] * 4),
                  helper.make_node("Relu", [f"c{i}"], [f"r{i}"])]
        last = f"r{i}"
        if i % 2 == 0:
            nodes.append(helper.make_node("MaxPool", [last], [f"p{i}"], kernel_shape=[2, 2], strides=[2, 2]))
            last = f"p{i}"
    nodes += [helper.make_node("Flatten", [last], ["flat"]), helper.make_node("Gemm", ["flat", "W7", "b7"], ["a7"]),
              helper.make_node("Relu", ["a7"], ["r7"]), helper.make_node("Gemm", ["r7", "W8", "b8"], ["y"])]
    graph = helper.make_graph(
        nodes, "DeepConvNet", [helper.make_tensor_value_info("x", TensorProto.FLOAT, [batch, 1, 28, 28])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, [batch, params["W8"].shape[1]])],
        [numpy_helper.from_array(np.ascontiguousarray(value), key) for key, value in params.items()])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
    checker.check_model(model)
    return model.SerializeToString()


def _onnxruntime(x: np.ndarray, params: Params, n_threads: int) -> Runner:
    import onnxruntime
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = n_threads
    session = onnxruntime.InferenceSession(onnx_network(_folded(params), len(x)), options,
                                           providers=["CPUExecutionProvider"])
    return of(list, lambda: session.run(None, {"x": x}))


def _openvino(precision: str | None, x: np.ndarray, params: Params, n_threads: int) -> Runner:
    """Compute in `precision`, or in OpenVINO's own choice: bfloat16 where the processor has it."""
    import io

    import openvino
    core = openvino.Core()
    model = core.read_model(io.BytesIO(onnx_network(_folded(params), len(x))))
    settings = {"INFERENCE_NUM_THREADS": n_threads, "PERFORMANCE_HINT": "LATENCY"}
    settings |= {"INFERENCE_PRECISION_HINT": precision} if precision else {}
    compiled = core.compile_model(model, "CPU", settings)
    request = compiled.create_infer_request()
    runner = of(lambda results: [np.array(results[0])], lambda: request.infer({0: x}))
    chosen = compiled.get_property("INFERENCE_PRECISION_HINT")
    return runner if chosen == openvino.Type.f32 else replace(runner, tolerance=REDUCED)
