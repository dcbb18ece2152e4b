from __future__ import annotations

import gradient_check
import numpy as np
import pytest
from layers.layouts import layouts
from layers.zoo import OfOneInput

from fastconv.layers import Add

SHAPE = (3, 4, 5, 6)


@pytest.mark.parametrize("shape", [(), (7,), (5, 3), (4, 2, 3), SHAPE, (2, 3, 1, 2, 2), (0, 4, 5, 6), (1, 4, 5, 6)])
@pytest.mark.parametrize("inputs", [2, 3, 5])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_the_sum_of_arrays_of_any_shape(rng, shape, inputs, dtype):
    xs = [np.asarray(rng.normal(i, 1, shape), dtype) for i in range(inputs)]
    layer = Add()
    out = layer.forward(*xs)
    expected = xs[0]
    for x in xs[1:]:
        expected = expected + x
    np.testing.assert_array_equal(out, expected)
    assert out.shape == shape and out.dtype == dtype and isinstance(out, np.ndarray)
    dxs = layer.backward(np.ones(shape, dtype))
    assert isinstance(dxs, tuple) and len(dxs) == inputs
    for dx in dxs:
        np.testing.assert_array_equal(dx, np.ones(shape))
        assert dx.dtype == dtype


def test_awkward_layouts_give_the_same_sum_channels_last(rng):
    a, b = rng.normal(size=(2, *SHAPE)).astype(np.float32)
    for name, one in layouts(a).items():
        for other_name, other in layouts(b).items():
            before = one.tobytes(), other.tobytes()
            out = Add().forward(one, other)
            np.testing.assert_array_equal(out, a + b, err_msg=f"{name}, {other_name}")
            assert out.transpose(0, 2, 3, 1).flags.c_contiguous and out.dtype.isnative and out.flags.writeable
            assert (one.tobytes(), other.tobytes()) == before


def test_rows_lie_in_c_order(rng):
    x = np.asfortranarray(rng.normal(size=(5, 7)))
    assert Add().forward(x, x).flags.c_contiguous


@pytest.mark.parametrize("dtypes, result", [
    ((np.float32, np.float64), np.float64), ((np.float16, np.float32), np.float32), ((np.float16,) * 3, np.float16),
    ((np.uint8, np.int64), np.float32), ((np.float16, bool), np.float32), ((np.float64, np.uint8), np.float64),
    ((">f4", "<f4"), np.float32), ((np.longdouble, np.float32), np.longdouble),
])
def test_dtypes_are_promoted(dtypes, result):
    xs = [np.ones(SHAPE, dtype) for dtype in dtypes]
    layer = Add()
    out = layer.forward(*xs)
    assert out.dtype == result and out.dtype.isnative
    np.testing.assert_array_equal(out, len(xs))
    assert layer.backward(out)[1].dtype == result


def test_float16_is_added_in_float32():
    """2048 + 1 is no float16, so that adding 1 twice in float16 would stay at 2048."""
    xs = [np.full((2, 3), value, np.float16) for value in (2048, 1, 1)]
    np.testing.assert_array_equal(Add().forward(*xs), np.full((2, 3), 2050, np.float16))


def test_lists_and_one_array_twice_are_taken():
    assert Add().forward([[1, 2]], [[3.5, 4]]).tolist() == [[4.5, 6]]
    x = np.arange(6.0).reshape(2, 3)
    np.testing.assert_array_equal(Add().forward(x, x, x), 3 * x)


def test_gradients_of_each_input(rng):
    xs = list(rng.normal(size=(3, 2, 3, 4, 2)))
    for i, x in enumerate(xs):
        gradient_check.check(OfOneInput(Add(), xs, i), x)


def test_dout_goes_to_all_as_it_is(rng):
    layer = Add()
    layer.forward(*rng.normal(size=(3, *SHAPE)))
    dout = rng.normal(size=SHAPE)
    assert all(dx is dout for dx in layer.backward(dout))


def test_what_cannot_be_added_is_refused():
    x = np.zeros(SHAPE)
    for xs in ((), (x,), ([x, x],)):
        with pytest.raises(ValueError, match=rf"Add.forward: got {len(xs)} arrays?, expected two or more, each an arg"):
            Add().forward(*xs)
    differs = r"Add.forward: xs\[2\] has shape \(.*\), expected \(3, 4, 5, 6\) as xs\[0\]"
    for other, cause in (
        ((3, 5, 6, 4), r"; it looks NHWC: x.transpose\(0, 3, 1, 2\)"),
        ((3, 8, 5, 6), "; a Convolution of 1x1 gives a branch 4 channels"),
        ((3, 4, 3, 3), "; the branches' stride or pad differ"),
        ((2, 4, 5, 6), ""), ((3, 120), ""), ((1, 1, 1, 1), ""), ((), ""),
    ):
        with pytest.raises(ValueError, match=differs + cause + "$"):
            Add().forward(x, x, np.zeros(other))
    with pytest.raises(TypeError, match=r"Add.forward: xs\[1\] has dtype complex128, expected real numbers"):
        Add().forward(x, x + 1j)


def test_a_refused_call_leaves_the_last_one_standing(rng):
    layer = Add()
    layer.forward(np.ones((2, 3)), np.ones((2, 3)))
    with pytest.raises(ValueError):
        layer.forward(np.ones((4, 3)), np.ones((4, 2)), np.ones((4, 3)))
    assert len(layer.backward(np.ones((2, 3)))) == 2
