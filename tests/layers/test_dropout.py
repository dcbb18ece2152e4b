from __future__ import annotations

import gradient_check
import naive
import numpy as np
import pytest

from fastconv.layers import Dropout
from fastconv.threads import threads


class FixedKey:
    """A generator that always draws the same key."""

    def integers(self, high, dtype):
        return dtype(77)


def naive_mask(key, shape, ratio):
    words = np.array(naive.dropout_words(key, 0, int(np.prod(shape)))).reshape(shape)
    return words > ratio * 2**32


def test_training_keeps_values_as_they_are_or_drops_them(rng):
    x = rng.normal(3, 1, (40, 50))
    layer = Dropout(0.3, rng=FixedKey())
    out = layer.forward(x)
    mask = naive_mask(77, (40, 50), 0.3)
    np.testing.assert_array_equal(layer.mask, mask)
    np.testing.assert_array_equal(out, x * mask)
    np.testing.assert_array_equal(layer.backward(x), x * mask)


def test_inference_scales_and_needs_no_mask(rng):
    x = rng.normal(size=(4, 5)).astype(np.float32)
    layer = Dropout(0.25)
    out = layer.forward(x, train_flg=False)
    np.testing.assert_array_equal(out, x * np.float32(0.75))
    assert out.dtype == np.float32
    assert layer.mask is None


def test_inference_keeps_the_layout_and_draws_nothing(rng):
    x = rng.normal(size=(3, 4, 5, 2))
    np.random.seed(3)
    for axes in ((0, 1, 2, 3), (0, 2, 3, 1), (3, 2, 1, 0)):
        other = np.ascontiguousarray(x.transpose(axes)).transpose(np.argsort(axes))
        assert Dropout().forward(other, train_flg=False).strides == other.strides
    following = np.random.rand()
    np.random.seed(3)
    assert np.random.rand() == following


def test_a_training_pass_draws_one_key_from_numpys_global_generator():
    x = np.ones((3, 2, 4, 5))
    np.random.seed(3)
    key, following = Dropout().draw_key(), np.random.rand()
    np.random.seed(3)
    out = Dropout().forward(x)
    assert following == np.random.rand()
    np.testing.assert_array_equal(out.transpose(0, 2, 3, 1), naive_mask(key, (3, 4, 5, 2), 0.5))


def test_a_training_pass_draws_one_key_from_its_own_generator():
    layer = Dropout(rng=np.random.default_rng(6))
    key = layer.draw_key()
    layer.rng = np.random.default_rng(6)
    np.random.seed(0)
    np.testing.assert_array_equal(layer.forward(np.ones(99)), naive_mask(key, (99,), 0.5))
    following = np.random.default_rng(6)
    following.integers(2**64, dtype=np.uint64)
    assert layer.rng.random() == following.random()


@pytest.mark.parametrize("rng", [None, np.random.default_rng(0)])
def test_keys_have_64_bits(rng):
    np.random.seed(0)
    keys = [Dropout(rng=rng).draw_key() for _ in range(200)]
    assert all(type(key) is int for key in keys) and len(set(keys)) == 200
    assert 0 <= min(keys) < 2**60 and 2**64 - 2**60 < max(keys) < 2**64
    for bit in range(64):
        assert 50 < sum(key >> bit & 1 for key in keys) < 150


def test_masks_count_through_images_channels_last():
    """As the values lie in memory: n, h, w, c."""
    layer = Dropout(0.4, rng=FixedKey())
    layer.forward(np.ones((2, 3, 4, 5)))
    np.testing.assert_array_equal(layer.mask.transpose(0, 2, 3, 1), naive_mask(77, (2, 4, 5, 3), 0.4))


@pytest.mark.parametrize("shape", [(), (7,), (6, 5), (4, 3, 5), (2, 3, 4, 5, 2)])
def test_masks_count_through_other_shapes_in_c_order(rng, shape):
    x = np.array(rng.normal(size=shape), order="F")
    layer = Dropout(0.4, rng=FixedKey())
    out = layer.forward(x)
    np.testing.assert_array_equal(layer.mask, naive_mask(77, shape, 0.4))
    np.testing.assert_array_equal(out, x * layer.mask)
    np.testing.assert_array_equal(layer.backward(x), x * layer.mask)
    assert out.shape == shape


