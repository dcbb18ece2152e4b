"""What ``fastconv warmup`` runs: every operation on small arrays, and a training step."""
from __future__ import annotations

import contextlib
import sys
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import numpy as np

from .. import dispatch

Call = tuple[str, tuple[Any, ...], list[np.ndarray]]
ONE, SAME, UNIT = (1, 1), (1, 1), (1, 1)


def cases(dtypes: tuple[str, ...]) -> list[tuple[str, Callable[[], None]]]:
    """Return what is to be run, with names."""
    steps: list[tuple[str, Callable[[], None]]] = []
    for name in dtypes:
        dtype = np.dtype(name)
        steps += [(f"{call[0]}, {dtype}", partial(_run, *call)) for call in calls(dtype)]
        steps.append((f"training step, {dtype}", partial(_training_step, dtype)))
        steps.append((f"a single photograph, {dtype}", partial(_photograph, dtype)))
    return steps


def calls(dtype: np.dtype[Any]) -> Iterator[Call]:
    """Yield (operation, inputs and geometry, outputs), every operation at least once."""
    rng = np.random.default_rng(0)

    def some(*shape: int) -> np.ndarray:
        return rng.standard_normal(shape).astype(dtype)

    yield from _convolutions(some)
    yield from _windows(some)
    yield from _matrices(some)
    for op in ("relu_forward", "sigmoid_forward"):
        yield op, (some(5, 40),), [some(5, 40)]
    for op in ("relu_backward", "sigmoid_backward"):
        yield op, (some(5, 40), some(5, 40)), [some(5, 40)]
    mask = np.zeros((5, 40), bool)
    yield "dropout_forward", (some(5, 40), 2**63 + 1, 0.5), [mask, some(5, 40)]
    yield "dropout_backward", (some(5, 40), mask), [some(5, 40)]
    labels = np.arange(7)
    yield "softmax_forward", (some(7, 10),), [some(7, 10)]
    yield "softmax_loss_forward", (some(7, 10), labels), [some(7, 10), some(7)]
    yield "softmax_loss_backward", (some(7, 10), labels), [some(7, 10)]
    x, gamma, var = some(9, 20), some(20), np.ones(20, dtype)
    yield "batch_normalization_forward", (x, gamma, gamma, 1e-7), [some(9, 20), some(20), some(20)]
    yield "batch_normalization_inference", (x, gamma, gamma, gamma, var, 1e-7), [some(9, 20)]
    yield "batch_normalization_backward", (x, x, gamma, gamma, var, 1e-7), [some(9, 20), some(20), some(20)]
    for beta in (0.75, 0.5):  # by square roots, by powers
        yield "lrn_forward", (some(2, 3, 4, 20), 5, 2.0, 1e-4, beta), [some(2, 3, 4, 20)]
        yield "lrn_backward", (some(2, 3, 4, 20), some(2, 3, 4, 20), 5, 2.0, 1e-4, beta), [some(2, 3, 4, 20)]
    yield from _updates(some)


def _convolutions(some: Callable[..., np.ndarray]) -> Iterator[Call]:
    # direct; by Winograd's method, also with weights larger than the caches; and what is not finite there, which is
    # computed directly
    for x, weight in ((some(2, 8, 8, 3), some(5, 3, 3, 3)), (some(8, 28, 28, 32), some(32, 32, 3, 3)),
                      (some(2, 14, 14, 400), some(336, 400, 3, 3)),
                      (np.full_like(some(8, 28, 28, 32), np.nan), some(32, 32, 3, 3))):
        out, bias = some(*x.shape[:3], len(weight)), some(len(weight))
        geometry = SAME, ONE, UNIT, 1
        yield "convolution_forward", (x, weight, bias, *geometry), [out]
        yield "convolution_forward", (x, weight, None, *geometry), [out]
        yield "convolution_backward_data", (np.full_like(out, x[0, 0, 0, 0]), weight, *geometry), [np.empty_like(x)]
        yield "convolution_backward_weight", (x, some(*out.shape), *geometry), [np.empty_like(weight), bias]


