"""What is limited by memory: activations, dropout, softmax and loss, normalization of batches and of channels."""
from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import numpy as np

from .. import book
from ..workload import Maker, Runner, Workload, of
from .kernels import Call, kernel_workload
from .layouts import HAS_TORCH, TORCH, from_nchw, pin_torch, to_torch

MAPS = (100, 28, 28, 16)   # the first activations of DeepConvNet
SCORES = (1000, 1000)      # samples and classes
ROWS = (20_000, 64)        # pixels and channels
RESPONSES = (8, 27, 27, 96)  # the first maps of AlexNet that are normalized across channels
EPS = 1e-6
KEY = 0x0123456789ABCDEF
KEEP_ALL = -1.0            # ratio: the book draws other numbers, the work is the same

Book = Callable[..., Sequence[np.ndarray]]


def rows() -> list[Workload]:
    """Return one row per operation."""
    activations = (
        ("relu_forward", 1, _relu_forward), ("relu_backward", 2, _relu_backward),
        ("sigmoid_forward", 1, lambda x: [1 / (1 + np.exp(-x))]),
        ("sigmoid_backward", 2, lambda dout, out: [dout * (1 - out) * out]),
    )
    found = [kernel_workload(op, "maps", "elementwise", lambda rng, n=n: _normal(rng, MAPS, n), others=_book(formula),
                             headline=op == "relu_forward") for op, n, formula in activations]
    return found + [
        kernel_workload("dropout_forward", "maps", "elementwise", _dropout, others=_book(_book_dropout)),
        kernel_workload("dropout_backward", "maps", "elementwise", _dropout_backward,
                        others=_book(lambda dout, mask: [dout * mask])),
        kernel_workload("softmax_forward", "1000x1000", "loss", lambda rng: _normal(rng, SCORES, 1),
                        others=_book(lambda x: [_softmax(x)])),
        kernel_workload("softmax_loss_forward", "1000x1000", "loss", _loss, others=_book(_book_loss),
                        headline=True),
        kernel_workload("softmax_loss_backward", "1000x1000", "loss", _loss_backward,
                        others=_book(_book_loss_backward)),
        kernel_workload("batch_normalization_forward", "20000x64", "batch normalization", _normalize,
                        others=_book(book.batch_normalization), headline=True),
        kernel_workload("batch_normalization_inference", "20000x64", "batch normalization", _normalize_by,
                        others=_book(lambda x, gamma, beta, mean, var, eps:
                                     [gamma * ((x - mean) / np.sqrt(var + eps)) + beta])),
        kernel_workload("batch_normalization_backward", "20000x64", "batch normalization", _normalize_backward,
                        others=_book(book.batch_normalization_backward)),
        kernel_workload("lrn_forward", "alexnet-1", "local response normalization", partial(_responses, n=1),
                        others=_torch(_torch_lrn)),
        kernel_workload("lrn_backward", "alexnet-1", "local response normalization", partial(_responses, n=2),
                        others=_torch(_torch_lrn_backward)),
    ]


def _book(formula: Book) -> dict[str, Maker]:
    """Return the implementation that evaluates `formula` on the kernel's arguments in float64."""
    def make(call: Call, n_threads: int) -> Runner:
        arguments: list[Any] = [a.astype(np.float64) if isinstance(a, np.ndarray) and a.dtype == np.float32 else a
                                for a in call.arguments]
        return Runner(lambda: formula(*arguments), lambda: formula(*arguments))

    return {"book": make}


def _torch(run: Callable[[str, Call, int], Runner]) -> dict[str, Maker]:
    """Return PyTorch in both its layouts, where it is installed."""
    return {layout: partial(run, layout) for layout in TORCH} if HAS_TORCH else {}


def _normal(rng: np.random.Generator, size: tuple[int, ...], n: int) -> Call:
    return Call([rng.standard_normal(size, np.float32) for _ in range(n)], [size])


def _relu_forward(x: np.ndarray) -> list[np.ndarray]:
    return [book.Relu().forward(x)]


