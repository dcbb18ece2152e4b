"""Long calls are made in parts, which give what the whole call gives, and Ctrl-C ends them after the running part."""
from __future__ import annotations

import os
import signal
import threading

import numpy as np
import pytest

from fastconv import Affine, Convolution, dispatch, im2col, long_calls
from fastconv.dispatch import kernels

WORK = 1 << 14  # of a part here: that of a toy
TOLERANCE = {np.float32: 2e-5, np.float64: 1e-12}

CONVOLUTIONS = [  # x (N,H,W,C), (FN,FH,FW), stride, pad, dilation, groups
    ((7, 9, 8, 3), (5, 3, 3), (1, 1), (1, 1), (1, 1), 1),
    ((1, 37, 21, 16), (16, 3, 3), (1, 1), (1, 1), (1, 1), 1),
    ((1, 37, 21, 16), (33, 3, 3), (1, 1), (0, 0), (1, 1), 1),
    ((2, 30, 21, 17), (16, 5, 5), (1, 1), (2, 2), (1, 1), 1),
    ((1, 41, 23, 6), (16, 3, 5), (2, 3), (1, 2), (1, 1), 1),
    ((1, 41, 23, 6), (16, 3, 3), (3, 1), (4, 0), (2, 1), 1),
    ((1, 35, 24, 32), (32, 3, 3), (1, 1), (1, 1), (1, 1), 2),
    ((1, 30, 20, 37), (37, 3, 3), (1, 1), (1, 1), (1, 1), 37),
    ((1, 64, 40, 4), (8, 1, 1), (2, 2), (0, 0), (1, 1), 1),
    ((2, 24, 24, 64), (64, 3, 3), (1, 1), (1, 1), (1, 1), 1),
]


@pytest.fixture
def parts(monkeypatch):
    """Cut calls as if these were little."""
    monkeypatch.setattr(long_calls, "WORK", WORK)
    monkeypatch.setattr(long_calls, "MOVED", 1 << 12)
    monkeypatch.setattr(long_calls, "GEMM_ROWS", 8)
    monkeypatch.setattr(long_calls, "GEMM_COLUMNS", 16)


def both(operation, *arguments):
    """Return what an operation writes to the last arguments, given as a list: in parts, and in one call."""
    run, calls = dispatch.kernel(operation, dispatch.backend()), []

    def part(*given):
        calls.append(given)
        run(*given)

    whole = [array.copy() for array in arguments[-1]]
    run(*arguments[:-1], *whole, 2)
    found = [np.full_like(array, np.nan) for array in arguments[-1]]
    long_calls.in_parts(operation, part)(*arguments[:-1], *found, 2)
    assert len(calls) > 1
    return found, whole


def near(found, whole, dtype):
    for a, b in zip(found, whole, strict=True):
        np.testing.assert_allclose(a, b, rtol=0, atol=TOLERANCE[dtype] * max(1, np.abs(b).max()))


