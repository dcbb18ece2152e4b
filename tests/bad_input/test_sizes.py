"""Sizes that are none, and such as no machine can count or hold."""
from __future__ import annotations

import numpy as np
import pytest
from bad_input.values import NO_SIZES, TOO_LARGE, images

import fastconv
from fastconv import util
from fastconv.layers import (
    LRN,
    AdaptiveAveragePooling,
    Affine,
    BatchNormalization,
    Concat,
    Convolution,
    Dropout,
    Flatten,
    GlobalAveragePooling,
    Pooling,
    Relu,
    Sigmoid,
)
from fastconv.threads import threads

x = np.ones((2, 3, 8, 8), np.float32)
W = np.ones((4, 3, 3, 3), np.float32)

SIZES = {
    "Convolution: stride": lambda n: Convolution(W, None, n),
    "Convolution: pad": lambda n: Convolution(W, None, 1, n),
    "Convolution: dilation": lambda n: Convolution(W, None, dilation=n),
    "Convolution: groups": lambda n: Convolution(W, None, groups=n).forward(x),
    "Pooling: (pool_h, pool_w)": lambda n: Pooling(n, 2),
    "Pooling: stride": lambda n: Pooling(2, 2, n),
    "Pooling: pad": lambda n: Pooling(2, 2, 1, n),
    "AdaptiveAveragePooling: out_h": lambda n: AdaptiveAveragePooling(n, 2),
    "AdaptiveAveragePooling: out_w": lambda n: AdaptiveAveragePooling(2, n),
    "LRN: n": lambda n: LRN(n),
    "im2col: (filter_h, filter_w)": lambda n: util.im2col(x, n, 2),
    "im2col: stride": lambda n: util.im2col(x, 2, 2, n),
    "im2col: pad": lambda n: util.im2col(x, 2, 2, 1, n),
    "col2im: (filter_h, filter_w)": lambda n: util.col2im(x, x.shape, 1, n),
    "col2im: stride": lambda n: util.col2im(x, x.shape, 1, 1, n),
    "col2im: pad": lambda n: util.col2im(x, x.shape, 1, 1, 1, n),
    "set_num_threads: the number of threads": lambda n: fastconv.set_num_threads(n),
    "threads: the number of threads": lambda n: threads(n).__enter__(),
}
every_size = pytest.mark.parametrize("name", SIZES)


@every_size
@pytest.mark.parametrize("n", NO_SIZES, ids=repr)
def test_no_size(name, n):
    with pytest.raises((TypeError, ValueError)) as caught:
        SIZES[name](n)
    assert str(caught.value).startswith(f"{name} must be an integer")


@every_size
@pytest.mark.parametrize("n", [-1, -(2**31), -(2**63), -(10**30)])
def test_negative(name, n):
    with pytest.raises(ValueError) as caught:
        SIZES[name](n)
    assert str(caught.value).startswith(f"{name} must be at least") and str(n) in str(caught.value)


@pytest.mark.parametrize("name", [name for name in SIZES if "pad" not in name])
def test_zero(name):
    with pytest.raises(ValueError) as caught:
        SIZES[name](0)
    assert str(caught.value).startswith(f"{name} must be at least 1")


@pytest.mark.parametrize("name", [name for name in SIZES if "groups" not in name])
@pytest.mark.parametrize("n", TOO_LARGE)
def test_too_large_to_count(name, n):
    with pytest.raises(ValueError) as caught:
        SIZES[name](n)
    assert str(caught.value).startswith(f"{name} must be at most") and str(n) in str(caught.value)


L = 2**31 - 1  # the largest that is taken

every_backend = pytest.mark.usefixtures("backend")

# what no memory holds: the product overflows 64 bits, or the shape alone would be taken by NumPy for an empty array
TOO_MUCH = {
    "a pad": lambda: Convolution(W, None, 1, L).forward(x),
    "a pad, no images": lambda: Convolution(W, None, 1, L).forward(x[:0]),
    "taps 2**32 wide apart": lambda: Convolution(W, None, 1, L - 3, dilation=L - 3).forward(x),  # 2**64 pixels: 0
    "a pad of windows": lambda: Pooling(L, L, 1, L - 1).forward(x),
    "a pad of windows, no images": lambda: Pooling(L, L, 1, L - 1).forward(x[:0]),
    "columns": lambda: util.im2col(x, 3, 3, 1, L),
    "columns, no images": lambda: util.im2col(x[:0], 3, 3, 1, L),
    "a shape for columns": lambda: util.col2im(np.ones((0, 4)), (0, 2**40, 2**40, 2), 1, 1),
    "a shape for columns that wraps to 0": lambda: util.col2im(np.ones((0, 4)), (2**32, 2**32, 2, 2), 1, 1),
    "adaptive": lambda: AdaptiveAveragePooling(L, L).forward(x),
    "adaptive, no images": lambda: AdaptiveAveragePooling(L, L).forward(x[:0]),
}


