"""Activations, element by element, in chunks that each belong to one thread. The NumPy twin is
../reference/elementwise.py."""
from __future__ import annotations

from numba import prange

from .arguments import Row
from .compile import Loop, inner
from .exponential import exponential
from .turns import runs_of, turns

CHUNK = 1 << 14  # elements per task


def relu_forward(x, out, n_threads):
    """out = 0 where x <= 0, else x; nan passes."""
    _relu_forward.on(n_threads, x.dtype, x.size)(x, out)


def relu_backward(dout, out, dx, n_threads):
    """dx = 0 where out <= 0, else dout; out is what relu_forward wrote."""
    _relu_backward.on(n_threads, dout.dtype, dout.size)(dout, out, dx)


def sigmoid_forward(x, out, n_threads):
    """out = 1 / (1 + exp(-x))."""
    _sigmoid_forward.on(n_threads, x.dtype, x.size)(x, out)


def sigmoid_backward(dout, out, dx, n_threads):
    """dx = dout * (1 - out) * out; out is what sigmoid_forward wrote."""
    _sigmoid_backward.on(n_threads, dout.dtype, dout.size)(dout, out, dx)


@Loop
def _relu_forward(workers: int, x: Row, out: Row):
    runs = runs_of(-(-x.size // CHUNK), workers)
    for worker in prange(workers):
        for part in turns(runs, worker):
            at, end = part * CHUNK, (part + 1) * CHUNK
            relu_gradient(x[at:end], x[at:end], out[at:end])


@Loop
def _relu_backward(workers: int, dout: Row, out: Row, dx: Row):
    runs = runs_of(-(-dout.size // CHUNK), workers)
    for worker in prange(workers):
        for part in turns(runs, worker):
            at, end = part * CHUNK, (part + 1) * CHUNK
            relu_gradient(dout[at:end], out[at:end], dx[at:end])


@Loop
def _sigmoid_forward(workers: int, x: Row, out: Row):
    runs = runs_of(-(-x.size // CHUNK), workers)
    for worker in prange(workers):
        for part in turns(runs, worker):
            at, end = part * CHUNK, (part + 1) * CHUNK
            sigmoid(x[at:end], out[at:end])


@Loop
def _sigmoid_backward(workers: int, dout: Row, out: Row, dx: Row):
    runs = runs_of(-(-dout.size // CHUNK), workers)
    for worker in prange(workers):
        for part in turns(runs, worker):
            at, end = part * CHUNK, (part + 1) * CHUNK
            sigmoid_gradient(dout[at:end], out[at:end], dx[at:end])


@inner
def relu_gradient(dout, out, dx):
    """relu itself where dout is out."""
    zero = dx.dtype.type(0)
    for i in range(dx.size):
        dx[i] = zero if out[i] <= zero else dout[i]


@inner
def sigmoid(x, out):
    one = x.dtype.type(1)
    for i in range(out.size):
        out[i] = one / (one + exponential(-x[i]))


@inner
def sigmoid_gradient(dout, out, dx):
    one = dx.dtype.type(1)
    for i in range(dx.size):
        dx[i] = dout[i] * (one - out[i]) * out[i]
