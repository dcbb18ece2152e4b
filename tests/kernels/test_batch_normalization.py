"""Batch normalization, on values with an offset: a one-pass variance fails there."""

from __future__ import annotations

from functools import cache

import naive
import numpy as np
import pytest
from kernels.harness import assert_close, sample

EPS = 1e-6
cases = [
    pytest.mark.parametrize("shape", [(1, 1), (1, 5), (2, 3), (17, 33), (6000, 6), (400, 101)]),
    pytest.mark.parametrize("offset", [0, 1000]),
]


def on_all_cases(test):
    for mark in cases:
        test = mark(test)
    return test


@cache
def problem(shape, offset):
    """Return x, gamma, beta, dout, mean, var: all exact in float32."""
    x = sample(*shape, offset=offset)
    gamma, beta, dout = sample(shape[1], seed=1), sample(shape[1], seed=2), sample(*shape, seed=3)
    mean, var = (a.astype(np.float32).astype(np.float64) for a in naive.batch_statistics(x))
    return x, gamma, beta, dout, mean, var


@on_all_cases
def test_forward(run, dtype, shape, offset):
    x, gamma, beta, *_ = problem(shape, offset)
    mean, var = naive.batch_statistics(x)
    expected = naive.batch_normalization(x, gamma, beta, mean, var, EPS)
    arrays = (a.astype(dtype) for a in (x, gamma, beta))
    outputs = [shape, mean.shape, var.shape]
    out, actual_mean, actual_var = run("batch_normalization_forward", *arrays, EPS, outputs=outputs)

    # Sums run in float64 or in blocks. So the mean is off by a few roundings of the largest value however
    # many rows there are, the variance by the square of that; both then shift and scale the result.
    eps, sum_eps = np.finfo(dtype).eps, len(x) * np.finfo(np.float64).eps
    shift = (8 * eps + sum_eps) * abs(x).max(axis=0)
    assert_close(actual_mean, mean, shift)
    var_bound = (16 * eps + sum_eps) * var + shift**2
    assert_close(actual_var, var, var_bound)
    std = np.sqrt(var + EPS)
    normalized = abs(x - mean) / std
    bound = abs(gamma) * (2 * shift / std + normalized * var_bound / std**2 + 8 * eps * normalized)
    assert_close(out, expected, bound + 2 * eps * abs(expected) + eps * abs(beta))


@on_all_cases
def test_inference(run, dtype, shape, offset):
    x, gamma, beta, _, mean, var = problem(shape, offset)
    expected = naive.batch_normalization(x, gamma, beta, mean, var, EPS)
    arrays = (a.astype(dtype) for a in (x, gamma, beta, mean, var))
    out = run("batch_normalization_inference", *arrays, EPS, outputs=[shape])
    # gamma * x / std and gamma * mean / std may be rounded apart
    scale = abs(gamma) / np.sqrt(var + EPS)
    assert_close(out, expected, 8 * np.finfo(dtype).eps * (scale * (abs(x) + abs(mean)) + abs(beta)))


@on_all_cases
def test_backward(run, dtype, shape, offset):
    x, gamma, _, dout, mean, var = problem(shape, offset)
    dx, dgamma, dbeta = naive.batch_normalization_backward(dout, x, gamma, mean, var, EPS)
    arrays = (a.astype(dtype) for a in (dout, x, gamma, mean, var))
    outputs = [shape, gamma.shape, gamma.shape]
    actual = run("batch_normalization_backward", *arrays, EPS, outputs=outputs)

    eps = np.finfo(dtype).eps
    M, std = len(x), np.sqrt(var + EPS)
    normalized = abs(x - mean) / std
    dgamma_size, dbeta_size = (abs(dout) * normalized).sum(axis=0), abs(dout).sum(axis=0)
    assert_close(actual[2], dbeta, M * eps * dbeta_size)
    assert_close(actual[1], dgamma, (M + 8) * eps * dgamma_size)
    size = abs(dout) + dbeta_size + normalized * dgamma_size / M
    assert_close(actual[0], dx, abs(gamma) / std * (M + 12) * eps * size)


def test_no_samples(run, dtype):
    gamma, none = np.ones(3, dtype), np.zeros((0, 3), dtype)
    outputs = [(0, 3), (3,), (3,)]
    _, mean, var = run("batch_normalization_forward", none, gamma, gamma, EPS, outputs=outputs)
    _, dgamma, dbeta = run("batch_normalization_backward", none, none, gamma, mean, var, EPS, outputs=outputs)
    for zeros in (mean, var, dgamma, dbeta):
        np.testing.assert_array_equal(zeros, np.zeros(3))


def test_constant_column_becomes_beta(run, dtype):
    x = np.full((50, 2), 1000.5, dtype)
    gamma, beta = np.array([2, 3], dtype), np.array([0.5, -1], dtype)
    out, mean, var = run("batch_normalization_forward", x, gamma, beta, EPS, outputs=[x.shape, (2,), (2,)])
    np.testing.assert_array_equal(mean, [1000.5, 1000.5])
    np.testing.assert_array_equal(var, [0, 0])
    np.testing.assert_array_equal(out, np.broadcast_to(beta, x.shape))
