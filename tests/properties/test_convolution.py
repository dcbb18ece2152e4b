"""Convolutions of any geometry: the reference against the definition, the compiled kernels against the reference."""
from __future__ import annotations

from functools import partial

import naive
import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from kernels import harness
from kernels.harness import assert_close, sum_bound
from kernels.test_large_convolutions import check
from properties.strategies import arrays, compiled_backends, convolutions, dtypes


@compiled_backends
@given(case=convolutions(), dtype=dtypes)
def test_compiled_kernels(backend, case, dtype):
    check(partial(harness.run, backend), case, dtype)


@given(case=convolutions(most=3).filter(lambda case: np.prod(case.out) * np.prod(case.weight[1:]) < 5000),
       data=st.data())
def test_reference(case, data):
    x, weight, dout = (data.draw(arrays(*shape)) for shape in (case.x, case.weight, case.out))
    bias = data.draw(st.none() | arrays(case.filters[0]))
    magnitude = 100 * np.prod(case.weight[1:]) * max(np.prod(case.out[:3]), 1)
    calls = [
        ("convolution_forward", (x, weight, bias), [case.out],
         [naive.convolution_forward(x, weight, bias, *case.geometry)]),
        ("convolution_backward_data", (dout, weight), [case.x],
         [naive.convolution_backward_data(dout, weight, case.x, *case.geometry)]),
        ("convolution_backward_weight", (x, dout), [case.weight, case.filters[:1]],
         naive.convolution_backward_weight(x, dout, case.weight, *case.geometry)),
    ]
    for op, inputs, outputs, expected in calls:
        found = harness.run("reference", op, *inputs, *case.geometry, outputs=outputs)
        for a, b in zip([found] if len(outputs) == 1 else found, expected, strict=True):
            assert_close(a, b, sum_bound(2, magnitude, np.float64))
