"""The explicit column matrix: im2col and col2im."""
from __future__ import annotations

from functools import partial

import numpy as np

from .. import book
from ..workload import Runner, Workload, of
from .kernels import Call, kernel_workload
from .shapes import CONVOLUTIONS, ConvolutionShape

SHAPES = ("deepconvnet-2", "deepconvnet-4", "vgg-4_1")


def rows() -> list[Workload]:
    """Return two rows per shape."""
    found = []
    for s in CONVOLUTIONS:
        if s.name in SHAPES:
            for op, make, of_book in (("im2col", _unroll, _book_unroll), ("col2im", _fold, _book_fold)):
                found.append(kernel_workload(op, s.name, "im2col", partial(make, s),
                                             others={"book": partial(of_book, s)}, headline=s.name == SHAPES[0]))
    return found


def _image(s: ConvolutionShape) -> tuple[int, ...]:
    N, H, W, C = s.x
    return N, C, H, W


def _columns(s: ConvolutionShape) -> tuple[int, ...]:
    N, OH, OW, _ = s.out
    return N * OH * OW, s.x[3] * s.size**2


def _geometry(s: ConvolutionShape) -> tuple[tuple[int, int], ...]:
    return (s.size, s.size), (s.stride, s.stride), (s.pad, s.pad)


def _unroll(s: ConvolutionShape, rng: np.random.Generator) -> Call:
    return Call((rng.standard_normal(_image(s), np.float32), *_geometry(s)), [_columns(s)])


def _fold(s: ConvolutionShape, rng: np.random.Generator) -> Call:
    return Call((rng.standard_normal(_columns(s), np.float32), *_geometry(s)), [_image(s)])


def _book_unroll(s: ConvolutionShape, call: Call, n_threads: int) -> Runner:
    x = call.arguments[0].astype(np.float64)
    return of(lambda col: [col], lambda: book.im2col(x, s.size, s.size, s.stride, s.pad))


def _book_fold(s: ConvolutionShape, call: Call, n_threads: int) -> Runner:
    col = call.arguments[0].astype(np.float64)
    return of(lambda dx: [dx], lambda: book.col2im(col, _image(s), s.size, s.size, s.stride, s.pad))
