"""Convolution and its two gradients."""
from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np

from .. import book
from ..workload import Maker, Runner, Workload, of
from .kernels import Call, kernel_workload
from .layouts import HAS_TORCH, TORCH, from_nchw, laid_out, pin_torch, to_book, to_torch
from .shapes import CONVOLUTIONS, ConvolutionShape

HEADLINES = ("deepconvnet-1", "deepconvnet-2", "deepconvnet-6")


def rows() -> list[Workload]:
    """Return three rows per shape."""
    found = []
    for shape in CONVOLUTIONS:
        for op, make, of_book, of_torch in (
            ("convolution_forward", _forward, _book_forward, _torch_forward),
            ("convolution_backward_data", _data, _book_data, partial(_torch_backward, 0)),
            ("convolution_backward_weight", _weight, _book_weight, partial(_torch_backward, 1)),
        ):
            others: dict[str, Maker] = {} if shape.groups > 1 else {"book": partial(of_book, shape)}
            if HAS_TORCH:
                others |= {layout: partial(of_torch, layout, shape) for layout in TORCH}
            found.append(kernel_workload(op, shape.name, "convolution", partial(make, shape), flops=_flops(shape),
                                         others=others, headline=shape.name in HEADLINES))
    return found


def _flops(s: ConvolutionShape) -> float:
    return 2.0 * float(np.prod(s.out)) * float(np.prod(s.weight[1:]))


def _geometry(s: ConvolutionShape) -> tuple[Any, ...]:
    return (s.stride, s.stride), (s.pad, s.pad), (1, 1), s.groups


def _forward(s: ConvolutionShape, rng: np.random.Generator) -> Call:
    x, weight, bias = (rng.standard_normal(size, np.float32) for size in (s.x, s.weight, s.FN))
    return Call((x, weight, bias, *_geometry(s)), [s.out])


def _data(s: ConvolutionShape, rng: np.random.Generator) -> Call:
    dout, weight = (rng.standard_normal(size, np.float32) for size in (s.out, s.weight))
    return Call((dout, weight, *_geometry(s)), [s.x])


def _weight(s: ConvolutionShape, rng: np.random.Generator) -> Call:
    x, dout = (rng.standard_normal(size, np.float32) for size in (s.x, s.out))
    return Call((x, dout, *_geometry(s)), [s.weight, (s.FN,)])


def _book_forward(s: ConvolutionShape, call: Call, n_threads: int) -> Runner:
    x, weight, bias, *_ = call.arguments
    layer = book.Convolution(weight.astype(np.float64), bias.astype(np.float64), s.stride, s.pad)
    images = to_book(x)
    return of(lambda out: [from_nchw(out)], lambda: layer.forward(images))


def _book_data(s: ConvolutionShape, call: Call, n_threads: int) -> Runner:
    dout, weight, *_ = call.arguments
    rows, col_W = dout.reshape(-1, s.FN).astype(np.float64), weight.reshape(s.FN, -1).astype(np.float64)
    N, H, W, C = s.x
    return of(lambda dx: [from_nchw(dx)],
              lambda: book.col2im(rows @ col_W, (N, C, H, W), s.size, s.size, s.stride, s.pad))


def _book_weight(s: ConvolutionShape, call: Call, n_threads: int) -> Runner:
    """Take the column matrix of the forward pass, as the book does."""
    x, dout, *_ = call.arguments
    col = book.im2col(to_book(x), s.size, s.size, s.stride, s.pad)
    rows = dout.reshape(-1, s.FN).astype(np.float64)
    return of(list, lambda: ((col.T @ rows).T.reshape(s.weight), rows.sum(axis=0)))


def _torch_forward(layout: str, s: ConvolutionShape, call: Call, n_threads: int) -> Runner:
    import torch
    pin_torch(n_threads)
    x, weight, bias, stride, pad, dilation, groups = call.arguments
    x, weight, bias = to_torch(x, layout), laid_out(torch.from_numpy(weight), layout), torch.from_numpy(bias)
    return Runner(*_without_gradients(lambda: torch.conv2d(x, weight, bias, stride, pad, dilation, groups),
                                      lambda out: [from_nchw(out)]))


def _torch_backward(which: int, layout: str, s: ConvolutionShape, call: Call, n_threads: int) -> Runner:
    """Return the gradient of the images (`which` 0), or of the filters and the bias (1)."""
    import torch
    pin_torch(n_threads)
    first, second, stride, pad, dilation, groups = call.arguments
    dout, x = (first, np.zeros(s.x, np.float32)) if which == 0 else (second, first)
    weight = second if which == 0 else np.zeros(s.weight, np.float32)
    dout, x, weight = to_torch(dout, layout), to_torch(x, layout), laid_out(torch.from_numpy(weight), layout)
    wanted = [which == 0, which == 1, which == 1]
    backward = torch.ops.aten.convolution_backward
    return Runner(*_without_gradients(
        lambda: backward(dout, x, weight, [s.FN], stride, pad, dilation, False, [0, 0], groups, wanted),
        lambda grads: [from_nchw(grads[0])] if which == 0 else [grads[1].numpy(), grads[2].numpy()]))


def _without_gradients(call: Callable[[], Any], convert: Callable[[Any], list[np.ndarray]]
                       ) -> tuple[Callable[[], Any], Callable[[], list[np.ndarray]]]:
    import torch

    def run() -> Any:
        with torch.no_grad():
            return call()

    return run, lambda: convert(run())
