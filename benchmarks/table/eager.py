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
from .shapes import CONVOLUTIONS

N = 100
# name -> shape of x without N, shapes of the parameters, class, further arguments
LAYERS: dict[str, tuple[tuple[int, ...], tuple[tuple[int, ...], ...], str, tuple[Any, ...]]] = {
    "Convolution": ((16, 28, 28), ((16, 16, 3, 3), (16,)), "Convolution", (1, 1)),
    "Convolution-wide": ((64, 8, 8), ((64, 64, 3, 3), (64,)), "Convolution", (1, 1)),
    "Pooling": ((16, 28, 28), (), "Pooling", (2, 2, 2)),
    "Affine": ((1024,), ((1024, 50), (50,)), "Affine", ()),
    "LRN": ((96, 27, 27), (), "LRN", (5, 2.0, 1e-4, 0.75)),
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
    makers = {backend: partial(_our_convolutions, backend) for backend in dispatch.backends()}
    if HAS_TORCH:
        makers |= {layout: partial(_torch_convolutions, layout) for layout in TORCH}
    six = CONVOLUTIONS[:6]
    flops = sum(2.0 * (3 if i else 2) * N * float(np.prod(s.out[1:])) * float(np.prod(s.weight[1:]))
                for i, s in enumerate(six))
    found.append(Workload("layer/Convolution-deepconvnet-1..6", "layer", flops, lambda inputs: 0.0, _make_convolutions,
                          makers, headline=True))
    return found


def _make_convolutions(rng: np.random.Generator) -> list[list[np.ndarray]]:
    """Return x, W, b and dout of DeepConvNet's six convolutions, NCHW."""
    found = []
    for s in CONVOLUTIONS[:6]:
        _, H, W, C = s.x
        _, OH, OW, FN = s.out
        found.append([rng.standard_normal(shape, np.float32)
                      for shape in ((N, C, H, W), s.weight, (FN,), (N, FN, OH, OW))])
    return found


def _our_convolutions(backend: str, inputs: list[list[np.ndarray]], n_threads: int) -> Runner:
    """Run all six, forwards and backwards; nobody needs the gradient to the first one's images."""
    layers = [fastconv.Convolution(W, b, 1, s.pad) for (_, W, b, _), s in zip(inputs, CONVOLUTIONS, strict=False)]
    pairs = [[channels_last_view(x), channels_last_view(dout)] for x, _, _, dout in inputs]

    def run() -> list[np.ndarray]:
        found = []
        for i, (layer, (x, dout)) in enumerate(zip(layers, pairs, strict=True)):
            out, dx = layer.forward(x), layer.backward(dout, need_dx=i > 0)
            found += [out, layer.dW, layer.db, *([] if dx is None else [dx])]
        return found

    return Runner(run, run, partial(engine, backend, n_threads))


def channels_last_view(x: np.ndarray) -> np.ndarray:
    """Return NCHW on NHWC memory, as fastconv's layers pass it on."""
    return np.ascontiguousarray(x.transpose(0, 2, 3, 1)).transpose(0, 3, 1, 2)


def _torch_convolutions(layout: str, inputs: list[list[np.ndarray]], n_threads: int) -> Runner:
    import torch
    pin_torch(n_threads)
    tensors = [[torch.from_numpy(a) for a in one] for one in inputs]
    cases = []
    for i, ((x, W, b, dout), s) in enumerate(zip(tensors, CONVOLUTIONS, strict=False)):
        x, W, dout = (laid_out(a, layout) for a in (x, W, dout))
        wanted = [W.requires_grad_(), b.clone().requires_grad_(), *([x.requires_grad_()] if i else [])]
        cases.append((x, dout, wanted, s.pad))

    def run() -> list[np.ndarray]:
        found = []
        for x, dout, wanted, pad in cases:
            out = torch.conv2d(x, wanted[0], wanted[1], 1, pad)
            found += [a.detach().numpy() for a in (out, *torch.autograd.grad(out, wanted, dout))]
        return found

    return Runner(run, run)


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
