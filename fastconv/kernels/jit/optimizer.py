"""Parameter updates in one pass over memory, in place. The NumPy twin is ../reference/optimizer.py."""
from __future__ import annotations

import numpy as np
from numba import prange

from .arguments import Row
from .compile import Loop, inner
from .float_mode import flush_denormals, restore_mode
from .turns import runs_of, turns

CHUNK = 1 << 13  # elements per task
EPSILON = 1e-7


def sgd_update(grad, lr, param, n_threads):
    """param -= lr * grad."""
    _sgd.on(n_threads, param.dtype, param.size)(grad, lr, param)


def momentum_update(grad, lr, momentum, param, v, n_threads):
    """v = momentum*v - lr*grad; param += v (Polyak 1964)."""
    _momentum.on(n_threads, param.dtype, param.size)(grad, lr, momentum, param, v)


def nesterov_update(grad, lr, momentum, param, v, n_threads):
    """param += momentum^2 * v - (1 + momentum)*lr*grad; v = momentum*v - lr*grad (Bengio et al., arXiv:1212.0901)."""
    _nesterov.on(n_threads, param.dtype, param.size)(grad, lr, momentum, param, v)


def adagrad_update(grad, lr, param, h, n_threads):
    """h += grad^2; param -= lr*grad / (sqrt(h) + 1e-7) (Duchi et al., JMLR 12, 2011)."""
    _scaled.on(n_threads, param.dtype, param.size)(grad, lr, 1.0, 1.0, param, h)


def rmsprop_update(grad, lr, decay_rate, param, h, n_threads):
    """h = decay_rate*h + (1 - decay_rate)*grad^2; param -= lr*grad / (sqrt(h) + 1e-7) (Tieleman, Hinton 2012)."""
    _scaled.on(n_threads, param.dtype, param.size)(grad, lr, decay_rate, 1 - float(decay_rate), param, h)


def adam_update(grad, lr_t, beta1, beta2, param, m, v, n_threads):
    """m += (1 - beta1)*(grad - m); v += (1 - beta2)*(grad^2 - v); param -= lr_t*m / (sqrt(v) + 1e-7)
    (Kingma, Ba, ICLR 2015; lr_t holds the bias correction)."""
    gains = 1 - float(beta1), 1 - float(beta2)
    _adam.on(n_threads, param.dtype, param.size)(grad, lr_t, *gains, param, m, v)


@Loop
def _sgd(workers: int, grad: Row, lr: float, param: Row):
    runs = runs_of(-(-param.size // CHUNK), workers)
    for worker in prange(workers):
        for part in turns(runs, worker):
            at, end = part * CHUNK, (part + 1) * CHUNK
            sgd(grad[at:end], param.dtype.type(lr), param[at:end])


@Loop
def _momentum(workers: int, grad: Row, lr: float, momentum: float, param: Row, v: Row):
    runs = runs_of(-(-param.size // CHUNK), workers)
    for worker in prange(workers):
        for part in turns(runs, worker):
            at, end = part * CHUNK, (part + 1) * CHUNK
            heavy_ball(grad[at:end], param.dtype.type(lr), param.dtype.type(momentum), param[at:end], v[at:end])


@Loop
def _nesterov(workers: int, grad: Row, lr: float, momentum: float, param: Row, v: Row):
    kind = param.dtype.type
    runs = runs_of(-(-param.size // CHUNK), workers)
    for worker in prange(workers):
        for part in turns(runs, worker):
            at, end = part * CHUNK, (part + 1) * CHUNK
            nesterov(grad[at:end], kind(lr), kind((1 + momentum) * lr), kind(momentum), kind(momentum * momentum),
                     param[at:end], v[at:end])


@Loop
def _scaled(workers: int, grad: Row, lr: float, decay: float, gain: float, param: Row, h: Row):
    kind = param.dtype.type
    runs = runs_of(-(-param.size // CHUNK), workers)
    for worker in prange(workers):
        for part in turns(runs, worker):
            at, end = part * CHUNK, (part + 1) * CHUNK
            scaled(grad[at:end], kind(lr), kind(decay), kind(gain), kind(EPSILON), param[at:end], h[at:end])


@Loop
def _adam(workers: int, grad: Row, lr: float, gain1: float, gain2: float, param: Row, m: Row, v: Row):
    kind = param.dtype.type
    runs = runs_of(-(-param.size // CHUNK), workers)
    for worker in prange(workers):
        for part in turns(runs, worker):
            at, end = part * CHUNK, (part + 1) * CHUNK
            adam(grad[at:end], kind(lr), kind(gain1), kind(gain2), kind(EPSILON), param[at:end], m[at:end], v[at:end])


@inner
def sgd(g, lr, p):
    mode = flush_denormals()
    for i in range(p.size):
        p[i] -= lr * g[i]
    restore_mode(mode)


@inner
def heavy_ball(g, lr, momentum, p, v):
    mode = flush_denormals()
    for i in range(p.size):
        new = momentum * v[i] - lr * g[i]
        v[i] = new
        p[i] += new
    restore_mode(mode)


@inner
def nesterov(g, lr, farther, momentum, squared, p, v):
    """`farther` is (1 + momentum) * lr, `squared` momentum^2."""
    mode = flush_denormals()
    for i in range(p.size):
        old = v[i]
        p[i] += squared * old - farther * g[i]
        v[i] = momentum * old - lr * g[i]
    restore_mode(mode)


@inner
def scaled(g, lr, decay, gain, epsilon, p, h):
    mode = flush_denormals()
    for i in range(p.size):
        new = decay * h[i] + gain * g[i] * g[i]
        h[i] = new
        p[i] -= lr * g[i] / (np.sqrt(new) + epsilon)
    restore_mode(mode)


@inner
def adam(g, lr, gain1, gain2, epsilon, p, m, v):
    mode = flush_denormals()
    for i in range(p.size):
        first, second = m[i] + gain1 * (g[i] - m[i]), v[i] + gain2 * (g[i] * g[i] - v[i])
        m[i], v[i] = first, second
        p[i] -= lr * first / (np.sqrt(second) + epsilon)
    restore_mode(mode)
