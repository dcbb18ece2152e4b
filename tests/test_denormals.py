"""Kernels and plans flush denormals to zero on every thread, and the caller's own arithmetic keeps them.

Of Numba's, those that train: plans and optimizers.

Every case is of normal numbers whose results would be denormal; NumPy says so, on the calling thread.
"""
from __future__ import annotations

import platform

import numpy as np
import pytest

from fastconv import dispatch
from fastconv.engine import Network
from fastconv.layers import (
    Affine,
    BatchNormalization,
    Convolution,
    Dropout,
    Pooling,
    Relu,
    Sigmoid,
)
from fastconv.threads import threads

BACKEND = dispatch.backend()

pytestmark = [
    pytest.mark.skipif(BACKEND == "reference", reason="NumPy keeps denormals"),
    pytest.mark.skipif(platform.machine().lower() not in ("x86_64", "amd64", "aarch64", "arm64"),
                       reason="this machine has no mode that flushes denormals"),
]

COUNTS = (1, 2, 3)
TINY = np.finfo(np.float32).tiny
LOW = np.float32(2 * TINY)   # a half of it is normal, a quarter is not
N, SIDE = 500, 20            # images: more than any kernel computes on one thread
ROWS, COLUMNS = 4001, 67


def keeps_denormals():
    scalar = np.float32(1e-30) * np.float32(1e-10)
    vector = np.full(1000, 1e-30, np.float32) * np.full(1000, 1e-10, np.float32)
    return scalar != 0 and bool(np.all(vector != 0)) and float(TINY) * 2.0 ** -910 != 0


def assert_denormal(*values):
    for value in values:
        assert value.dtype == np.float32 and 0 < abs(value).max() < TINY


def full(value, *shape):
    return np.full(shape, value, np.float32)


def corners(c):
    """Return images with one pixel of each 2x2 set."""
    x = full(0, N, c, SIDE, SIDE)
    x[:, :, ::2, ::2] = LOW
    return x


def far_below():
    """Return scores whose softmax is nearly 0 but for the first class."""
    scores = full(-100, ROWS, COLUMNS)
    scores[:, 0] = 0
    return scores


# ---- kernels: arguments and outputs; the first output must be zero

def last(shape):
    return [np.full(shape, np.nan, np.float32)]


