"""Maximum and average pooling, both ways."""
from __future__ import annotations

from functools import partial
from typing import Any

import numpy as np

from fastconv import dispatch

from .. import book
from ..workload import Maker, Runner, Workload, of
from .kernels import Call, kernel_workload
from .layouts import HAS_TORCH, TORCH, from_nchw, pin_torch, to_book, to_torch
from .shapes import POOLINGS, PoolingShape


def rows() -> list[Workload]:
    """Return four rows per shape; the book pools maxima without padding only."""
    found = []
    for s in POOLINGS:
        for op, make, of_book in (
            ("max_pooling_forward", _forward, _book_forward),
            ("max_pooling_backward", _max_backward, _book_backward),
            ("average_pooling_forward", _forward, None),
            ("average_pooling_backward", _average_backward, None),
        ):
            others: dict[str, Maker] = {"book": partial(of_book, s)} if of_book and s.pad == 0 else {}
            if HAS_TORCH and op.endswith("forward"):
                others |= {layout: partial(_torch_forward, op, layout, s) for layout in TORCH}
            found.append(kernel_workload(op, s.name, "pooling", partial(make, s), others=others,
                                         headline=s is POOLINGS[0] and op.startswith("max")))
    return found


def _geometry(s: PoolingShape) -> tuple[tuple[int, int], ...]:
    return (s.size, s.size), (s.stride, s.stride), (s.pad, s.pad)


def _forward(s: PoolingShape, rng: np.random.Generator) -> Call:
    return Call((rng.standard_normal(s.x, np.float32), *_geometry(s)), [s.out])


def _max_backward(s: PoolingShape, rng: np.random.Generator) -> Call:
    x, dout = (rng.standard_normal(size, np.float32) for size in (s.x, s.out))
    out = np.empty(s.out, np.float32)
    dispatch.kernel("max_pooling_forward", "reference")(x, *_geometry(s), out, 1)
    return Call((dout, x, out, *_geometry(s)), [s.x])


def _average_backward(s: PoolingShape, rng: np.random.Generator) -> Call:
    return Call((rng.standard_normal(s.out, np.float32), *_geometry(s)), [s.x])


def _book_forward(s: PoolingShape, call: Call, n_threads: int) -> Runner:
    layer, images = book.Pooling(s.size, s.size, s.stride), to_book(call.arguments[0])
    return of(lambda out: [from_nchw(out)], lambda: layer.forward(images))


def _book_backward(s: PoolingShape, call: Call, n_threads: int) -> Runner:
    layer, dout = book.Pooling(s.size, s.size, s.stride), to_book(call.arguments[0])
    layer.forward(to_book(call.arguments[1]))
    return of(lambda dx: [from_nchw(dx)], lambda: layer.backward(dout))


def _torch_forward(op: str, layout: str, s: PoolingShape, call: Call, n_threads: int) -> Runner:
    import torch
    pin_torch(n_threads)
    x = to_torch(call.arguments[0], layout)
    function: Any = torch.max_pool2d if op.startswith("max") else torch.nn.functional.avg_pool2d
    return of(lambda out: [from_nchw(out)], lambda: function(x, s.size, s.stride, s.pad))
