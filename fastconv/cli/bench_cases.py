"""What ``fastconv bench`` compares: the backend in use, or else the fastest, with the NumPy reference."""
from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from typing import Any, NamedTuple

import numpy as np

from .. import dispatch
from ..models import DeepConvNet
from ..optimizers import Adam
from ..threads import get_num_threads
from ..timing import Timed

TOLERANCE = 1e-3  # of the largest value


class Case(NamedTuple):
    """One comparison; `agree` runs both sides and compares."""

    what: str
    reference: Timed
    fast: Timed
    agree: Callable[[], bool]


def cases(batch: int) -> Iterator[Case]:
    """Yield the comparisons on the shapes of DeepConvNet's second layer, a product, and a training step."""
    rng = np.random.default_rng(0)
    x, dout = (rng.standard_normal((batch, 28, 28, 16), np.float32) for _ in range(2))
    weight, bias = rng.standard_normal((16, 16, 3, 3), np.float32), rng.standard_normal(16, np.float32)
    geometry = (1, 1), (1, 1), (1, 1), 1
    a, b = (rng.standard_normal((512, 512), np.float32) for _ in range(2))
    yield _kernel("convolution, forward", "convolution_forward", (x, weight, bias, *geometry), [x.shape])
    yield _kernel("convolution, gradient of the images", "convolution_backward_data", (dout, weight, *geometry),
                  [x.shape])
    yield _kernel("convolution, gradient of the filters", "convolution_backward_weight", (x, dout, *geometry),
                  [weight.shape, bias.shape])
    yield _kernel("max pooling, forward", "max_pooling_forward", (x, (2, 2), (2, 2), (0, 0)), [(batch, 14, 14, 16)])
    yield _kernel("matrix product, 512 x 512 x 512", "gemm", (a, b, None), [(512, 512)])
    yield _training_step(batch)


def measured() -> str:
    """Return the backend that is compared with the reference."""
    return dispatch.backends()[0] if dispatch.backend() == "reference" else dispatch.backend()


def step_inputs(batch: int) -> tuple[DeepConvNet, np.ndarray, np.ndarray]:
    """Return a DeepConvNet, random images and labels: the same at every call."""
    rng = np.random.default_rng(0)
    return DeepConvNet(seed=0), rng.random((batch, 1, 28, 28), np.float32), rng.integers(0, 10, batch)


def _kernel(what: str, op: str, arguments: tuple[Any, ...], shapes: list[tuple[int, ...]]) -> Case:
    names = ("reference", measured())
    outputs = [[np.empty(shape, np.float32) for shape in shapes] for _ in names]
    calls = [partial(dispatch.kernel(op, name), *arguments, *out, get_num_threads())
             for name, out in zip(names, outputs, strict=True)]

    def agree() -> bool:
        for call in calls:
            call()
        return all(map(close, outputs[1], outputs[0]))

    return Case(what, Timed(calls[0]), Timed(calls[1]), agree)


def _training_step(batch: int) -> Case:
    names = ("reference", measured())
    sides = [(step_inputs(batch), Adam()) for _ in names]

    def step(side: Any) -> None:
        (network, x, t), adam = side
        adam.update(network.params, network.gradient(x, t))

    def agree() -> bool:
        grads = []
        for name, ((network, x, t), _) in zip(names, sides, strict=True):
            with dispatch.use(name):
                grads.append(network.gradient(x, t))
        return all(close(grads[1][key], grads[0][key]) for key in grads[0])

    reference, fast = (Timed(partial(step, side), partial(dispatch.use, name))
                       for name, side in zip(names, sides, strict=True))
    return Case(f"DeepConvNet training step, {batch} images", reference, fast, agree)


def close(actual: np.ndarray, expected: np.ndarray) -> bool:
    """Say whether the arrays agree to `TOLERANCE` of the largest value; nan does not."""
    return bool(np.abs(actual - expected).max(initial=0) <= TOLERANCE * np.abs(expected).max(initial=0))
