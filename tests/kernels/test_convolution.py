"""Convolution against its definition."""

from __future__ import annotations

from functools import cache
from typing import NamedTuple

import naive
import numpy as np
import pytest
from kernels.harness import assert_close, sample, sum_bound


class Case(NamedTuple):
    x: tuple[int, int, int, int]  # N H W C
    filters: tuple[int, int, int]  # FN FH FW
    stride: tuple[int, int] = (1, 1)
    pad: tuple[int, int] = (0, 0)
    dilation: tuple[int, int] = (1, 1)
    groups: int = 1

    @property
    def weight(self):
        FN, FH, FW = self.filters
        return FN, self.x[3] // self.groups, FH, FW

    @property
    def out(self):
        sizes = naive.output_size(self.x[1:3], self.filters[1:], self.stride, self.pad, self.dilation)
        return self.x[0], *sizes, self.filters[0]

    @property
    def geometry(self):
        return self.stride, self.pad, self.dilation, self.groups


CASES = [
    Case((1, 1, 1, 1), (1, 1, 1)),
    Case((2, 6, 5, 3), (5, 3, 3)),
    Case((2, 4, 7, 17), (17, 1, 1)),
    Case((1, 5, 4, 1), (17, 3, 3), pad=(1, 1)),
    Case((1, 4, 9, 17), (1, 2, 3), pad=(0, 2)),
    Case((1, 8, 9, 3), (5, 7, 7), pad=(3, 3)),
    Case((2, 8, 7, 5), (3, 3, 2), stride=(2, 3)),  # stride does not divide
    Case((2, 8, 10, 3), (5, 2, 2), stride=(3, 4)),  # stride larger than the filter
    Case((1, 9, 8, 5), (3, 1, 1), stride=(2, 2), pad=(1, 0)),
    Case((1, 9, 8, 3), (5, 3, 3), stride=(2, 1), pad=(2, 1), dilation=(2, 3)),
    Case((2, 7, 5, 3), (5, 9, 7), pad=(1, 1)),  # filter as large as the padded image: one output pixel
    Case((1, 3, 3, 2), (3, 7, 5), pad=(4, 3)),  # filter larger than the image
    Case((1, 5, 5, 3), (3, 3, 3), pad=(4, 4)),  # outputs that see nothing but padding
    Case((2, 5, 6, 6), (4, 3, 2), pad=(1, 0), groups=2),
    Case((2, 6, 5, 5), (5, 3, 3), pad=(1, 1), groups=5),  # depthwise
    Case((1, 6, 7, 3), (6, 3, 3), stride=(2, 2), pad=(1, 1), groups=3),  # depthwise, two filters per channel
    Case((2, 6, 5, 37), (37, 3, 3), pad=(1, 1), groups=37),  # depthwise, lines of channels and some left over
    Case((1, 9, 8, 64), (64, 5, 5), stride=(2, 2), pad=(2, 2), groups=64),
    Case((2, 7, 9, 17), (17, 3, 3), pad=(2, 1), dilation=(2, 2), groups=17),
    Case((2, 5, 6, 19), (19, 2, 3), stride=(3, 4), groups=19),  # pixels of dx that no filter reaches
    Case((1, 7, 1, 32), (32, 3, 1), groups=32),  # narrower than the pixels that are taken together
    Case((1, 4, 3, 33), (33, 1, 1), groups=33),
    Case((1, 6, 7, 18), (18, 9, 10), pad=(4, 5), groups=18),  # more taps than any network's
    Case((0, 5, 6, 20), (20, 3, 3), pad=(1, 1), groups=20),
    Case((1, 9, 7, 20), (20, 5, 2), stride=(2, 1), pad=(2, 1), dilation=(1, 3), groups=20),
    Case((1, 6, 5, 16), (32, 3, 3), pad=(1, 1), dilation=(1, 2), groups=2),
    Case((2, 1, 33, 2), (8, 1, 5), pad=(0, 2)),
    Case((2, 33, 1, 2), (6, 5, 1), stride=(3, 1)),
    Case((2, 1, 2, 3), (5, 1, 2), stride=(2, 3)),  # stride larger than the image
    Case((0, 6, 5, 3), (5, 3, 3), pad=(1, 1)),
    # one to three outputs of many channels, or their gradients to as few channels
    Case((2, 6, 7, 16), (1, 3, 3), pad=(1, 1)),
    Case((2, 5, 9, 32), (3, 3, 2), stride=(2, 1)),
    Case((2, 4, 3, 16), (2, 1, 1)),  # narrower than the pixels that are taken together
    Case((2, 9, 6, 1), (16, 3, 3), pad=(1, 1)),
    Case((1, 8, 10, 3), (48, 3, 3), stride=(2, 2), pad=(1, 1)),
    Case((1, 6, 8, 2), (16, 3, 3), pad=(1, 1), dilation=(1, 2)),
]
cases = pytest.mark.parametrize("case", CASES, ids=lambda case: "-".join(map(str, case)).replace(" ", ""))


