"""Compiled convolutions against the reference: the large shapes of real networks; small ones are in ../properties."""

from __future__ import annotations

import pytest
from kernels import harness
from kernels.harness import assert_close, sample, sum_bound
from kernels.test_convolution import Case

# many images, many weights, a large image, and the layers of DeepConvNet
LARGE = [
    Case((70, 9, 8, 3), (5, 3, 3), pad=(1, 1)),
    Case((1, 7, 7, 64), (130, 3, 3), pad=(1, 1)),
    Case((2, 4, 4, 96), (100, 5, 3), stride=(2, 1), pad=(2, 1), groups=2),
    Case((1, 70, 64, 17), (8, 3, 3), stride=(2, 2), pad=(1, 1)),
    Case((1, 61, 67, 3), (20, 11, 7), stride=(4, 3), pad=(2, 2)),
    Case((3, 28, 28, 1), (16, 3, 3), pad=(1, 1)),
    Case((3, 28, 28, 16), (16, 3, 3), pad=(1, 1)),
    Case((3, 14, 14, 16), (32, 3, 3), pad=(1, 1)),
    Case((3, 14, 14, 32), (32, 3, 3), pad=(2, 2)),
    Case((3, 8, 8, 32), (64, 3, 3), pad=(1, 1)),
    Case((3, 8, 8, 64), (64, 3, 3), pad=(1, 1)),
    # sums long enough for tiles of several lines, and outputs that are no multiple of such
    Case((1, 11, 13, 176), (70, 1, 1)),
    Case((2, 15, 13, 40), (144, 3, 3), stride=(2, 2), pad=(1, 1)),
    Case((1, 9, 14, 128), (144, 3, 1), groups=2),
    Case((2, 7, 7, 512), (64, 1, 1)),
    Case((3, 28, 20, 130), (130, 3, 3), pad=(1, 1), groups=130),
]


def check(run, case, dtype):
    """Compare the three operations with the reference in float64."""
    x, weight, bias, dout = sample(*case.x), sample(*case.weight), sample(case.filters[0]), sample(*case.out)
    calls = [
        ("convolution_forward", (x, weight, bias), [case.out], weight[0].size + 1),
        ("convolution_backward_data", (dout, weight), [case.x], weight[:, 0].size),
        ("convolution_backward_weight", (x, dout), [case.weight, bias.shape], dout[..., 0].size),
    ]
    for op, inputs, outputs, terms in calls:
        results = (
            run(op, *(a.astype(dtype) for a in inputs), *case.geometry, outputs=outputs),
            harness.run("reference", op, *inputs, *case.geometry, outputs=outputs),
            harness.run("reference", op, *map(abs, inputs), *case.geometry, outputs=outputs),
        )
        if len(outputs) == 1:
            results = ([result] for result in results)
        for actual, expected, magnitude in zip(*results, strict=True):
            assert_close(actual, expected, sum_bound(terms, magnitude, dtype))


@pytest.mark.parametrize("case", LARGE, ids=lambda case: "-".join(map(str, case)).replace(" ", ""))
def test_large_shape(run_compiled, dtype, case):
    check(run_compiled, case, dtype)
