"""Where other libraries fall into a hole: two thread pools in turns. (Denormal numbers are in networks.py.)"""
from __future__ import annotations

from functools import partial

import numpy as np

from fastconv import dispatch

from .. import book
from ..workload import Maker, Runner, Workload
from .kernels import Call
from .layouts import HAS_TORCH, from_nchw, pin_torch, to_book, to_torch

SIDE, MAPS, FILTERS = 384, (20, 28, 28, 16), (16, 16, 3, 3)
FLOPS_GEMM, FLOPS_CONVOLUTION = 2.0 * SIDE**3, 2.0 * float(np.prod(MAPS)) * float(np.prod(FILTERS[1:]))


def rows() -> list[Workload]:
    """Return NumPy's threaded product and our convolution in turns, and each of them alone."""
    found = []
    for name, product, convolution in (("product-and-convolution", True, True), ("product-alone", True, False),
                                       ("convolution-alone", False, True)):
        makers: dict[str, Maker] = {backend: partial(_ours, backend, product, convolution)
                                    for backend in dispatch.backends()}
        makers["book"] = partial(_book, product, convolution)
        if HAS_TORCH:
            makers["torch"] = partial(_torch, product, convolution)
        found.append(Workload(f"two-pools/{name}", "traps", product * FLOPS_GEMM + convolution * FLOPS_CONVOLUTION,
                              lambda inputs: 0.0, _make, makers, headline=True))
    return found


def _make(rng: np.random.Generator) -> Call:
    return Call([rng.standard_normal(size, np.float32) for size in ((SIDE, SIDE), (SIDE, SIDE), MAPS, FILTERS)], [MAPS])


def _ours(backend: str, product: bool, convolution: bool, call: Call, n_threads: int) -> Runner:
    """NumPy multiplies in its BLAS's threads, the backend convolves in its own."""
    a, b, x, weight = call.arguments
    c, out, forward = np.zeros_like(a), np.zeros(MAPS, np.float32), dispatch.kernel("convolution_forward", backend)

    def run() -> list[np.ndarray]:
        if product:
            np.matmul(a, b, out=c)
        if convolution:
            forward(x, weight, None, (1, 1), (1, 1), (1, 1), 1, out, n_threads)
        return [c, out]

    return Runner(run, run)


def _book(product: bool, convolution: bool, call: Call, n_threads: int) -> Runner:
    a, b, _, weight = (array.astype(np.float64) for array in call.arguments)
    layer, x = book.Convolution(weight, np.zeros(len(weight)), 1, 1), to_book(call.arguments[2])
    c, out = np.zeros_like(a), np.zeros(MAPS)

    def run() -> list[np.ndarray]:
        return [a @ b if product else c, from_nchw(layer.forward(x)) if convolution else out]

    return Runner(run, run)


def _torch(product: bool, convolution: bool, call: Call, n_threads: int) -> Runner:
    """NumPy multiplies, PyTorch convolves."""
    import torch
    pin_torch(n_threads)
    a, b, x, weight = call.arguments
    images, filters, c, out = to_torch(x, "torch-nhwc"), torch.from_numpy(weight), np.zeros_like(a), np.zeros(MAPS)

    def run() -> list[np.ndarray]:
        return [np.matmul(a, b, out=c) if product else c,
                from_nchw(torch.conv2d(images, filters, None, 1, 1)) if convolution else out]

    return Runner(run, run)