@pytest.mark.parametrize("name", TOO_MUCH)
def test_more_than_any_memory(name):
    with pytest.raises(MemoryError, match=r"^(Convolution|Pooling|AdaptiveAveragePooling)\.forward: .* has .* values, "
                                          r"more than any memory|^(im2col|col2im): .* values, more than any memory"):
        TOO_MUCH[name]()


# more than this machine has, in every case: 16 TB
HUGE = [(2**42, 1, 1, 1), (1, 1, 2**21, 2**21), (1, 1, 1, 2**42), (2**21, 1, 2**21, 1)]


@every_backend
@pytest.mark.parametrize("shape", HUGE)
@pytest.mark.parametrize("layer", [
    Convolution(np.ones((1, 1, 1, 1), np.float32), None), Pooling(1, 1, 1), Relu(), Sigmoid(), Dropout(), LRN(),
    BatchNormalization(np.ones(1), np.zeros(1))], ids=lambda layer: type(layer).__name__)
def test_more_than_this_memory(layer, shape):
    with pytest.raises(MemoryError, match="no memory for an array of shape|Unable to allocate"):
        layer.forward(images(*shape))


@every_backend
@pytest.mark.parametrize("call", [
    lambda: Convolution(W, None, 1, (0, L)).forward(x), lambda: Convolution(images(2**40, 3, 3, 3), None).forward(x),
    lambda: Affine(images(192, 2**38), None).forward(x), lambda: Concat().forward(images(2**42, 1), images(2**42, 1)),
    lambda: AdaptiveAveragePooling(1, L).forward(images(1, 2**12, 1, 1)), lambda: util.im2col(x, 3, 3, 1, (0, L)),
])
def test_results_and_parameters_of_more_than_this_memory(call):
    with pytest.raises(MemoryError, match="no memory for an array of shape|Unable to allocate"):
        call()


def test_views_of_any_size_are_views():
    assert Flatten().forward(images(1, 1, 2**21, 2**21)).shape == (1, 2**42)


@every_backend
@pytest.mark.parametrize("stride", [100, 10_000, L])
@pytest.mark.parametrize("pad", [0, 1])
def test_a_stride_beyond_the_image_gives_one_position_and_its_gradients_at_once(stride, pad):
    far, near = (Convolution(W, None, s, pad) for s in (stride, 20))
    np.testing.assert_array_equal(far.forward(x), near.forward(x))
    dout = np.ones((2, 4, 1, 1), np.float32)
    np.testing.assert_array_equal(far.backward(dout), near.backward(dout))
    np.testing.assert_array_equal(far.dW, near.dW)
    for mode in ("max", "average"):
        far, near = (Pooling(2, 2, s, pad, mode=mode) for s in (stride, 20))
        np.testing.assert_array_equal(far.forward(x), near.forward(x))
        np.testing.assert_array_equal(far.backward(dout[:, :3]), near.backward(dout[:, :3]))
    np.testing.assert_array_equal(util.im2col(x, 3, 3, stride, pad), util.im2col(x, 3, 3, 20, pad))


@every_backend
@pytest.mark.parametrize("n", [1000, L])
def test_large_windows_and_ranges_that_fit(n):
    half = n // 2
    out = Pooling(n, n, n, half, mode="max").forward(x)
    np.testing.assert_array_equal(out, np.ones((2, 3, 1, 1)))
    np.testing.assert_array_equal(LRN(n).forward(x).shape, x.shape)
    layer = AdaptiveAveragePooling(1, n)
    assert layer.forward(x[:0]).shape == (0, 3, 1, n) and layer.backward(np.ones((0, 3, 1, n))).shape == (0, 3, 8, 8)
    assert GlobalAveragePooling().forward(x[:0]).shape == (0, 3)
