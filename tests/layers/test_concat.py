from __future__ import annotations

import gradient_check
import numpy as np
import pytest
from layers.layouts import layouts
from layers.zoo import OfOneInput

from fastconv.layers import Concat

CHANNELS = (3, 1, 5)


def parts(rng, rest, N=2, dtype=np.float64):
    return [rng.normal(c, 1, (N, c, *rest)).astype(dtype) for c in CHANNELS]


@pytest.mark.parametrize("rest", [(), (4, 3), (1, 1)])
@pytest.mark.parametrize("N", [0, 1, 2])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_channels_or_features_one_behind_the_other(rng, rest, N, dtype):
    xs = parts(rng, rest, N, dtype)
    layer = Concat()
    out = layer.forward(*xs)
    np.testing.assert_array_equal(out, np.concatenate(xs, axis=1))
    assert out.shape == (N, 9, *rest) and out.dtype == dtype
    dout = rng.normal(size=out.shape).astype(dtype)
    dxs = layer.backward(dout)
    assert isinstance(dxs, tuple)
    for dx, expected in zip(dxs, np.split(dout, [3, 4], axis=1), strict=True):
        np.testing.assert_array_equal(dx, expected)
        assert dx.dtype == dtype and dx.base is dout


def test_awkward_layouts_give_the_same_channels_last(rng):
    a, b = rng.normal(size=(3, 4, 5, 6)).astype(np.float32), rng.normal(size=(3, 2, 5, 6)).astype(np.float32)
    for name, one in layouts(a).items():
        for other_name, other in layouts(b).items():
            before = one.tobytes(), other.tobytes()
            out = Concat().forward(one, other)
            np.testing.assert_array_equal(out, np.concatenate((a, b), axis=1), err_msg=f"{name}, {other_name}")
            assert out.transpose(0, 2, 3, 1).flags.c_contiguous and out.dtype.isnative
            assert (one.tobytes(), other.tobytes()) == before


def test_rows_lie_in_c_order(rng):
    x = np.asfortranarray(rng.normal(size=(5, 7)))
    assert Concat().forward(x, x).flags.c_contiguous


@pytest.mark.parametrize("dtypes, result", [
    ((np.float32, np.float64), np.float64), ((np.float16, np.float32), np.float32), ((np.float16,) * 2, np.float16),
    ((np.uint8, np.int64), np.float32), ((np.float16, bool), np.float32), ((">f4", "<f4"), np.float32),
    ((np.longdouble, np.float32), np.longdouble),
])
def test_dtypes_are_promoted(dtypes, result):
    layer = Concat()
    out = layer.forward(*(np.ones((2, 3, 4, 5), dtype) for dtype in dtypes))
    assert out.dtype == result and out.dtype.isnative
    np.testing.assert_array_equal(out, 1)
    assert layer.backward(out)[0].dtype == result


def test_lists_and_inputs_without_channels_are_taken():
    assert Concat().forward([[1, 2]], [[3.5]]).tolist() == [[1, 2, 3.5]]
    layer = Concat()
    assert layer.forward(np.ones((2, 0)), np.ones((2, 3))).shape == (2, 3)
    assert [dx.shape for dx in layer.backward(np.ones((2, 3)))] == [(2, 0), (2, 3)]


@pytest.mark.parametrize("rest", [(), (4, 3)])
def test_gradients_of_each_input(rng, rest):
    xs = parts(rng, rest)
    for i, x in enumerate(xs):
        gradient_check.check(OfOneInput(Concat(), xs, i), x)


def test_only_axis_1():
    assert Concat().axis == Concat(1).axis == Concat(axis=1).axis == 1
    for axis in (0, 2, -1, None, 1.5):
        with pytest.raises(ValueError, match=f"Concat: axis must be 1, that of the channels or features, got {axis}"):
            Concat(axis)


def test_what_cannot_be_joined_is_refused():
    x = np.zeros((3, 4, 5, 6))
    for xs in ((), (x,), ([x, x],)):
        with pytest.raises(ValueError, match=rf"Concat.forward: got {len(xs)} arrays?, expected two or more, each an"):
            Concat().forward(*xs)
    for other, message in (
        ((3, 8, 3, 3), r"expected H x W = 5 x 6 as in xs\[0\]; the branches' stride or pad differ"),
        ((3, 5, 6, 4), r"expected H x W = 5 x 6 as in xs\[0\]; it looks NHWC: x.transpose\(0, 3, 1, 2\)"),
        ((2, 4, 5, 6), r"expected N = 3 as in xs\[0\]"),
        ((3, 120), r"and xs\[0\] has shape \(3, 4, 5, 6\): images and rows don't join"),
        ((3, 4, 5), r"expected \(N, C, H, W\) or \(N, D\)"),
        ((), r"expected \(N, C, H, W\) or \(N, D\)"),
    ):
        with pytest.raises(ValueError, match=r"Concat.forward: xs\[2\] has shape \(.*\),? " + message):
            Concat().forward(x, x, np.zeros(other))
    with pytest.raises(ValueError, match=r"xs\[0\] has shape \(7,\), expected"):
        Concat().forward(np.zeros(7), np.zeros(7))
    with pytest.raises(TypeError, match=r"Concat.forward: xs\[1\] has dtype complex128, expected real numbers"):
        Concat().forward(x, x + 1j)
