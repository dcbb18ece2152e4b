from __future__ import annotations

import gradient_check
import numpy as np
import pytest

from fastconv.layers import Dropout


def test_training_keeps_values_as_they_are_or_drops_them(rng):
    x = rng.normal(3, 1, (40, 50))
    layer = Dropout(0.3, rng=np.random.default_rng(5))
    out = layer.forward(x)
    mask = np.random.default_rng(5).random((40, 50)) > 0.3
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


def test_the_global_generator_gives_the_masks_in_the_book_s_order():
    x = np.ones((3, 2, 4, 5))
    np.random.seed(3)
    out = Dropout().forward(x)
    following = np.random.rand()
    np.random.seed(3)
    np.testing.assert_array_equal(out, np.random.rand(3, 2, 4, 5) > 0.5)
    assert following == np.random.rand()


def test_the_mask_does_not_depend_on_layout_or_dtype(rng):
    x = rng.normal(size=(3, 4, 5, 2))
    masks = []
    for other in (x, np.asfortranarray(x), x.astype(np.float16), x.astype(np.float32)):
        layer = Dropout(rng=np.random.default_rng(1))
        layer.forward(other)
        masks.append(layer.mask)
    for mask in masks[1:]:
        np.testing.assert_array_equal(mask, masks[0])


def test_every_training_pass_draws_anew():
    layer = Dropout(rng=np.random.default_rng(1))
    x = np.ones(100)
    assert (layer.forward(x) != layer.forward(x)).any()


@pytest.mark.parametrize("ratio, kept", [(0, 1000), (1, 0), (0.9, 100)])
def test_ratio(ratio, kept):
    out = Dropout(ratio, rng=np.random.default_rng(2)).forward(np.ones(1000))
    assert abs(out.sum() - kept) < 40 * (0 < ratio < 1) + 1


def test_gradients(rng):
    layer = Dropout(0.4)

    def forward(x):
        layer.rng = np.random.default_rng(8)
        return layer.forward(x)

    gradient_check.check(layer, rng.normal(size=(2, 3, 4, 2)), forward=forward)


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
    with pytest.raises(TypeError, match="Dropout: dropout_ratio must be a number from 0 to 1, got None"):
        Dropout(None)
    with pytest.raises(TypeError, match="rng must be a numpy.random.Generator, got 7"):
        Dropout(rng=7)