def _windows(some: Callable[..., np.ndarray]) -> Iterator[Call]:
    for geometry, size in ((((2, 2), (2, 2), (0, 0)), 4), (((3, 3), (2, 2), (1, 1)), 4)):
        for channels in (3, 32):
            x, pooled = some(2, 8, 8, channels), some(2, size, size, channels)
            yield "max_pooling_forward", (x, *geometry), [pooled]
            yield "max_pooling_backward", (pooled, x, pooled.copy(), *geometry), [np.empty_like(x)]
            yield "average_pooling_forward", (x, *geometry), [pooled]
            yield "average_pooling_backward", (pooled, *geometry), [np.empty_like(x)]
    x, col = some(2, 3, 8, 8), some(2 * 64, 3 * 9)
    last = np.ascontiguousarray(x.transpose(0, 2, 3, 1)).transpose(0, 3, 1, 2)
    for image in (x, last, some(2, 3, 8, 16)[..., ::2]):
        yield "im2col", (image, (3, 3), (1, 1), (1, 1)), [col]
    yield "col2im", (col, (3, 3), (1, 1), (1, 1)), [np.empty_like(x)]


def _matrices(some: Callable[..., np.ndarray]) -> Iterator[Call]:
    a, b, wide, tall = some(20, 30), some(30, 40), some(60, 80), some(100, 40)
    for left, right in ((a, b), (some(30, 20).T, b), (a, some(40, 30).T), (some(30, 20).T, some(40, 30).T),
                        (wide[:40:2, :60:2], wide[::2, ::2])):
        yield "gemm", (left, right, None), [some(20, 40)]
        yield "gemm", (left, right, some(40)), [some(20, 40)]
    for bias in (None, some(40)):
        yield "gemm", (a[:3], b, bias), [some(3, 40)]            # small
        yield "gemm", (some(3, 100), tall, bias), [some(3, 40)]  # few rows
        yield "gemm", (some(100, 3).T, tall, bias), [some(3, 40)]
    yield "bias_backward", (some(20, 40),), [some(40)]


def _updates(some: Callable[..., np.ndarray]) -> Iterator[Call]:
    grad, state = some(50), np.abs(some(50))
    yield "sgd_update", (grad, 0.1), [some(50)]
    yield "momentum_update", (grad, 0.1, 0.9), [some(50), state]
    yield "nesterov_update", (grad, 0.1, 0.9), [some(50), state]
    yield "adagrad_update", (grad, 0.1), [some(50), state]
    yield "rmsprop_update", (grad, 0.1, 0.9), [some(50), state]
    yield "adam_update", (grad, 0.1, 0.9, 0.999), [some(50), state, state.copy()]


def _run(op: str, arguments: tuple[Any, ...], outputs: list[np.ndarray]) -> None:
    dispatch.kernel(op, "numba")(*arguments, *outputs, 1)


def _training_step(dtype: np.dtype[Any]) -> None:
    from ..models import DeepConvNet
    from ..optimizers import Adam
    network = DeepConvNet(seed=0, dtype=dtype)
    x = np.random.default_rng(0).random((10, 1, 28, 28)).astype(dtype)
    Adam().update(network.params, network.gradient(x, np.arange(10)))
    network.predict(x)


def _photograph(dtype: np.dtype[Any]) -> None:
    """Run a network with so much work that all threads share each step of it (SHARED_WORK)."""
    from ..models import SmallResNet
    SmallResNet(seed=0, dtype=dtype).predict(np.zeros((1, 3, 32, 32), dtype))


def loops() -> list[Any]:
    """Return every compiled loop of the Numba backend."""
    from ..kernels.jit.compile import Loop
    found = {id(value): value for name, module in list(sys.modules.items())
             if name.startswith("fastconv.kernels.jit.") for value in vars(module).values() if isinstance(value, Loop)}
    return list(found.values())


@contextlib.contextmanager
def both_variants() -> Iterator[None]:
    """Run each loop alone and shared, however small its work is; only for calls whose results nobody needs."""
    from ..kernels.jit.compile import Loop
    on = Loop.on

    def both(loop: Any, n_threads: int, dtype: Any = None, *work: int) -> Callable[..., Any]:
        def run(*arguments: Any) -> Any:
            on(loop, 1, dtype)(*arguments)
            return on(loop, 2, dtype)(*arguments)
        return run

    setattr(Loop, "on", both)  # noqa: B010
    try:
        yield
    finally:
        setattr(Loop, "on", on)  # noqa: B010
