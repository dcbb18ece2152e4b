"""AlexNet, both variants."""
from __future__ import annotations

import numpy as np
import pytest
from models.comparison import assert_names, cases, compare
from models.overfit import assert_overfits

import fastconv
from fastconv.layers import LRN, AdaptiveAveragePooling, Convolution, Dropout
from fastconv.models import AlexNet

VARIANTS = ["paper", "one-tower"]


@pytest.mark.torch
@cases
@pytest.mark.parametrize("variant, size, maps", [("paper", (99, 75), (2, 1)), ("one-tower", (67, 99), None)])
def test_outputs_and_gradients_are_pytorchs(variant, size, maps, dtype, batch):
    from models.torch_networks import alexnet
    network = AlexNet((3, *size), 7, variant=variant, width=0.125, dtype=dtype, seed=1)
    compare(network, alexnet(variant, 7, 0.125, maps), batch)


@pytest.mark.torch
@pytest.mark.parametrize("variant", VARIANTS)
def test_names_and_shapes(variant):
    from models.torch_networks import alexnet
    assert_names(AlexNet(variant=variant, seed=0), lambda: alexnet(variant))


def test_small_form_overfits_mnist():
    assert_overfits(AlexNet.small(width=0.125, seed=1), batch=16)


def test_the_paper_s_numbers():
    network = AlexNet(seed=0)
    assert "in all: 60,965,224 parameters, 0.724 G multiply-adds" in network.summary()
    shapes = [network.shape(node) for node, layer in enumerate(network.layers) if isinstance(layer, LRN)]
    assert shapes == [(96, 55, 55), (256, 27, 27)]
    assert [layer.dropout_ratio for layer in network.layers if isinstance(layer, Dropout)] == [0.5, 0.5]
    assert network.layers[0].W.std() == pytest.approx((2 / 363) ** 0.5, rel=0.02)
    assert network.params["W2"].std() == pytest.approx((2 / 1200) ** 0.5, rel=0.02)  # a group sees half the channels


def test_one_tower_averages_other_sizes_to_6x6():
    assert not any(isinstance(layer, AdaptiveAveragePooling) for layer in AlexNet(variant="one-tower", seed=0).layers)
    network = AlexNet((3, 256, 300), 5, variant="one-tower", width=0.05, seed=0)
    assert any(isinstance(layer, AdaptiveAveragePooling) for layer in network.layers)
    assert network.predict(np.zeros((1, 3, 256, 300), np.float32)).shape == (1, 5)


@pytest.mark.parametrize("variant", VARIANTS)
@pytest.mark.parametrize("input_dim", [(1, 28, 28), (3, 32, 32), (2, 5, 4), (1, 1, 1)])
def test_small_form_takes_any_image(variant, input_dim):
    network = AlexNet.small(input_dim, 3, variant=variant, width=0.1, seed=0)
    assert network.predict(np.zeros((2, *input_dim), np.float32)).shape == (2, 3)


@pytest.mark.parametrize("width", [0.03, 0.05, 0.11, 0.3])
def test_groups_fit_at_any_width(width):
    network = AlexNet.small((1, 9, 8), 3, variant="paper", width=width, seed=0)
    assert [layer.groups for layer in network.layers if isinstance(layer, Convolution)] == [1, 2, 1, 2, 2]
    assert network.predict(np.zeros((1, 1, 9, 8), np.float32)).shape == (1, 3)


def test_wrong_arguments():
    with pytest.raises(ValueError, match="AlexNet: variant is 'two', expected 'paper' or 'one-tower'"):
        AlexNet(variant="two")
    with pytest.raises(ValueError, match=r"AlexNet: layers\[\d+\], Pooling, does not fit; are the images of "
                                         r"\(3, 40, 40\) too small\?"):
        AlexNet((3, 40, 40), width=0.1)
    with pytest.raises(ValueError, match="AlexNet: input_dim is 3, expected"):
        AlexNet(3)
    with pytest.raises(ValueError, match="AlexNet: num_classes must be at least 1, got 0"):
        AlexNet(num_classes=0)
    with pytest.raises(ValueError, match="AlexNet: width is 0, expected a factor above 0"):
        AlexNet(width=0)


def test_is_in_the_package():
    assert fastconv.AlexNet is AlexNet
