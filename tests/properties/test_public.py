"""Functions, loss and optimizers on arrays that lie in memory in any way: as on contiguous ones; none is written to."""
from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from properties.strategies import arrays, dtypes, every_backend, layouts

from fastconv import dispatch, functions, util
from fastconv.layers import SoftmaxWithLoss
from fastconv.optimizers import OPTIMIZERS

ROWS = (6, 4)
labels = st.one_of(
    st.lists(st.integers(0, 3), min_size=6, max_size=6).map(lambda t: np.array(t, np.uint8)),
    st.lists(st.integers(0, 3), min_size=6, max_size=6).map(np.array),
    st.lists(st.integers(0, 3), min_size=6, max_size=6).map(lambda t: np.eye(4)[t]),
    arrays(*ROWS).map(functions.softmax))

CALLS = {
    **{name: lambda x, t, name=name: getattr(functions, name)(x)
       for name in ("sigmoid", "sigmoid_grad", "relu", "relu_grad", "softmax", "step_function", "identity_function")},
    "sum_squared_error": lambda x, t: functions.sum_squared_error(x, x[::-1]),
    "cross_entropy_error": lambda x, t: functions.cross_entropy_error(abs(x), t),
    "softmax_loss": functions.softmax_loss,
    "smooth_curve": lambda x, t: util.smooth_curve(x[0]),
    "shuffle_dataset": lambda x, t: util.shuffle_dataset(x, t, rng=np.random.default_rng(0))[0],
    "SoftmaxWithLoss": lambda x, t: SoftmaxWithLoss().forward(x, t),
    "smoothed": lambda x, t: SoftmaxWithLoss(0.1).forward(x, t),
    "its gradient": lambda x, t: (lambda layer: (layer.forward(x, t), layer.backward())[1])(SoftmaxWithLoss(0.1)),
}


@every_backend
@pytest.mark.parametrize("name", CALLS)
@given(x=dtypes.flatmap(lambda dtype: arrays(*ROWS, dtype=dtype)), t=labels, data=st.data())
def test_functions(backend, name, x, t, data):
    there = data.draw(layouts(x)), data.draw(layouts(t))
    before = [a.tobytes() for a in there]
    with dispatch.use(backend):
        np.testing.assert_array_equal(CALLS[name](*there), CALLS[name](x, t))
    assert [a.tobytes() for a in there] == before


@every_backend
@pytest.mark.parametrize("rule", sorted(set(OPTIMIZERS) - {"rmsprpo"}))
@given(dtype=dtypes, data=st.data())
def test_optimizers(backend, rule, dtype, data):
    param, grad = (data.draw(arrays(3, 1, 7, dtype=dtype)) for _ in range(2))
    there = data.draw(layouts(param).filter(lambda a: a.flags.writeable))
    with dispatch.use(backend):
        one, other = (OPTIMIZERS[rule]() for _ in range(2))
        for _ in range(2):
            grad_there = data.draw(layouts(grad))
            before = grad_there.tobytes()
            one.update({"p": param}, {"p": grad})
            other.update({"p": there}, {"p": grad_there})
            assert grad_there.tobytes() == before
    np.testing.assert_array_equal(there, param)