@cache
def data(case):
    """Return x, weight, bias, dout."""
    return sample(*case.x), sample(*case.weight), sample(case.filters[0]), sample(*case.out)


@cache
def expected_forward(case):
    x, weight, bias, _ = data(case)
    out = naive.convolution_forward(x, weight, None, *case.geometry)
    return out, naive.convolution_forward(abs(x), abs(weight), abs(bias), *case.geometry)


@cache
def expected_data(case):
    _, weight, _, dout = data(case)
    dx = naive.convolution_backward_data(dout, weight, case.x, *case.geometry)
    return dx, naive.convolution_backward_data(abs(dout), abs(weight), case.x, *case.geometry)


@cache
def expected_weight(case):
    x, _, _, dout = data(case)
    gradients = naive.convolution_backward_weight(x, dout, case.weight, *case.geometry)
    return gradients, naive.convolution_backward_weight(abs(x), abs(dout), case.weight, *case.geometry)


@cases
@pytest.mark.parametrize("with_bias", [True, False])
def test_forward(run, dtype, case, with_bias):
    x, weight, bias, _ = (a.astype(dtype) for a in data(case))
    out, magnitude = expected_forward(case)
    if not with_bias:
        bias = None
    actual = run("convolution_forward", x, weight, bias, *case.geometry, outputs=[case.out])
    expected = out + bias.astype(np.float64) if with_bias else out
    assert_close(actual, expected, sum_bound(np.prod(case.weight[1:]) + 1, magnitude, dtype))


@cases
def test_backward_data(run, dtype, case):
    _, weight, _, dout = (a.astype(dtype) for a in data(case))
    dx, magnitude = expected_data(case)
    actual = run("convolution_backward_data", dout, weight, *case.geometry, outputs=[case.x])
    assert_close(actual, dx, sum_bound(np.prod(case.filters), magnitude, dtype))


@cases
def test_backward_weight(run, dtype, case):
    x, _, _, dout = (a.astype(dtype) for a in data(case))
    gradients, magnitudes = expected_weight(case)
    outputs = [case.weight, case.filters[:1]]
    actual = run("convolution_backward_weight", x, dout, *case.geometry, outputs=outputs)
    terms = np.prod(case.out[:3])
    for gradient, expected, magnitude in zip(actual, gradients, magnitudes, strict=True):
        assert_close(gradient, expected, sum_bound(terms, magnitude, dtype))


@pytest.mark.filterwarnings("ignore::RuntimeWarning")  # inf - inf
@pytest.mark.parametrize("special", [np.nan, np.inf])
@pytest.mark.parametrize("channels, FN, groups", [(6, 10, 1), (6, 10, 2), (20, 20, 20)])
def test_nan_and_inf_reach_their_own_windows_only(run, dtype, special, channels, FN, groups):
    case = Case((2, 9, 10, channels), (FN, 3, 3), pad=(1, 1), stride=(1, 2), groups=groups)
    x, weight, bias, dout = (a.astype(dtype) for a in data(case))
    x[0, 4, 3, 1] = x[1, 0, 9, 5] = dout[1, 2, 3, 4] = special
    out = run("convolution_forward", x, weight, bias, *case.geometry, outputs=[case.out])
    expected = naive.convolution_forward(x, weight, bias, *case.geometry)
    assert 0 < (~np.isfinite(expected)).sum() < expected.size / 2
    np.testing.assert_allclose(out, expected, rtol=1e-3, atol=1e-4)
    dx = run("convolution_backward_data", dout, weight, *case.geometry, outputs=[case.x])
    expected = naive.convolution_backward_data(dout, weight, case.x, *case.geometry)
    np.testing.assert_allclose(dx, expected, rtol=1e-3, atol=1e-4)


def test_known_values(run, dtype):
    """Sums of 2 x 2 blocks of 0..15, worked out by hand."""
    x = np.arange(16, dtype=dtype).reshape(1, 4, 4, 1)
    weight = np.ones((1, 1, 2, 2), dtype)
    out = run("convolution_forward", x, weight, None, (2, 2), (0, 0), (1, 1), 1, outputs=[(1, 2, 2, 1)])
    np.testing.assert_array_equal(out.ravel(), [10, 18, 42, 50])
