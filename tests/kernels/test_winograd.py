"""Winograd's F(4x4, 3x3) and F(2x2, 5x5) in compiled convolutions: where, how exact, what becomes of nan and inf."""

from __future__ import annotations

import os
import subprocess
import sys

import numpy as np
import pytest
from kernels import harness
from kernels.harness import sample
from kernels.test_convolution import Case

from fastconv import dispatch
from fastconv.kernels import settings

CASES = [
    Case((3, 8, 8, 16), (16, 3, 3), pad=(1, 1)),
    Case((2, 13, 11, 16), (17, 3, 3), pad=(1, 1)),  # partial tiles below and right, a partial line of filters
    Case((2, 14, 17, 32), (33, 3, 3)),  # no padding: patches inside the image and over its edge
    Case((2, 12, 9, 48), (16, 3, 3), pad=(2, 0)),
    Case((1, 9, 31, 16), (70, 3, 3), pad=(0, 2)),
    Case((70, 6, 7, 64), (64, 3, 3), pad=(1, 1)),  # many blocks of tiles
    Case((1, 5, 4, 512), (80, 3, 3), pad=(1, 1)),
    Case((5, 3, 3, 16), (16, 3, 3), pad=(2, 2)),
    Case((12, 15, 13, 400), (336, 3, 3), pad=(1, 1)),  # weights larger than the caches, several groups of tiles
    Case((5, 14, 14, 400), (321, 3, 3), pad=(1, 1)),
]
NATIVE_CASES = [  # the native kernels' also take groups and 5x5 filters
    Case((3, 8, 8, 16), (16, 5, 5), pad=(2, 2)),
    Case((2, 13, 11, 32), (33, 5, 5), pad=(2, 2)),
    Case((2, 14, 17, 48), (16, 5, 5)),
    Case((9, 27, 25, 64), (32, 5, 5), pad=(0, 4)),
    Case((3, 14, 13, 96), (64, 5, 5), pad=(2, 2), groups=2),
    Case((2, 13, 11, 64), (32, 3, 3), pad=(1, 1), groups=2),
    Case((7, 8, 8, 96), (144, 3, 3), pad=(1, 1), groups=3),  # few tiles at the end: two lines of a group at a time
    Case((5, 12, 14, 640), (672, 3, 3), pad=(1, 1), groups=2),  # weights larger than the caches
]
cases = pytest.mark.parametrize("case", [*CASES, *NATIVE_CASES],
                                ids=lambda case: "-".join(map(str, case)).replace(" ", ""))


@pytest.fixture(params=[name for name in dispatch.backends() if name != "reference"])
def backend(request):
    return request.param


@pytest.fixture
def direct(monkeypatch):
    """Switch Winograd off, until the test switches it on."""
    monkeypatch.setattr(settings, "winograd", False)


def forward(backend, x, weight, bias, case):
    return harness.run(backend, "convolution_forward", x, weight, bias, *case.geometry, outputs=[case.out])


def three_operations(backend, case, x, weight, dout):
    """Return the outputs of forward, data gradient and weight gradient, and the bias gradient."""
    def run(op, *inputs, outputs):
        return harness.run(backend, op, *inputs, *case.geometry, outputs=outputs)
    return (run("convolution_forward", x, weight, None, outputs=[case.out]),
            run("convolution_backward_data", dout, weight, outputs=[case.x]),
            *run("convolution_backward_weight", x, dout, outputs=[case.weight, case.filters[:1]]))


@cases
@pytest.mark.parametrize("dtype, bound", [(np.float32, 1e-4), (np.float64, 2e-13)])
def test_error_is_below_the_documented_bound(backend, case, dtype, bound, monkeypatch):
    """1e-4 of the largest result for float32 data of unit variance; measured: at most 2e-5."""
    monkeypatch.setattr(settings, "winograd", True)
    data = [sample(*shape) for shape in (case.x, case.weight, case.out)]
    for actual, expected in zip(three_operations(backend, case, *(a.astype(dtype) for a in data)),
                                three_operations("reference", case, *data), strict=True):
        assert np.abs(actual - expected).max() < bound * np.abs(expected).max()


@pytest.mark.parametrize("case", [*CASES[:3], CASES[-1], *NATIVE_CASES], ids=str)
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_it_is_what_runs_and_can_be_switched_off(backend, case, dtype, monkeypatch):
    if backend == "numba" and case in NATIVE_CASES:
        pytest.skip("Numba's is for 3x3 filters without groups")
    monkeypatch.setattr(settings, "winograd", True)
    x, weight, bias = (sample(*s).astype(dtype) for s in (case.x, case.weight, case.filters[:1]))
    fast = forward(backend, x, weight, bias, case)
    monkeypatch.setattr(settings, "winograd", False)
    slow = forward(backend, x, weight, bias, case)
    assert (fast != slow).any()
    np.testing.assert_allclose(fast, slow, rtol=0, atol=1e-4 * np.abs(slow).max())


