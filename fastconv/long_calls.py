"""Calls that would take seconds are made in parts: between two of them Python sees to Ctrl-C and to its other threads.

The cut follows from the sizes alone, never from the number of threads, and so do the bits of the result. Parts of a
convolution are images or, where one image is too much, rows of it: the kernels take any pad, so the rows from r on are
those of ``pad - r * stride``.
"""
from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
from numpy.typing import DTypeLike

WORK = 1 << 36        # multiply-adds of a part, times the bytes of a value: a tenth of a second or two on two cores
MOVED = 1 << 27       # bytes that a part copies
GEMM_ROWS = 512       # of a part, at least: b is packed anew for each
GEMM_COLUMNS = 16     # a line
TILE_ROWS = 4         # Winograd's tiles begin where they would

Kernel = Callable[..., None]


def copy(x: np.ndarray, dtype: DTypeLike) -> np.ndarray:
    """Return a C-contiguous copy of `x`."""
    if x.nbytes <= MOVED:
        return np.array(x, dtype=dtype, order="C")
    out = np.empty(x.shape, dtype)
    axis = int(np.argmax(x.shape))  # one image is cut as well
    for i, last in parts(x.shape[axis], max(1, MOVED * x.shape[axis] // x.nbytes)):
        part = (*[slice(None)] * axis, slice(i, last))
        out[part] = x[part]
    return out


def in_parts(operation: str, run: Kernel) -> Kernel:
    """Return the kernel `run` of the `operation`, or what calls it part by part where it is given much to do."""
    cut = _CUTS.get(operation)
    if cut is None:
        return run

    def call(*arguments: Any) -> None:
        cut(run, *arguments)

    return call


def _gemm(run: Kernel, a: Any, b: Any, bias: Any, out: Any, n_threads: int) -> None:
    work = a.size * b.shape[1] * out.itemsize
    if work <= WORK:
        return run(a, b, bias, out, n_threads)
    (M, N), K = out.shape, a.shape[1]
    rows = min(M, max(GEMM_ROWS, WORK * M // work))
    columns = min(N, max(GEMM_COLUMNS, WORK // (rows * K * out.itemsize)))
    for i, last_i in parts(M, rows):
        if columns == N:
            run(a[i:last_i], b, bias, out[i:last_i], n_threads)
            continue
        for j, last_j in parts(N, columns):
            part = np.empty((last_i - i, last_j - j), out.dtype)
            run(a[i:last_i], b[:, j:last_j], None if bias is None else bias[j:last_j], part, n_threads)
            out[i:last_i, j:last_j] = part


def _convolution_forward(run: Kernel, x: Any, weight: Any, bias: Any, stride: Any, pad: Any, dilation: Any, groups: int,
                         out: Any, n_threads: int) -> None:
    work = out.size * weight[:1].size * out.itemsize
    if work <= WORK:
        return run(x, weight, bias, stride, pad, dilation, groups, out, n_threads)
    for n, r in _images_and_rows(out, work):
        run(x[n], weight, bias, stride, (pad[0] - r.start * stride[0], pad[1]), dilation, groups, out[n, r], n_threads)


def _convolution_backward_data(run: Kernel, dout: Any, weight: Any, stride: Any, pad: Any, dilation: Any, groups: int,
                               dx: Any, n_threads: int) -> None:
    work = dout.size * weight[:1].size * dout.itemsize
    if work <= WORK:
        return run(dout, weight, stride, pad, dilation, groups, dx, n_threads)
    for n, r in _images_and_rows(dx, work):
        run(dout[n], weight, stride, (pad[0] + r.start, pad[1]), dilation, groups, dx[n, r], n_threads)


def _convolution_backward_weight(run: Kernel, x: Any, dout: Any, stride: Any, pad: Any, dilation: Any, groups: int,
                                 dweight: Any, dbias: Any, n_threads: int) -> None:
    work = dout.size * dweight[:1].size * dout.itemsize
    if work <= WORK:
        return run(x, dout, stride, pad, dilation, groups, dweight, dbias, n_threads)
    dweight[...] = dbias[...] = 0
    part, part_bias = np.empty_like(dweight), np.empty_like(dbias)
    for n, r in _images_and_rows(dout, work):
        run(x[n], dout[n, r], stride, (pad[0] - r.start * stride[0], pad[1]), dilation, groups, part, part_bias,
            n_threads)
        dweight += part
        dbias += part_bias


def _im2col(run: Kernel, x: Any, filter_size: Any, stride: Any, pad: Any, col: Any, n_threads: int) -> None:
    if col.nbytes <= MOVED:
        return run(x, filter_size, stride, pad, col, n_threads)
    windows = len(col) // len(x)
    for n, last in parts(len(x), max(1, MOVED * len(x) // col.nbytes)):
        run(x[n:last], filter_size, stride, pad, col[n * windows : last * windows], n_threads)


def _col2im(run: Kernel, col: Any, filter_size: Any, stride: Any, pad: Any, dx: Any, n_threads: int) -> None:
    if col.nbytes <= MOVED:
        return run(col, filter_size, stride, pad, dx, n_threads)
    windows = len(col) // len(dx)
    for n, last in parts(len(dx), max(1, MOVED * len(dx) // col.nbytes)):
        run(col[n * windows : last * windows], filter_size, stride, pad, dx[n:last], n_threads)


_CUTS: dict[str, Callable[..., None]] = {
    "gemm": _gemm,
    "convolution_forward": _convolution_forward,
    "convolution_backward_data": _convolution_backward_data,
    "convolution_backward_weight": _convolution_backward_weight,
    "im2col": _im2col,
    "col2im": _col2im,
}


def _images_and_rows(maps: Any, work: int) -> Iterator[tuple[slice, slice]]:
    """Yield the images and the rows of each part of `maps` (N, H, W, C), for which there is so much work."""
    N, H = maps.shape[:2]
    if N * WORK >= work:
        for n, last in parts(N, WORK * N // work):
            yield slice(n, last), slice(0, H)
        return
    rows = max(TILE_ROWS, WORK * N * H // work // TILE_ROWS * TILE_ROWS)
    for n in range(N):
        for r in range(0, H, rows):
            yield slice(n, n + 1), slice(r, min(H, r + rows))


def parts(size: int, most: int) -> Iterator[tuple[int, int]]:
    """Yield the ends of about equal parts of `size` things, at most so many each."""
    count = -(-size // most)
    for i in range(count):
        yield size * i // count, size * (i + 1) // count
