"""Matrix products and the sum of columns."""
from __future__ import annotations

from functools import partial

import numpy as np

from ..workload import Maker, Runner, Workload, of
from .kernels import Call, kernel_workload
from .layouts import HAS_TORCH, pin_torch
from .shapes import GEMMS

Size = tuple[int, int, int]

HEADLINES = ("square-1024", "deepconvnet-affine", "tiny")


def rows() -> list[Workload]:
    """Return two rows per size; each product is also taken with `a` transposed in memory, as for weight gradients."""
    found = []
    for name, size in GEMMS.items():
        M, K, N = size
        others: dict[str, Maker] = {"book": _book} | ({"torch": _torch} if HAS_TORCH else {})
        for suffix, transposed in (("", False), ("-transposed", True)):
            found.append(kernel_workload("gemm", name + suffix, "gemm", partial(_product, size, transposed),
                                         flops=2.0 * M * K * N, others=others, headline=name + suffix in HEADLINES))
    found.append(kernel_workload("bias_backward", "20000x64", "gemm", _sums, others={"book": _book_sums}))
    return found


def _product(size: Size, transposed: bool, rng: np.random.Generator) -> Call:
    M, K, N = size
    a = rng.standard_normal((K, M), np.float32).T if transposed else rng.standard_normal((M, K), np.float32)
    return Call((a, rng.standard_normal((K, N), np.float32), rng.standard_normal(N, np.float32)), [(M, N)])


def _sums(rng: np.random.Generator) -> Call:
    return Call((rng.standard_normal((20_000, 64), np.float32),), [(64,)])


def _book(call: Call, n_threads: int) -> Runner:
    a, b, bias = (array.astype(np.float64) for array in call.arguments)
    return of(lambda out: [out], lambda: a @ b + bias)


def _torch(call: Call, n_threads: int) -> Runner:
    import torch
    pin_torch(n_threads)
    a, b, bias = map(torch.from_numpy, call.arguments)
    return of(lambda out: [out.numpy()], lambda: torch.addmm(bias, a, b))


def _book_sums(call: Call, n_threads: int) -> Runner:
    dout = call.arguments[0].astype(np.float64)
    return of(lambda db: [db], lambda: dout.sum(axis=0))