@pytest.mark.parametrize("dtype", TOLERANCE)
@pytest.mark.parametrize("case", CONVOLUTIONS, ids=str)
def test_convolutions_in_parts(parts, case, dtype):
    (N, H, W, C), (FN, FH, FW), stride, pad, dilation, groups = case
    rng = np.random.default_rng(0)
    size = [(n + 2 * p - d * (f - 1) - 1) // s + 1
            for n, f, s, p, d in zip((H, W), (FH, FW), stride, pad, dilation, strict=True)]
    x, weight, bias = (rng.normal(0, 1, shape).astype(dtype) for shape in ((N, H, W, C), (FN, C // groups, FH, FW), FN))
    dout = rng.normal(0, 1, (N, *size, FN)).astype(dtype)
    geometry = stride, pad, dilation, groups
    near(*both("convolution_forward", x, weight, bias, *geometry, [np.empty_like(dout)]), dtype)
    near(*both("convolution_backward_data", dout, weight, *geometry, [np.empty_like(x)]), dtype)
    near(*both("convolution_backward_weight", x, dout, *geometry, [np.empty_like(weight), np.empty_like(bias)]), dtype)


@pytest.mark.parametrize("dtype", TOLERANCE)
@pytest.mark.parametrize("size", [(100, 30, 50), (9, 300, 333), (200, 7, 33), (64, 1000, 65), (20, 5000, 16)], ids=str)
@pytest.mark.parametrize("with_bias", [True, False])
def test_products_in_parts(parts, size, dtype, with_bias):
    M, K, N = size
    rng = np.random.default_rng(1)
    a, b = rng.normal(0, 1, (M, K)).astype(dtype), rng.normal(0, 1, (N, K)).astype(dtype).T
    bias = rng.normal(0, 1, N).astype(dtype) if with_bias else None
    found, whole = both("gemm", a, b, bias, [np.empty((M, N), dtype)])
    near(found, whole, dtype)
    np.testing.assert_allclose(whole[0], a.astype(float) @ b + (bias if with_bias else 0), rtol=0, atol=2e-3)


@pytest.mark.parametrize("images", [2, 5])
def test_columns_in_parts(parts, images):
    rng = np.random.default_rng(2)
    x = rng.normal(0, 1, (images, 3, 11, 9))
    col = rng.normal(0, 1, (images * 5 * 4, 3 * 9))
    near(*both("im2col", x, (3, 3), (2, 2), (0, 0), [np.empty_like(col)]), np.float64)
    near(*both("col2im", col, (3, 3), (2, 2), (0, 0), [np.empty_like(x)]), np.float64)


def test_parts_have_the_work_they_should():
    """Whatever the sizes: no more than WORK where images, rows or columns can be cut that small, and nothing twice."""
    maps = np.broadcast_to(np.float32(0), (3, 1000, 1000, 64))
    for each in (1, 1 << 10, 1 << 20, 1 << 30):  # work for a row of an image
        done = np.zeros((3, 1000), int)
        for n, r in long_calls._images_and_rows(maps, 3000 * each):
            done[n, r] += 1
            rows = (n.stop - n.start) * (r.stop - r.start)
            assert rows * each <= long_calls.WORK or rows <= long_calls.TILE_ROWS
        assert (done == 1).all()
    sizes = []
    for M, K, N in ((6000, 6000, 6000), (10**5, 4096, 4096), (64, 10**5, 6000), (600, 10**6, 600), (10**6, 784, 5000)):
        a, b, out = (np.broadcast_to(np.float32(0), shape) for shape in ((M, K), (K, N), (M, N)))

        def run(a, b, bias, out, n_threads):
            sizes.append((a.shape[0], a.shape[1] * b.shape[1]))
            raise StopIteration

        with pytest.raises(StopIteration):
            long_calls.in_parts("gemm", run)(a, b, None, out, 1)
        assert sizes[-1][0] * sizes[-1][1] * 4 <= long_calls.WORK
        assert sizes[-1][0] >= min(M, long_calls.GEMM_ROWS) // 2


@pytest.mark.skipif(os.name != "posix", reason="needs POSIX signals")
@pytest.mark.parametrize("call", ["gemm", "convolution", "gradient", "im2col"])
def test_ctrl_c_ends_a_call_after_the_running_part(parts, monkeypatch, call):
    rng, done = np.random.default_rng(3), []
    operation = {"gemm": "gemm", "convolution": "convolution_forward", "gradient": "convolution_backward_weight",
                 "im2col": "im2col"}[call]
    run = dispatch.kernel(operation, dispatch.backend())

    def watched(*arguments):
        done.append(arguments)
        if len(done) == 3:
            sender = threading.Thread(target=os.kill, args=(os.getpid(), signal.SIGINT))
            sender.start()
            sender.join()
        run(*arguments)

    monkeypatch.setattr(kernels, operation, lambda *given: long_calls.in_parts(operation, watched)(*given, 2))
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    layer = Convolution(rng.normal(0, 1, (8, 3, 3, 3)), np.zeros(8), 1, 1)
    x = rng.normal(0, 1, (20, 3, 16, 16))
    try:
        if call == "gradient":
            layer.forward(x)
        with pytest.raises(KeyboardInterrupt):
            {"gemm": lambda: Affine(rng.normal(0, 1, (200, 100)), np.zeros(100)).forward(rng.normal(0, 1, (500, 200))),
             "convolution": lambda: layer.forward(x),
             "gradient": lambda: layer.backward(np.ones((20, 8, 16, 16))),
             "im2col": lambda: im2col(x, 3, 3)}[call]()
    finally:
        signal.signal(signal.SIGINT, before)
    assert len(done) == 3


def test_layers_call_in_parts(parts, monkeypatch):
    """Through the table that everything goes by."""
    calls = []
    monkeypatch.setattr(dispatch, "kernel", lambda operation, backend: lambda *arguments: calls.append(operation))
    kernels.forget()
    try:
        Convolution(np.ones((8, 3, 3, 3)), np.zeros(8), 1, 1).forward(np.ones((20, 3, 16, 16)))
    finally:
        kernels.forget()
    assert len(calls) > 1 and set(calls) == {"convolution_forward"}


@pytest.mark.parametrize("shape", [(40, 3, 30, 20), (1, 3, 30, 200), (5000,), (7, 999)])
def test_copies_in_parts(parts, shape):
    x = np.random.default_rng(4).normal(0, 1, shape).astype(">f4")
    found = long_calls.copy(x.T, np.float64)
    assert found.flags.c_contiguous and found.dtype == np.float64
    np.testing.assert_array_equal(found, x.T)