def _relu_backward(dout: np.ndarray, out: np.ndarray) -> list[np.ndarray]:
    dx = dout.copy()
    dx[out <= 0] = 0
    return [dx]


def _dropout(rng: np.random.Generator) -> Call:
    return Call((rng.standard_normal(MAPS, np.float32), KEY, KEEP_ALL), [np.zeros(MAPS, bool), MAPS])


def _dropout_backward(rng: np.random.Generator) -> Call:
    return Call((rng.standard_normal(MAPS, np.float32), rng.random(MAPS) > 0.5), [MAPS])


def _book_dropout(x: np.ndarray, key: int, ratio: float) -> list[np.ndarray]:
    mask = np.random.rand(*x.shape) > ratio
    return [mask, x * mask]


def _softmax(x: np.ndarray) -> np.ndarray:
    e = np.exp(x - x.max(axis=1, keepdims=True))
    return e / e.sum(axis=1, keepdims=True)


def _labels(rng: np.random.Generator) -> np.ndarray:
    return rng.integers(0, SCORES[1], SCORES[0])


def _loss(rng: np.random.Generator) -> Call:
    return Call((rng.standard_normal(SCORES, np.float32), _labels(rng)), [SCORES, SCORES[:1]])


def _book_loss(x: np.ndarray, t: np.ndarray) -> list[np.ndarray]:
    y = _softmax(x)
    return [y, -np.log(y[np.arange(len(t)), t] + 1e-7)]


def _loss_backward(rng: np.random.Generator) -> Call:
    return Call((_softmax(rng.standard_normal(SCORES, np.float32)), _labels(rng)), [SCORES])


def _book_loss_backward(y: np.ndarray, t: np.ndarray) -> list[np.ndarray]:
    dx = y.copy()
    dx[np.arange(len(t)), t] -= 1
    return [dx / len(t)]


def _columns(rng: np.random.Generator, n: int) -> list[np.ndarray]:
    """Return n vectors of positive numbers, one for each column."""
    return [rng.random(ROWS[1], np.float32) + np.float32(0.5) for _ in range(n)]


def _normalize(rng: np.random.Generator) -> Call:
    x = 3 + rng.standard_normal(ROWS, np.float32)
    return Call((x, *_columns(rng, 2), EPS), [ROWS, ROWS[1:], ROWS[1:]])


def _normalize_by(rng: np.random.Generator) -> Call:
    return Call((rng.standard_normal(ROWS, np.float32), *_columns(rng, 4), EPS), [ROWS])


def _normalize_backward(rng: np.random.Generator) -> Call:
    dout, x = (rng.standard_normal(ROWS, np.float32) for _ in range(2))
    return Call((dout, x, *_columns(rng, 1), x.mean(axis=0), x.var(axis=0), EPS), [ROWS, ROWS[1:], ROWS[1:]])


def _responses(rng: np.random.Generator, n: int) -> Call:
    arrays = [rng.standard_normal(RESPONSES, np.float32) for _ in range(n)]
    return Call((*arrays, 5, 2.0, 1e-4, 0.75), [RESPONSES])


def _torch_lrn(layout: str, call: Call, n_threads: int) -> Runner:
    import torch
    pin_torch(n_threads)
    x, *settings = call.arguments
    x, (n, k, alpha, beta) = to_torch(x, layout), settings
    return of(lambda out: [from_nchw(out)], lambda: torch.nn.functional.local_response_norm(x, n, alpha, beta, k))


def _torch_lrn_backward(layout: str, call: Call, n_threads: int) -> Runner:
    """Backwards alone: the graph of the forward pass is kept."""
    import torch
    pin_torch(n_threads)
    dout, x, n, k, alpha, beta = call.arguments
    dout, x = to_torch(dout, layout), to_torch(x, layout).requires_grad_()
    out = torch.nn.functional.local_response_norm(x, n, alpha, beta, k)
    return of(lambda dx: [from_nchw(dx[0])], lambda: torch.autograd.grad(out, x, dout, retain_graph=True))
