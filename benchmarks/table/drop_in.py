"""What stands in for the book's layers, called one by one in float64 as scripts by hand do; and what a call costs."""
from __future__ import annotations

from collections.abc import Callable
from contextlib import nullcontext
from functools import partial
from typing import Any

import numpy as np

from fastconv import dispatch
from fastconv.dropin.layers import layer_replacement

from .. import book
from ..workload import Maker, Runner, Workload
from .eager import engine
from .networks import FIRST, IMAGE, Images, images

N = 100
SMALL = (784, 100, 100, 10)  # neurons of a network of the book's chapters 4 to 6
CALLS = 20                   # of layers, forwards and backwards


def rows() -> list[Workload]:
    """Return a step of DeepConvNet without Dropout, one of a small network, and calls with next to nothing to do."""
    small = float(np.dot(SMALL[:-1], SMALL[1:]))

    def row(name: str, flops: float, make: Callable[[np.random.Generator], Any], layers: Callable[..., Any],
            headline: bool) -> Workload:
        makers: dict[str, Maker] = {backend: partial(_step, layers, backend) for backend in dispatch.backends()}
        return Workload(f"drop-in/{name}", "drop-in", flops, lambda inputs: 0.0, make,
                        makers | {"book": partial(_step, layers, None)}, tolerance=1e-7, headline=headline)

    return [row("deep-network-step", 2 * (3 * IMAGE - FIRST) * N, partial(images, N), _deep, True),
            row("small-network-step", 6 * small * N, partial(_vectors, N, SMALL), _dense, True),
            row(f"{CALLS}-calls", 0, partial(_vectors, 1, (4,) * (CALLS // 4 + 1)), _dense, True)]


def _vectors(n: int, sizes: tuple[int, ...], rng: np.random.Generator) -> Images:
    params = {f"{i}": rng.standard_normal(shape) / np.sqrt(shape[0])
              for i, shape in enumerate(zip(sizes[:-1], sizes[1:], strict=True))}
    return Images(rng.random((n, sizes[0]), np.float32), rng.integers(0, sizes[-1], n), params)


def _dense(kinds: Any, params: dict[str, np.ndarray]) -> list[Any]:
    return [layer for W in params.values() for layer in (kinds("Affine", W, np.zeros(W.shape[1])), kinds("Relu"))]


def _deep(kinds: Any, params: dict[str, np.ndarray]) -> list[Any]:
    p = {key: value.astype(np.float64) for key, value in params.items()}
    layers = []
    for i in range(1, 7):
        layers += [kinds("Convolution", p[f"W{i}"], p[f"b{i}"], 1, 2 if i == 4 else 1), kinds("Relu")]
        if i % 2 == 0:
            layers.append(kinds("Pooling", 2, 2, 2))
    return [*layers, kinds("Affine", p["W7"], p["b7"]), kinds("Relu"), kinds("Affine", p["W8"], p["b8"])]


def _step(make: Callable[..., list[Any]], backend: str | None, batch: Images, n_threads: int) -> Runner:
    """Run a forward and a backward pass, by the book's layers or by what stands in for them on a backend."""
    def kinds(name: str, *arguments: Any) -> Any:
        kind = getattr(book, name)
        return (kind if backend is None else layer_replacement(kind, strict=False))(*arguments)

    layers, last = make(kinds, batch.params), kinds("SoftmaxWithLoss")

    def run() -> list[np.ndarray]:
        x = batch.x
        for layer in layers:
            x = layer.forward(x)
        found = [np.array([last.forward(x, batch.t)])]
        dout = last.backward()
        for layer in reversed(layers):
            dout = layer.backward(dout)
        weighted = [layer for layer in layers if hasattr(layer, "W")]
        return [*found, dout, *(getattr(layer, name) for layer in weighted for name in ("dW", "db"))]

    return Runner(run, run, nullcontext if backend is None else partial(engine, backend, n_threads))
