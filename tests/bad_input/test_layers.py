"""Layers that get what is no array of their numbers, or of another shape."""
from __future__ import annotations

import numpy as np
import pytest
from bad_input.values import NO_NUMBERS, WORDS, images
from layers.zoo import LAYERS, make

from fastconv.layers import (
    LRN,
    AdaptiveAveragePooling,
    Add,
    Affine,
    BatchNormalization,
    Concat,
    Convolution,
    Dropout,
    Flatten,
    GlobalAveragePooling,
    Pooling,
    Relu,
    SoftmaxWithLoss,
)

pytestmark = pytest.mark.usefixtures("backend")
x, rows = images(2, 3, 8, 8), np.ones((5, 7), np.float32)
W, b = np.ones((4, 3, 3, 3), np.float32), np.zeros(4, np.float32)
wrong = pytest.mark.parametrize("value", NO_NUMBERS.values(), ids=NO_NUMBERS)


@wrong
@pytest.mark.parametrize("name", [name for name in LAYERS if name != "SoftmaxWithLoss"])
def test_x(name, value):
    layer, _ = make(name)
    with pytest.raises((TypeError, ValueError), match=rf"\w+\.forward: .*({WORDS})"):
        layer.forward(value)


@wrong
@pytest.mark.parametrize("name", [name for name in LAYERS if name != "SoftmaxWithLoss"])
def test_dout(name, value):
    layer, example = make(name)
    layer.forward(example)
    with pytest.raises((TypeError, ValueError), match=rf"\w+\.backward: .*({WORDS})"):
        layer.backward(value)


@wrong
@pytest.mark.parametrize("call", [
    lambda v: Convolution(v, b).forward(x),
    lambda v: Convolution(W, [v]).forward(x),
    lambda v: Affine(v, b).forward(rows),
    lambda v: Affine(np.ones((7, 3)), [v]).forward(rows),
    lambda v: BatchNormalization([v], 0.0).forward(x),
    lambda v: BatchNormalization(1.0, [v]).forward(x),
    lambda v: BatchNormalization(1.0, 0.0, 0.9, [v], 1.0).forward(x),
    lambda v: BatchNormalization(1.0, 0.0, 0.9, 0.0, [v]).forward(x, False),
    lambda v: SoftmaxWithLoss().forward(v, [0]),
    lambda v: SoftmaxWithLoss().forward(rows, v),
])
def test_parameters_and_labels(call, value):
    with pytest.raises((TypeError, ValueError), match=rf"\w+\.forward: .*({WORDS})"):
        call(value)


@wrong
@pytest.mark.parametrize("call", [
    lambda v: BatchNormalization(1.0, 0.0, v), lambda v: BatchNormalization(1.0, 0.0, eps=v), lambda v: Dropout(v),
    lambda v: SoftmaxWithLoss(v), lambda v: LRN(5, v), lambda v: LRN(5, 1.0, v), lambda v: LRN(5, 1.0, 1.0, v),
    lambda v: Pooling(2, 2, mode=v), lambda v: Concat(v),
])
def test_settings(call, value):
    with pytest.raises((TypeError, ValueError), match=r"\w+: \w+ must be"):
        call(value)


RANKS = [(), (3,), (2, 3), (2, 3, 8), (1, 2, 3, 8, 8), (0,)]


@pytest.mark.parametrize("shape", RANKS)
@pytest.mark.parametrize("layer", [Convolution(W, b), Pooling(2, 2), GlobalAveragePooling(), LRN(),
                                   AdaptiveAveragePooling(2, 2)], ids=lambda layer: type(layer).__name__)
def test_another_rank_than_images(layer, shape):
    with pytest.raises(ValueError, match=rf"{type(layer).__name__}.forward: x has shape .*, expected \(N, C, H, W\)"):
        layer.forward(images(*shape))


@pytest.mark.parametrize("call, words", [
    (lambda: Convolution(W, b).forward(images(2, 4, 8, 8)), r"x has shape \(2, 4, 8, 8\), expected .* C = 3"),
    (lambda: Convolution(W, b).forward(images(2, 3, 2, 8)), "a window of 3 x 3 does not fit an input of 2 x 8"),
    (lambda: Convolution(W, b, pad=1, dilation=6).forward(x), "a window of 13 x 13 does not fit an input of 8 x 8"),
    (lambda: Convolution(W, b, groups=2).forward(x), r"expected .* C = 6"),
    (lambda: Convolution(W, b, groups=3).forward(images(2, 9, 8, 8)), "4 filters cannot be cut into 3 equal groups"),
    (lambda: Convolution(W[:, :0], b).forward(images(2, 0, 8, 8)), r"W has shape \(4, 0, 3, 3\)"),
    (lambda: Convolution(W[0], b).forward(x), r"W has shape \(3, 3, 3\)"),
    (lambda: Convolution(W, b[:3]).forward(x), r"b has shape \(3,\), expected \(4,\)"),
    (lambda: Pooling(9, 2).forward(x), "a window of 9 x 2 does not fit"),
    (lambda: Pooling(2, 2, pad=2).forward(x), "must be smaller than the window"),
    (lambda: Pooling(2, 2).forward(images(2, 3, 0, 8)), "does not fit an input of 0 x 8"),
    (lambda: GlobalAveragePooling().forward(images(2, 3, 0, 8)), "no pixels"),
    (lambda: AdaptiveAveragePooling(1, 1).forward(images(2, 3, 8, 0)), "expected images with at least one pixel"),
    (lambda: Affine(np.ones((6, 3)), None).forward(rows), "so 7 values a sample, expected 6"),
    (lambda: Affine(np.ones(7), None).forward(rows), r"W has shape \(7,\), expected \(D, M\)"),
    (lambda: BatchNormalization(np.ones(6), np.ones(6)).forward(rows), "expected 7 entries"),
    (lambda: BatchNormalization(1.0, 0.0).forward(images(3)), r"expected \(N, D\) or \(N, C, H, W\)"),
    (lambda: Flatten().forward(3.0), "x is a scalar"),
    (lambda: Add().forward(x), "got 1 array, expected two or more"),
    (lambda: Add().forward(x, images(2, 3, 8, 7)), r"xs\[1\] has shape"),
    (lambda: Concat().forward(x, images(3, 3, 8, 8)), r"expected N = 2"),
    (lambda: SoftmaxWithLoss().forward(images(7), [0]), r"expected \(N, K\)"),
    (lambda: SoftmaxWithLoss().forward(images(5, 0), [0] * 5), r"expected \(N, K\)"),
    (lambda: Relu().backward(x), "call forward first"),
])
def test_shapes_that_do_not_fit(call, words):
    with pytest.raises((ValueError, RuntimeError), match=words):
        call()


@pytest.mark.parametrize("t", [
    [0, 1, 2, 3, 7], [-1, 0, 0, 0, 0], [0.0, 1, 2, 3, 4], [0, 1], [[0], [1], [2], [3], [4]], np.zeros((5, 6)), 3, [],
    [2**63] * 5, np.full(5, 2**64 - 1, np.uint64), np.full(5, -(2**63)), [2**31] * 5, [2**32] * 5, np.zeros((5, 7, 1)),
])
def test_labels_that_do_not_fit(t):
    with pytest.raises(ValueError, match=r"SoftmaxWithLoss.forward: t has (labels|shape) .*expected"):
        SoftmaxWithLoss().forward(rows, t)
