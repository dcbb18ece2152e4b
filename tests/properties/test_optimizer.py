"""Steps of the optimizers on arrays of any shape against their formulas, one number at a time."""
from __future__ import annotations

import naive
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from kernels.harness import assert_close, run
from kernels.test_optimizer import OPTIMIZERS
from properties.strategies import arrays, dtypes, every_backend

shapes = st.lists(st.integers(0, 7), min_size=1, max_size=4).map(tuple) | st.just((1003,))


@every_backend
@pytest.mark.parametrize("op", OPTIMIZERS)
@given(shape=shapes, dtype=dtypes, data=st.data())
def test_step(backend, op, shape, dtype, data):
    hyperparameters, kinds = OPTIMIZERS[op]
    grad, param = data.draw(arrays(*shape)), data.draw(arrays(*shape))
    before = [param] + [abs(a) if kind == "squares" else a
                        for kind, a in ((kind, data.draw(arrays(*shape))) for kind in kinds)]
    after = run(backend, op, grad.astype(dtype), *hyperparameters, outputs=[a.astype(dtype) for a in before])
    expected = np.vectorize(getattr(naive, op), otypes=[np.float64] * len(before))(grad, *hyperparameters, *before)
    after, expected = (after, expected) if kinds else ([after], [expected])
    for actual, target, old in zip(after, expected, before, strict=True):
        size = abs(old) + abs(target) + abs(grad)
        if op in ("adagrad_update", "rmsprop_update") and actual is after[0]:  # h of about 0 makes the step large
            size = size + hyperparameters[0] * abs(grad) / (np.sqrt(expected[1]) + 1e-7)
        assert_close(actual, target, 16 * np.finfo(dtype).eps * size)