KERNELS = {
    "gemm": lambda: ((full(1e-20, ROWS, 24), full(1e-20, 24, COLUMNS), None), last((ROWS, COLUMNS))),
    "convolution_forward": lambda: (
        (full(1e-21, N, SIDE, SIDE, 16), full(1e-20, 16, 16, 3, 3), None, (1, 1), (1, 1), (1, 1), 1),
        last((N, SIDE, SIDE, 16))),
    "relu_forward": lambda: ((full(TINY / 2, ROWS, COLUMNS),), last((ROWS, COLUMNS))),
    "sigmoid_forward": lambda: ((full(-100, ROWS, COLUMNS),), last((ROWS, COLUMNS))),
    "sigmoid_backward": lambda: ((full(LOW, ROWS, COLUMNS), full(0.5, ROWS, COLUMNS)), last((ROWS, COLUMNS))),
    "batch_normalization_inference": lambda: (
        (full(LOW, ROWS, COLUMNS), full(0.1, COLUMNS), full(0, COLUMNS), full(0, COLUMNS), full(1, COLUMNS), 1e-7),
        last((ROWS, COLUMNS))),
    "average_pooling_forward": lambda: (
        (np.ascontiguousarray(corners(16).transpose(0, 2, 3, 1)), (2, 2), (2, 2), (0, 0)),
        last((N, SIDE // 2, SIDE // 2, 16))),
    "average_pooling_backward": lambda: (
        (full(LOW, N, SIDE // 2, SIDE // 2, 16), (2, 2), (2, 2), (0, 0)), last((N, SIDE, SIDE, 16))),
    "sgd_update": lambda: ((full(LOW, ROWS, COLUMNS), 0.1), [full(0, ROWS, COLUMNS)]),
}


@pytest.mark.parametrize("name", ["sgd_update"] if BACKEND == "numba" else KERNELS)
@pytest.mark.parametrize("n_threads", COUNTS)
def test_kernels(name, n_threads):
    arguments, outputs = KERNELS[name]()
    dispatch.kernel(name, BACKEND)(*arguments, *outputs, n_threads)
    assert not outputs[0].any()
    assert keeps_denormals()


@pytest.mark.skipif(BACKEND == "numba", reason="Numba's flush where they train")
@pytest.mark.parametrize("n_threads", COUNTS)
def test_softmax(n_threads):
    out = np.full((ROWS, COLUMNS), np.nan, np.float32)
    dispatch.kernel("softmax_forward", BACKEND)(far_below(), out, n_threads)
    assert (out[:, 0] == 1).all() and not out[:, 1:].any()
    assert keeps_denormals()


def test_numpy_gives_denormals_for_the_same():
    """Else the tests above would say nothing."""
    assert_denormal(full(1e-20, 8) * full(1e-20, 8), full(1e-20, 1, 8) @ full(1e-20, 8, 1),
                    144 * full(1e-21, 1) * full(1e-20, 1), full(TINY / 2, 1), np.exp(full(-100, 1)),
                    LOW * full(0.25, 1), LOW * full(0.1, 1))


# ---- plans

def chain(*layers):
    network = Network()
    for layer in layers:
        network.add(layer)
    return network


def convolution(*after, inputs=16):
    return chain(Convolution(full(1e-20, 16, inputs, 3, 3), full(0, 16), 1, 1), *after)


# network, samples: all scores are zero
PLANS = {
    "affine": lambda: (chain(Affine(full(1e-20, 64, 16), full(0, 16)), Relu()), full(1e-20, N, 64)),
    "convolution by Winograd": lambda: (convolution(), full(1e-21, N, 16, SIDE, SIDE)),
    "convolution": lambda: (convolution(inputs=3), full(1e-21, N, 3, SIDE, SIDE)),
    "convolution + relu + pooling": lambda: (convolution(Relu(), Pooling(2, 2, 2)), full(1e-21, N, 16, SIDE, SIDE)),
    "dropout": lambda: (chain(Dropout(0.75)), full(LOW, N, 1000)),
    "sigmoid": lambda: (chain(Sigmoid()), full(-100, N, 1000)),
    "average pooling": lambda: (chain(Pooling(2, 2, 2, mode="average")), corners(3)),
    "normalization": lambda: (
        chain(BatchNormalization(full(0.1, 64), full(0, 64), running_mean=full(0, 64), running_var=full(1, 64))),
        full(LOW, N, 64)),
}


@pytest.mark.parametrize("name", PLANS)
@pytest.mark.parametrize("n_threads", COUNTS)
def test_predictions(name, n_threads):
    network, x = PLANS[name]()
    with threads(n_threads):
        y = network.predict(x)
    assert len(network._plans._plans) == 1
    assert not y.any()
    assert keeps_denormals()


@pytest.mark.parametrize("n_threads", COUNTS)
def test_gradients(n_threads):
    """dW = x^T dout; the products of LOW and the loss's gradients (below 1 / N) are denormal."""
    rng = np.random.default_rng(0)
    network = chain(Affine(rng.normal(0, 0.1, (64, 10)), np.zeros(10)))
    x, t = full(LOW, N, 64), rng.integers(0, 3, N)
    dout = network.predict(x) * 0 + np.float32(0.1)
    dout[np.arange(N), t] -= 1
    assert_denormal(x.T @ (dout / np.float32(N)))
    with threads(n_threads):
        gradients = network.gradient(x, t)
    assert not gradients["W1"].any() and gradients["b1"].all()
    assert keeps_denormals()


@pytest.mark.parametrize("n_threads", COUNTS)
def test_gradients_of_a_convolution(n_threads):
    rng = np.random.default_rng(0)
    network = convolution(Relu(), Affine(full(0.01, 16 * SIDE * SIDE, 10), np.zeros(10)))
    network.layers[0].b[:] = 1
    t = rng.integers(0, 10, N)
    with threads(n_threads):
        # douts are around 1e-5 or 0: a denormal product for each pixel
        gradients = network.gradient(full(LOW, N, 16, SIDE, SIDE), t)
    assert not gradients["W1"].any() and gradients["W2"].any()
    assert keeps_denormals()


@pytest.mark.parametrize("n_threads", COUNTS)
def test_an_error_gives_the_mode_back(n_threads):
    network, x = PLANS["affine"]()
    with threads(n_threads), pytest.raises(ValueError):
        network.gradient(x, np.full(N, 99))
    assert keeps_denormals()


@pytest.mark.skipif(BACKEND != "numba", reason="these threads are Numba's")
def test_loops_of_others_on_the_same_threads_keep_denormals():
    import numba

    @numba.njit(parallel=True)
    def products(x, y, out):
        for i in numba.prange(x.size):
            out[i] = x[i] * y[i]

    network, x = PLANS["affine"]()
    out = np.zeros(10_000, np.float32)
    with threads(2):
        network.predict(x)
        products(np.full_like(out, 1e-30), np.full_like(out, 1e-10), out)
    assert (out != 0).all()
