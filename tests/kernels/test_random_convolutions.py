"""Compiled convolutions against the reference: random shapes, and the large ones of real networks."""

from __future__ import annotations

import numpy as np
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
]


def random_case(seed):
    rng = np.random.default_rng(seed)
    N = rng.choice([0, 1, 2, 3, 5, 8], p=[0.04, 0.2, 0.2, 0.2, 0.2, 0.16])
    groups = rng.choice([1, 1, 1, 2, 3, 5])
    CG = rng.choice([1, 2, 3, 4, 7, 8, 13, 16, 17])
    FG = rng.choice([1, 2, 3, 5, 6, 8, 12, 16, 17, 33])
    filter_size, stride, dilation = rng.integers(1, 6, 2), rng.integers(1, 4, 2), rng.integers(1, 3, 2)
    extent = dilation * (filter_size - 1) + 1
    pad = rng.integers(0, extent)
    H, W = np.maximum(extent - 2 * pad, 1) + rng.integers(0, 20, 2)
    FH, FW = filter_size.tolist()
    pairs = (tuple(pair.tolist()) for pair in (stride, pad, dilation))
    return Case((int(N), int(H), int(W), int(groups * CG)), (int(groups * FG), FH, FW), *pairs, int(groups))


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


@pytest.mark.parametrize("seed", range(300))
def test_random_shape(run_compiled, seed):
    check(run_compiled, random_case(seed), np.float64 if seed % 3 == 0 else np.float32)


@pytest.mark.parametrize("case", LARGE, ids=lambda case: "-".join(map(str, case)).replace(" ", ""))
def test_large_shape(run_compiled, dtype, case):
    check(run_compiled, case, dtype)
