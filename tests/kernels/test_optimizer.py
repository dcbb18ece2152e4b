"""Optimizer steps, one number at a time."""

from __future__ import annotations

import naive
import numpy as np
import pytest
from kernels.harness import assert_close, sample

# operation -> hyperparameters, names of the state; h and v of the adaptive methods are sums of squares
OPTIMIZERS = {
    "sgd_update": ((0.01,), []),
    "momentum_update": ((0.01, 0.9), ["velocity"]),
    "nesterov_update": ((0.01, 0.9), ["velocity"]),
    "adagrad_update": ((0.01,), ["squares"]),
    "rmsprop_update": ((0.01, 0.99), ["squares"]),
    "adam_update": ((0.001, 0.9, 0.999), ["velocity", "squares"]),
}
optimizers = pytest.mark.parametrize("op", OPTIMIZERS)


@optimizers
@pytest.mark.parametrize("shape", [(1,), (17,), (3, 5), (2, 3, 4, 5), (40_009,), (0,)])
@pytest.mark.parametrize("fresh", [True, False])
def test_step(run, dtype, op, shape, fresh):
    hyperparameters, kinds = OPTIMIZERS[op]
    grad, param = sample(*shape, seed=1), sample(*shape, seed=2)
    state = [sample(*shape, seed=3 + i) * (not fresh) for i in range(len(kinds))]
    state = [abs(s) if kind == "squares" else s for s, kind in zip(state, kinds, strict=True)]
    before = [param, *state]
    outputs = [a.astype(dtype) for a in before]
    after = run(op, grad.astype(dtype), *hyperparameters, outputs=outputs)
    step = np.vectorize(getattr(naive, op), otypes=[np.float64] * len(before))
    expected = step(grad, *hyperparameters, *before)
    if not kinds:
        after, expected = [after], [expected]
    for actual, target, old in zip(after, expected, before, strict=True):
        # each term of the step is at most |old| + |target|, except in adam's and rmsprop's averages of grad
        size = abs(old) + abs(target) + 0.1 * abs(grad)
        assert_close(actual, target, 8 * np.finfo(dtype).eps * size)


@optimizers
def test_zero_gradient_on_fresh_state_changes_nothing(run, dtype, op):
    hyperparameters, kinds = OPTIMIZERS[op]
    before = [sample(9).astype(dtype)] + [np.zeros(9, dtype) for _ in kinds]
    after = run(op, np.zeros(9, dtype), *hyperparameters, outputs=before)
    for actual, old in zip([after] if not kinds else after, before, strict=True):
        np.testing.assert_array_equal(actual, old)
