"""Run kernels, layers and a network on arrays that end, or begin, at a page which nobody may touch.

``python guard_pages.py {end,start} [overrun | underrun | input]``: a kernel that reads or writes outside of its arrays,
or writes to an input, dies of it (SIGSEGV). The last word does so on purpose. Linux.
"""
from __future__ import annotations

import ctypes
import mmap
import sys
from itertools import product

import numpy as np
from kernels import test_gemm, test_im2col, test_lrn, test_pooling
from kernels.test_convolution import CASES
from kernels.test_large_convolutions import LARGE
from kernels.test_optimizer import OPTIMIZERS
from layers.zoo import LAYERS, make, results

from fastconv import Network, buffers, dispatch
from fastconv.layers import Affine, BatchNormalization, Convolution, Pooling, Relu

PROT_NONE, PROT_READ, PROT_BOTH = 0, 1, 3

libc = ctypes.CDLL(None, use_errno=True)
libc.mmap.restype = ctypes.c_void_p
libc.mmap.argtypes = ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int, ctypes.c_int, ctypes.c_int, ctypes.c_long
libc.mprotect.argtypes = ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int
libc.munmap.argtypes = ctypes.c_void_p, ctypes.c_size_t


class Memory:
    """Arrays between two forbidden pages, the side `at_end` says next to one; all are given back by `clear`."""

    def __init__(self, at_end):
        self.at_end = at_end
        self.maps = []

    def region(self, size):
        """Return the address of so many bytes, and the pages that they are in."""
        page = mmap.PAGESIZE
        inner = -(-max(size, 1) // page) * page
        base = libc.mmap(None, inner + 2 * page, PROT_BOTH, mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS, -1, 0)
        assert base != ctypes.c_void_p(-1).value, "no memory"
        self.maps.append((base, inner + 2 * page))
        protect(base, page, PROT_NONE)
        protect(base + page + inner, page, PROT_NONE)
        first = base + page
        return first + (inner - size if self.at_end else 0), (first, inner)

    def empty(self, shape, dtype):
        size = int(np.prod(shape)) * np.dtype(dtype).itemsize
        return at(self.region(size)[0], size, shape, dtype)

    def copy(self, x, protection=PROT_BOTH):
        """Return a copy in the strides of `x`."""
        low = sum(min(0, (n - 1) * step) for n, step in zip(x.shape, x.strides, strict=True)) if x.size else 0
        high = x.itemsize + sum(max(0, (n - 1) * step) for n, step in zip(x.shape, x.strides, strict=True))
        size = high - low if x.size else 0
        address, pages = self.region(size)
        found = at(address, size, x.shape, x.dtype, -low, x.strides)
        found[...] = x
        protect(*pages, protection)
        return found

    def input(self, x):
        """Return a copy that may not even be written to; what is no array itself."""
        return self.copy(x, PROT_READ) if isinstance(x, np.ndarray) else x

    def take(self, size):
        """Stand in for `fastconv.buffers.Buffers.take`."""
        return self.empty(size, np.uint8)[:]

    def clear(self):
        while self.maps:
            libc.munmap(*self.maps.pop())


def protect(address, size, protection):
    assert libc.mprotect(address, size, protection) == 0, "mprotect failed"


def at(address, size, shape, dtype, offset=0, strides=None):
    return np.ndarray(shape, dtype, (ctypes.c_char * size).from_address(address), offset, strides)


def random(*shape):
    return np.random.default_rng(shape).normal(0.5, 1, shape)


def convolutions():
    for case in CASES + LARGE:
        x, weight, dout = random(*case.x), random(*case.weight), random(*case.out)
        yield "convolution_forward", [x, weight, random(case.filters[0]), *case.geometry], [case.out]
        yield "convolution_forward", [x, weight, None, *case.geometry], [case.out]
        yield "convolution_backward_data", [dout, weight, *case.geometry], [case.x]
        yield "convolution_backward_weight", [x, dout, *case.geometry], [case.weight, case.filters[:1]]


def pooling():
    for shape, *geometry, ceil_mode in test_pooling.CASES:
        x = random(*shape)
        out = test_pooling.naive._pooled(x, *geometry, ceil_mode)
        dispatch.kernel("max_pooling_forward", "reference")(x, *geometry, out, 1)
        dout = random(*out.shape)
        for kind in ("max", "average"):
            yield f"{kind}_pooling_forward", [x, *geometry], [out.shape]
        yield "max_pooling_backward", [dout, x, out, *geometry], [shape]
        yield "average_pooling_backward", [dout, *geometry], [shape]


def columns():
    for shape, *geometry in test_im2col.CASES:
        col = test_im2col.naive.im2col(random(*shape), *geometry)
        yield "im2col", [random(*shape), *geometry], [col.shape]
        yield "im2col", [random(*shape[::-1]).T, *geometry], [col.shape]
        yield "col2im", [col, *geometry], [shape]


def matrices():
    layouts = list(test_gemm.LAYOUTS.values())
    for m, k, n in test_gemm.SMALL + test_gemm.LARGE:
        for a, b in product(layouts, layouts):
            yield "gemm", [a(random(m, k)), b(random(k, n)), None if k % 2 else random(n)], [(m, n)]
        yield "bias_backward", [random(m, n)], [(n,)]


def rows():
    shapes = [(1, 1), (5, 3), (3, 17), (64, 10), (129, 33), (2, 1000), (1500, 7)]
    for n, k in shapes:
        t = np.arange(n) % k
        yield "softmax_forward", [random(n, k)], [(n, k)]
        yield "softmax_loss_forward", [random(n, k), t], [(n, k), (n,)]
        yield "softmax_loss_backward", [random(n, k), t], [(n, k)]
        yield "batch_normalization_forward", [random(n, k), random(k), random(k), 1e-6], [(n, k), (k,), (k,)]
        statistics = [random(k), random(k), np.square(random(k))]
        yield "batch_normalization_inference", [random(n, k), random(k), *statistics, 1e-6], [(n, k)]
        yield "batch_normalization_backward", [random(n, k), random(n, k), *statistics, 1e-6], [(n, k), (k,), (k,)]


def elementwise():
    for shape in [(1,), (7,), (3, 5), (1025,), (2, 3, 17, 19), (150_001,)]:
        x, y = random(*shape), random(*shape)
        for op in ("relu", "sigmoid"):
            yield f"{op}_forward", [x], [shape]
            yield f"{op}_backward", [x, y], [shape]
        yield "dropout_forward", [x, 12345678901234567890, 0.5], [x > 0, shape]
        yield "dropout_backward", [x, x > 0], [shape]
        for op, (rates, state) in OPTIMIZERS.items():
            yield op, [x, *rates], [np.square(a) for a in (x, *[y] * len(state))]


def responses():
    for shape, *settings in test_lrn.CASES:
        yield "lrn_forward", [random(*shape), *settings], [shape]
        yield "lrn_backward", [random(*shape), random(*shape), *settings], [shape]


CALLS = (convolutions, pooling, columns, matrices, rows, elementwise, responses)


def run_kernels(memory):
    ran = set()
    for calls in CALLS:
        for op, arguments, outputs in calls():
            for dtype, n_threads in product((np.float32, np.float64), (1, 3)):
                given = [memory.input(cast(a, dtype)) for a in arguments]
                made = [memory.copy(cast(a, dtype)) if isinstance(a, np.ndarray) else memory.empty(a, dtype)
                        for a in outputs]
                dispatch.kernel(op, "native")(*given, *made, n_threads)
                memory.clear()
            ran.add(op)
    assert ran == set(dispatch.OPERATIONS), set(dispatch.OPERATIONS) - ran


def cast(a, dtype):
    """Return floating arrays in the dtype, and their strides."""
    if not isinstance(a, np.ndarray) or a.dtype.kind != "f":
        return a
    found = np.empty_like(a, dtype, order="K") if a.flags.forc else None
    if found is None:  # what is spread stays so
        steps = [step // a.itemsize for step in a.strides]
        size = 1 + sum((n - 1) * abs(step) for n, step in zip(a.shape, steps, strict=True))
        first = -sum((n - 1) * step for n, step in zip(a.shape, steps, strict=True) if step < 0)
        bytes_ = np.dtype(dtype).itemsize
        found = np.ndarray(a.shape, dtype, np.empty(size, dtype), first * bytes_, [step * bytes_ for step in steps])
    found[...] = a
    return found


def run_layers(memory):
    """Run the layers, then a network; their results lie beside forbidden pages too."""
    buffers.LEAST = 0
    for name, dtype in product(LAYERS, (np.float32, np.float64)):
        layer, x = make(name, dtype)
        for parameter in ("W", "b", "gamma", "beta"):
            if isinstance(getattr(layer, parameter, None), np.ndarray):
                setattr(layer, parameter, memory.input(getattr(layer, parameter)))
        out = results(layer, memory.input(x))["out"]
        results(layer, memory.input(x), memory.input(np.ones_like(out)))
    for dtype in (np.float32, np.float64):
        network = Network(dtype=dtype)
        for layer in (Convolution(random(16, 3, 3, 3), random(16), pad=1), Relu(), Pooling(2, 2),
                      Convolution(random(7, 16, 3, 2), random(7), (2, 1)), BatchNormalization(np.ones(7), np.zeros(7)),
                      Affine(random(7 * 2 * 4, 10), random(10))):
            network.add(layer)
            for parameter in ("W", "b"):
                if hasattr(layer, parameter):
                    setattr(layer, parameter, memory.input(getattr(layer, parameter)))
        for images in (random(11, 3, 11, 10), (random(11, 3, 11, 10) * 50).clip(0, 255).astype(np.uint8)):
            x, t = memory.input(images), memory.input(np.arange(11) % 10)
            network.predict(x)
            network.gradient(x, t)
            network.gradient(x, t, memory.input(np.array([10, 0, 3])))


def main(side, fault=""):
    memory = Memory(side == "end")
    relu = dispatch.kernel("relu_forward", "native")
    x, out = memory.input(random(5)), memory.empty((5,), np.float64)
    address = out.__array_interface__["data"][0]
    if fault:
        longer = {"overrun": at(address, 48, (6,), np.float64), "underrun": at(address - 8, 48, (6,), np.float64),
                  "input": at(x.__array_interface__["data"][0], 40, (5,), np.float64)}[fault]
        relu(np.ones(len(longer)), longer, 1)
        return
    buffers.buffers = memory  # also where kernels take large working memory
    run_kernels(memory)
    run_layers(memory)
    print("done")


if __name__ == "__main__":
    main(*sys.argv[1:])
