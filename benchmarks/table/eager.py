"""The public layers, forward and backward, as a user of the book's API calls them."""
from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from typing import Any

import numpy as np

import fastconv
from fastconv import dispatch
from fastconv.threads import threads

from .. import book
from ..workload import Maker, Runner, Workload
from .layouts import HAS_TORCH, TORCH, laid_out, pin_torch

N = 100
# name -> shape of x without N, shapes of the parameters, class, further arguments
LAYERS: dict[str, tuple[tuple[int, ...], tuple[tuple[int, ...], ...], str, tuple[Any, ...]]] = {
    "Convolution": ((16, 28, 28), ((16, 16, 3, 3), (16,)), "Convolution", (1, 1)),
    "Convolution-wide": ((64, 8, 8), ((64, 64, 3, 3), (64,)), "Convolution", (1, 1)),
    "Pooling": ((16, 28, 28), (), "Pooling", (2, 2, 2)),
    "Affine": ((1024,), ((1024, 50), (50,)), "Affine", ()),
    "Relu": ((16, 28, 28), (), "Relu", ()),
    "Sigmoid": ((16, 28, 28), (), "Sigmoid", ()),
    "Dropout": ((16, 28, 28), (), "Dropout", (0.5,)),
    "SoftmaxWithLoss": ((10,), (), "SoftmaxWithLoss", ()),
    "BatchNormalization": ((1024,), ((1024,), (1024,)), "BatchNormalization", ()),
}


@contextmanager
def engine(backend: str, n_threads: int) -> Iterator[None]:
    """Run fastconv's layers on one backend and so many threads."""
    with dispatch.use(backend), threads(n_threads):
        yield


def rows() -> list[Workload]:
    """Return one row per layer: forward and backward of 100 samples."""
    found = []
    for name, (size, parameters, kind, options) in LAYERS.items():
        makers: dict[str, Maker] = {backend: partial(_ours, backend, kind, options) for backend in dispatch.backends()}
        if hasattr(book, kind):
            makers["book"] = partial(_book, kind, options)
        if HAS_TORCH and kind == "Convolution":
            makers |= {layout: partial(_torch, layout) for layout in TORCH}
        flops = 0.0
        if parameters and name != "BatchNormalization":  # a multiply-add per weight and position, three times
            positions = size[1] * size[2] if kind == "Convolution" else 1
            flops = 6.0 * N * positions * float(np.prod(parameters[0]))
        found.append(Workload(f"layer/{name}", "layer", flops, lambda inputs: 0.0, partial(_make, size, parameters),
                              makers, headline=name.startswith("Convolution")))
    return found


def _make(size: tuple[int, ...], parameters: Sequence[tuple[int, ...]], rng: np.random.Generator) -> list[np.ndarray]:
    """Return x and the parameters."""
    return [rng.standard_normal((N, *size), np.float32), *(rng.standard_normal(p, np.float32) for p in parameters)]


class WithLabels:
    """SoftmaxWithLoss as a layer of one input; its backward pass begins the chain and takes nothing."""

    def __init__(self, layer: Any) -> None:
        self.layer = layer

    def forward(self, x: np.ndarray) -> np.ndarray:
        return np.array([self.layer.forward(x, np.arange(len(x)) % x.shape[1])])

    def backward(self, dout: np.ndarray) -> np.ndarray:
        return self.layer.backward()


def _both_ways(layer: Any, x: np.ndarray) -> Callable[[], list[np.ndarray]]:
    """Return a call that runs forward, then backward on random gradients, and returns all results."""
    dout = np.empty_like(layer.forward(x))
    dout[...] = np.random.default_rng(1).standard_normal(dout.shape)

    def run() -> list[np.ndarray]:
        out = layer.forward(x)
        dx = layer.backward(dout)
        return [out, dx, *(getattr(layer, name) for name in ("dW", "db", "dgamma", "dbeta") if hasattr(layer, name))]

    return run


def _layer(module: Any, kind: str, *arguments: Any) -> Any:
    layer = getattr(module, kind)(*arguments)
    if kind == "Dropout":
        layer.dropout_ratio = -1.0  # keeps everything: the book draws other numbers, the work is the same
    return WithLabels(layer) if kind == "SoftmaxWithLoss" else layer


def _ours(backend: str, kind: str, options: tuple[Any, ...], inputs: list[np.ndarray], n_threads: int) -> Runner:
    run = _both_ways(_layer(fastconv, kind, *inputs[1:], *options), inputs[0])
    return Runner(run, run, partial(engine, backend, n_threads))


def _book(kind: str, options: tuple[Any, ...], inputs: list[np.ndarray], n_threads: int) -> Runner:
    x, *parameters = (a.astype(np.float64) for a in inputs)
    run = _both_ways(_layer(book, kind, *parameters, *options), x)
    return Runner(run, run)


def _torch(layout: str, inputs: list[np.ndarray], n_threads: int) -> Runner:
    import torch
    pin_torch(n_threads)
    x, W, b = (torch.from_numpy(a) for a in inputs)
    x, W = (laid_out(a, layout).requires_grad_() for a in (x, W))
    b = b.clone().requires_grad_()
    dout = torch.empty_like(torch.conv2d(x, W, b, 1, 1))
    dout.copy_(torch.from_numpy(np.random.default_rng(1).standard_normal(dout.shape)))

    def run() -> list[np.ndarray]:
        out = torch.conv2d(x, W, b, 1, 1)
        return [a.detach().numpy() for a in (out, *torch.autograd.grad(out, (x, W, b), dout))]

    return Runner(run, run)
