"""ResNet 18 to 152, and the networks for small images."""
from __future__ import annotations

import numpy as np
import pytest
from models.comparison import assert_names, cases, compare
from models.overfit import assert_overfits

from fastconv.layers import Add, BatchNormalization
from fastconv.models import ResNet, SmallResNet


@pytest.mark.torch
@cases
@pytest.mark.parametrize("depth, width", [(18, 0.125), (50, 0.0625)])
def test_outputs_and_gradients_are_pytorchs(depth, width, dtype, batch):
    from models.torch_networks import resnet
    network = ResNet(depth, (3, 130, 97), 7, width=width, dtype=dtype, seed=1)
    compare(network, resnet(depth, 7, width), batch)


@pytest.mark.torch
@cases
def test_the_small_network_is_pytorchs(dtype, batch):
    from models.torch_networks import small_resnet
    compare(SmallResNet(14, (3, 33, 20), 7, width=0.5, dtype=dtype, seed=1), small_resnet(14, 7, 0.5), batch)


@pytest.mark.torch
@pytest.mark.parametrize("depth", [18, 34, 50, 101, 152])
def test_names_and_shapes(depth):
    from models.torch_networks import resnet
    assert_names(ResNet(depth, seed=0), lambda: resnet(depth))


@pytest.mark.parametrize("network, parameters, multiply_adds", [
    (lambda: ResNet(18, seed=0), "11,689,512", "1.814"), (lambda: ResNet(seed=0), "25,557,032", "4.089"),
    (lambda: ResNet(152, seed=0), "60,192,808", "11.514"), (lambda: SmallResNet(seed=0), "272,474", "0.041"),
], ids=["18", "50", "152", "small"])
def test_numbers(network, parameters, multiply_adds):
    assert f"in all: {parameters} parameters, {multiply_adds} G multiply-adds" in network().summary()


def test_summary_shows_skips():
    lines = ResNet(18, seed=0).summary().splitlines()
    adds = [line.split()[1:] for line in lines if line.split()[1:2] == ["Add"]]
    assert len(adds) == 8
    assert adds[0] == ["Add", "8,", "3", "56x56x64"]          # the identity
    assert adds[2] == ["Add", "22,", "24", "28x28x128"]       # the projection
    projection = next(line.split() for line in lines if "layer2.0.downsample.0" in line)
    assert projection[2:] == ["Convolution", "1x1/2", "17", "28x28x128", "8,192", "6,422,528"]


def test_small_form_overfits_mnist():
    assert_overfits(SmallResNet(20, (1, 28, 28), width=0.5, seed=0))


def test_depth_counts_the_layers_with_weights():
    for depth in (8, 20, 32):
        network = SmallResNet(depth, seed=0)
        assert sum(key.startswith("W") for key in network.params) == depth + 2  # two projections
        assert sum(isinstance(layer, Add) for layer in network.layers) == (depth - 2) // 2


def test_batch_normalization_is_pytorchs():
    for layer in SmallResNet(8, seed=0).layers:
        if isinstance(layer, BatchNormalization):
            assert (layer.eps, layer.unbiased, layer.momentum) == (1e-5, True, 0.9)
            np.testing.assert_array_equal(layer.running_mean, 0)
            np.testing.assert_array_equal(layer.running_var, 1)


def test_wrong_arguments():
    with pytest.raises(ValueError, match="ResNet: depth is 20, expected 18, 34, 50, 101, 152; SmallResNet"):
        ResNet(20)
    with pytest.raises(ValueError, match=r"SmallResNet: depth is 18, expected 6 \* n \+ 2"):
        SmallResNet(18)
    with pytest.raises(ValueError, match="SmallResNet: depth must be at least 8, got 2"):
        SmallResNet(2)
