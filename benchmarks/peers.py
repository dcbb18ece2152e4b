"""Our networks in the libraries next door, with our parameters: PyTorch, ONNX Runtime, OpenVINO, where installed.

A network's Dropout does nothing in their predictions, so one that is not inverted has to be folded into the weights
before.
"""
from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np

from fastconv.engine import Network

from .libraries import takes_part
from .workload import Runner, of

REDUCED = 0.05  # tolerance in bfloat16: each layer is rounded to 1/256
LR = 0.001      # Adam's


def training() -> dict[str, Callable[..., Runner]]:
    """Return the peers that train: name -> maker(x, t, network, n_threads)."""
    return {name: partial(_torch_training, name) for name in ("torch", "torch-nhwc")} if takes_part("torch") else {}


def epochs() -> dict[str, Callable[..., Runner]]:
    """Return the peers that train an epoch: name -> maker(x, t, network, batches, evaluated, first, n_threads)."""
    return {name: partial(_torch_epoch, name) for name in ("torch", "torch-nhwc")} if takes_part("torch") else {}


def inference() -> dict[str, Callable[..., Runner]]:
    """Return the peers that predict: name -> maker(x, network, n_threads)."""
    found: dict[str, Callable[..., Runner]] = {}
    if takes_part("torch"):
        found |= {name: partial(_torch_inference, name) for name in ("torch", "torch-nhwc")}
    if takes_part("onnx") and takes_part("onnxruntime"):
        found["onnxruntime"] = _onnxruntime
    if takes_part("onnx") and takes_part("openvino"):
        found |= {"openvino": partial(_openvino, "f32"), "openvino-default": partial(_openvino, None)}
    return found


def _torch_graph(layout: str, network: Network, n_threads: int) -> Any:
    from .graph_peers.in_torch import TorchGraph
    from .table.layouts import pin_torch
    pin_torch(n_threads)
    return TorchGraph(network, layout)


def _torch_training(layout: str, x: np.ndarray, t: np.ndarray, network: Network, n_threads: int) -> Runner:
    import torch
    module = _torch_graph(layout, network, n_threads).train()
    images, labels = module.images(x), torch.from_numpy(t)
    adam = torch.optim.Adam(module.parameters(), lr=LR)

    def gradient() -> None:
        adam.zero_grad()
        module.loss(images, labels).backward()

    def run() -> None:
        gradient()
        adam.step()

    def results() -> list[np.ndarray]:
        module.keeps_all = True
        gradient()
        module.keeps_all = False
        return [grad for _, grad in sorted(module.gradients().items())]

    return Runner(run, results)


def _torch_epoch(layout: str, x: np.ndarray, t: np.ndarray, network: Network, batches: list[np.ndarray],
                 evaluated: list[slice], first: int, n_threads: int) -> Runner:
    """Train on the batches, one after another, then evaluate those in `evaluated`, as the Trainer does."""
    import torch
    images, labels = _torch_graph(layout, network, n_threads).images(x), torch.from_numpy(t)

    def steps(keep_all: bool) -> list[float]:
        module = _torch_graph(layout, network, n_threads).train()
        module.keeps_all = keep_all  # without dropout the losses can be compared
        adam = torch.optim.Adam(module.parameters(), lr=LR)
        losses = []
        for batch in map(torch.from_numpy, batches):
            adam.zero_grad()
            loss = module.loss(images[batch], labels[batch])
            loss.backward()
            adam.step()
            losses.append(loss.item())
        module.eval()
        with torch.inference_mode():
            for some in evaluated:
                (module(images[some]).argmax(1) == labels[some]).sum().item()
        return losses

    return Runner(lambda: steps(False), lambda: [np.array(steps(True)[:first])])


def _torch_inference(layout: str, x: np.ndarray, network: Network, n_threads: int) -> Runner:
    import torch
    module = _torch_graph(layout, network, n_threads).eval()
    images = module.images(x)

    def run() -> Any:
        with torch.inference_mode():
            return module(images)

    return of(lambda y: [y.numpy()], run)


def _onnxruntime(x: np.ndarray, network: Network, n_threads: int) -> Runner:
    import onnxruntime

    from .graph_peers.in_onnx import onnx_model
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = n_threads
    session = onnxruntime.InferenceSession(onnx_model(network, x.shape), options, providers=["CPUExecutionProvider"])
    return of(list, lambda: session.run(None, {"x": x}))


def _openvino(precision: str | None, x: np.ndarray, network: Network, n_threads: int) -> Runner:
    """Compute in `precision`, or in OpenVINO's own choice: bfloat16 where the processor has it."""
    import io

    import openvino

    from .graph_peers.in_onnx import onnx_model
    core = openvino.Core()
    model = core.read_model(io.BytesIO(onnx_model(network, x.shape)))
    settings = {"INFERENCE_NUM_THREADS": n_threads, "PERFORMANCE_HINT": "LATENCY"}
    settings |= {"INFERENCE_PRECISION_HINT": precision} if precision else {}
    compiled = core.compile_model(model, "CPU", settings)
    request = compiled.create_infer_request()
    runner = of(lambda results: [np.array(results[0])], lambda: request.infer({0: x}))
    chosen = compiled.get_property("INFERENCE_PRECISION_HINT")
    return runner if chosen == openvino.Type.f32 else replace(runner, tolerance=REDUCED)