BLANK = [
    Case((5, 28, 28, 16), (16, 3, 3), pad=(1, 1)),
    Case((3, 13, 11, 48), (17, 3, 3), pad=(2, 0)),
    Case((5, 14, 14, 400), (321, 3, 3), pad=(1, 1)),  # weights larger than the caches
    Case((3, 14, 13, 96), (64, 3, 3), pad=(1, 1), groups=2),
    Case((3, 13, 15, 32), (33, 5, 5), pad=(2, 2)),
    Case((1, 40, 3, 16), (16, 3, 3), pad=(1, 1)),
    Case((0, 8, 8, 16), (16, 3, 3), pad=(1, 1)),
]


@pytest.mark.parametrize("case", BLANK, ids=str)
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_what_sees_nothing_but_zeros_is_exactly_the_bias(backend, case, dtype, monkeypatch):
    """As it is by definition: a ReLU behind it lets no gradient pass where rounding would."""
    monkeypatch.setattr(settings, "winograd", True)
    x, weight, bias = (sample(*s).astype(dtype) for s in (case.x, case.weight, case.filters[:1]))
    lit = np.random.default_rng(0).random((*x.shape[:3], 1)) < 0.1
    lit[:, : x.shape[1] // 2, : x.shape[2] // 2] = False
    x = np.where(lit, x, [0.0, -0.0] * (x.shape[3] // 2)).astype(dtype)
    pad = [(0, 0), (case.pad[0],) * 2, (case.pad[1],) * 2]
    windows = np.lib.stride_tricks.sliding_window_view(np.pad(lit[..., 0], pad), case.filters[1:], (1, 2))
    blank = ~windows.any(axis=(3, 4))
    assert blank.any() or len(x) == 0

    out = forward(backend, x, weight, bias, case)
    np.testing.assert_array_equal(out[blank], np.broadcast_to(bias, out[blank].shape))
    expected = forward("reference", x, weight, bias, case)
    np.testing.assert_allclose(out, expected, rtol=0,
                               atol=(1e-4 if dtype is np.float32 else 2e-13) * np.abs(expected).max(initial=1))
    dx = harness.run(backend, "convolution_backward_data", out * 0, weight, *case.geometry, outputs=[case.x])
    assert not np.any(dx)


def test_environment_switches_it_off():
    program = "from fastconv.kernels import settings; print(settings.winograd)"
    for value, expected in (("0", "False"), ("1", "True")):
        done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True,
                              env={**os.environ, "FASTCONV_WINOGRAD": value})
        assert done.stdout.strip() == expected


def test_nan_reaches_only_its_image_where_weights_are_larger_than_the_caches(backend, monkeypatch):
    monkeypatch.setattr(settings, "winograd", True)
    case = CASES[-1]
    x, weight, dout = (sample(*s).astype(np.float32) for s in (case.x, case.weight, case.out))
    x[3, 4, 5, 399] = np.nan
    out, _, dweight, _ = three_operations(backend, case, x, weight, dout)
    assert np.isfinite(out[[0, 1, 2, 4]]).all() and np.isnan(out[3, 3:6, 4:7]).all()
    assert np.isnan(dweight[:, 399]).all() and np.isfinite(dweight[:, :399]).all()


@pytest.mark.parametrize("case", [CASES[0], NATIVE_CASES[0]], ids=str)
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("value", [np.inf, -np.inf, np.nan, 3e38])
def test_nan_and_inf_reach_only_the_outputs_that_see_them(backend, value, dtype, case, direct):
    x, weight, bias = (sample(*s).astype(dtype) for s in (case.x, case.weight, case.filters[:1]))
    x[1, 3, 4, 5] = value if dtype is np.float32 or value != 3e38 else 1e308
    slow = forward(backend, x, weight, bias, case)
    settings.winograd = True
    fast = forward(backend, x, weight, bias, case)
    np.testing.assert_array_equal(np.isfinite(fast), np.isfinite(slow))
    np.testing.assert_allclose(fast, slow, rtol=1e-4, atol=1e-4)
    seen, reach = np.zeros((8, 8), bool), case.filters[1] // 2
    seen[3 - reach:4 + reach, 4 - reach:5 + reach] = True
    assert np.isfinite(fast[[0, 2]]).all() and np.isfinite(fast[1][~seen]).all()


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("value", [np.inf, np.nan])
def test_nan_and_inf_reach_only_the_weights_that_see_them(backend, value, dtype, direct):
    case = CASES[0]
    x, weight, dout = (sample(*s).astype(dtype) for s in (case.x, case.weight, case.out))
    x[1, 3, 4, 5] = value  # one channel: the weights of the others stay finite
    slow = three_operations(backend, case, x, weight, dout)[2]
    settings.winograd = True
    fast = three_operations(backend, case, x, weight, dout)[2]
    np.testing.assert_array_equal(fast, slow)
    assert np.isfinite(np.delete(fast, 5, axis=1)).all() and not np.isfinite(fast[:, 5]).any()
