"""Winograd's F(4x4, 3x3) inside the native convolution: where it runs, how exact it is, what it does with nan and inf."""

from __future__ import annotations

import os
import subprocess
import sys

import numpy as np
import pytest
from kernels import harness
from kernels.harness import sample
from kernels.test_convolution import Case
from kernels.test_random_convolutions import check

from fastconv.kernels.native import convolution

CASES = [
    Case((3, 8, 8, 16), (16, 3, 3), pad=(1, 1)),
    Case((2, 13, 11, 16), (17, 3, 3), pad=(1, 1)),  # partial tiles below and right, a partial line of filters
    Case((2, 14, 17, 32), (33, 3, 3)),  # no padding: patches inside the image and over its edge
    Case((2, 12, 9, 48), (16, 3, 3), pad=(2, 0)),
    Case((1, 9, 31, 16), (70, 3, 3), pad=(0, 2)),
    Case((70, 6, 7, 64), (64, 3, 3), pad=(1, 1)),  # many blocks of tiles
    Case((1, 5, 4, 512), (80, 3, 3), pad=(1, 1)),
    Case((5, 3, 3, 16), (16, 3, 3), pad=(2, 2)),
]
cases = pytest.mark.parametrize("case", CASES, ids=lambda case: "-".join(map(str, case)).replace(" ", ""))


@pytest.fixture
def direct():
    """Switch Winograd off inside the block."""
    before = convolution.set_winograd(False)
    yield
    convolution.set_winograd(before)


def forward(x, weight, bias, case):
    return harness.run("native", "convolution_forward", x, weight, bias, *case.geometry, outputs=[case.out])


@cases
def test_agrees_with_the_reference(case):
    check(lambda *args, **outputs: harness.run("native", *args, **outputs), case, np.float32)


@cases
def test_error_is_below_1e_4_of_the_largest_output(case):
    x, weight, dout = (sample(*shape) for shape in (case.x, case.weight, case.out))
    single = [a.astype(np.float32) for a in (x, weight, dout)]
    for op, inputs, outputs in [("convolution_forward", (0, 1, None), case.out),
                                ("convolution_backward_data", (2, 1), case.x)]:
        def result(backend, arrays, op=op, inputs=inputs, outputs=outputs):
            arguments = [None if i is None else arrays[i] for i in inputs]
            return harness.run(backend, op, *arguments, *case.geometry, outputs=[outputs])
        expected = result("reference", (x, weight, dout))
        error = np.abs(result("native", single) - expected).max() / np.abs(expected).max()
        assert error < 1e-4


@pytest.mark.parametrize("case", CASES[:3], ids=str)
def test_it_is_what_runs_and_can_be_switched_off(case):
    x, weight, bias = (sample(*s).astype(np.float32) for s in (case.x, case.weight, case.filters[:1]))
    fast = forward(x, weight, bias, case)
    before = convolution.set_winograd(False)
    try:
        slow = forward(x, weight, bias, case)
    finally:
        assert convolution.set_winograd(before) is False
    assert (fast != slow).any()
    np.testing.assert_allclose(fast, slow, rtol=0, atol=1e-4 * np.abs(slow).max())


def test_environment_switches_it_off():
    program = "from fastconv.kernels.native import convolution; print(convolution.set_winograd(True))"
    for value, expected in (("0", "False"), ("1", "True")):
        done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True,
                              env={**os.environ, "FASTCONV_WINOGRAD": value})
        assert done.stdout.strip() == expected


@pytest.mark.parametrize("value", [np.inf, -np.inf, np.nan, 3e38])
def test_nan_and_inf_reach_only_the_outputs_that_see_them(value, direct):
    case = CASES[0]
    x, weight, bias = (sample(*s).astype(np.float32) for s in (case.x, case.weight, case.filters[:1]))
    x[1, 3, 4, 5] = value
    slow = forward(x, weight, bias, case)
    convolution.set_winograd(True)
    fast = forward(x, weight, bias, case)
    np.testing.assert_array_equal(np.isfinite(fast), np.isfinite(slow))
    np.testing.assert_allclose(fast, slow, rtol=1e-4, atol=1e-4)
    seen = np.zeros((8, 8), bool)
    seen[2:5, 3:6] = True
    assert np.isfinite(fast[[0, 2]]).all() and np.isfinite(fast[1][~seen]).all()