def test_the_mask_does_not_depend_on_layout_or_dtype(rng):
    x = rng.normal(size=(3, 4, 5, 2))
    nhwc = np.ascontiguousarray(x.transpose(0, 2, 3, 1)).transpose(0, 3, 1, 2)
    masks = []
    for other in (x, nhwc, np.asfortranarray(x), x.astype(np.float16), x.astype(np.float32)):
        layer = Dropout(rng=np.random.default_rng(1))
        layer.forward(other)
        masks.append(layer.mask)
    for mask in masks[1:]:
        np.testing.assert_array_equal(mask, masks[0])


def test_the_mask_does_not_depend_on_the_number_of_threads():
    x, outs = np.ones((50, 10, 20, 30), np.float32), []
    for n in (1, 2, 3):
        with threads(n):
            outs.append(Dropout(rng=FixedKey()).forward(x))
    np.testing.assert_array_equal(outs[0], outs[1])
    np.testing.assert_array_equal(outs[0], outs[2])


def test_every_training_pass_draws_anew():
    layer = Dropout(rng=np.random.default_rng(1))
    x = np.ones(100)
    assert (layer.forward(x) != layer.forward(x)).any()


@pytest.mark.parametrize("ratio, kept", [(0, 1000), (1, 0), (0.9, 100)])
def test_ratio(ratio, kept):
    out = Dropout(ratio, rng=np.random.default_rng(2)).forward(np.ones(1000))
    assert abs(out.sum() - kept) < 40 * (0 < ratio < 1) + 1


def test_a_negative_ratio_set_later_keeps_everything():
    layer = Dropout()
    layer.dropout_ratio = -1
    assert layer.forward(np.ones(10_000)).all()


def test_gradients(rng):
    gradient_check.check(Dropout(0.4, rng=FixedKey()), rng.normal(size=(2, 3, 4, 2)))


def test_backward_after_inference_alone_says_so():
    layer = Dropout()
    layer.forward(np.ones(3), train_flg=False)
    with pytest.raises(RuntimeError, match="Dropout.backward: .* call forward first"):
        layer.backward(np.ones(3))


def test_wrong_arguments_are_refused():
    with pytest.raises(ValueError, match="dropout_ratio must be from 0 to 1, got 1.5"):
        Dropout(1.5)
    with pytest.raises(ValueError, match="dropout_ratio must be from 0 to 1, got nan"):
        Dropout(float("nan"))
    with pytest.raises(TypeError, match="Dropout: dropout_ratio must be a number, got None"):
        Dropout(None)
    with pytest.raises(TypeError, match="rng must be a numpy.random.Generator, got 7"):
        Dropout(rng=7)
    with pytest.raises(TypeError, match="rng must be a numpy.random.Generator, got RandomState"):
        Dropout(rng=np.random.RandomState(0))


# ---- inverted

def test_inverted_training_scales_what_is_kept(rng):
    x = rng.normal(3, 1, (40, 50))
    layer = Dropout(0.3, rng=FixedKey(), inverted=True)
    mask = naive_mask(77, (40, 50), 0.3)
    np.testing.assert_allclose(layer.forward(x), x * mask / 0.7, 1e-14)
    np.testing.assert_allclose(layer.backward(x), x * mask / 0.7, 1e-14)
    np.testing.assert_array_equal(layer.mask, mask)
    assert repr(layer) == "Dropout(0.3, inverted=True)"


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64, np.uint8])
def test_inverted_inference_is_the_identity(rng, dtype):
    x = (9 * rng.random((4, 3, 5, 2))).astype(dtype)
    out = Dropout(0.4, inverted=True).forward(x, train_flg=False)
    np.testing.assert_array_equal(out, x)
    assert out.dtype == Dropout(0.4).forward(x, train_flg=False).dtype


def test_the_mean_of_inverted_training_is_that_of_inference():
    out = Dropout(0.4, rng=np.random.default_rng(1), inverted=True).forward(np.ones(100_000, np.float32))
    assert out.dtype == np.float32 and abs(out.mean() - 1) < 0.01


@pytest.mark.parametrize("ratio, expected", [(1, 0), (0, 1), (-1, 1)])
def test_inverted_at_the_ends(ratio, expected):
    layer = Dropout(0.5, rng=FixedKey(), inverted=True)
    layer.dropout_ratio = ratio
    np.testing.assert_array_equal(layer.forward(np.ones(1000)), expected)
    np.testing.assert_array_equal(layer.backward(np.ones(1000)), expected)


def test_inverted_gradients(rng):
    gradient_check.check(Dropout(0.4, rng=FixedKey(), inverted=True), rng.normal(size=(2, 3, 4, 2)))
