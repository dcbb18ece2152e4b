"""VGG A, B, D and E, with and without BatchNorm."""
from __future__ import annotations

import numpy as np
import pytest
from models.comparison import assert_names, cases, compare
from models.overfit import assert_overfits

from fastconv.layers import Dropout
from fastconv.models import VGG
from fastconv.models.receptive_field import field, seconds, weights

CONFIGS = {"A": 11, "B": 13, "D": 16, "E": 19}


@pytest.mark.torch
@cases
@pytest.mark.parametrize("config, batch_norm", [("A", False), ("D", False), ("A", True)])
def test_outputs_and_gradients_are_pytorchs(config, batch_norm, dtype, batch):
    from models.torch_networks import vgg
    network = VGG(config, (3, 96, 64), 7, batch_norm=batch_norm, width=0.125, hidden_size=33, dtype=dtype, seed=1)
    compare(network, vgg(CONFIGS[config], batch_norm, 7, 0.125, 33), batch)


@pytest.mark.torch
@pytest.mark.parametrize("batch_norm", [False, True])
@pytest.mark.parametrize("config", CONFIGS)
def test_names_and_shapes(config, batch_norm):
    from models.torch_networks import vgg
    network = VGG(config, batch_norm=batch_norm, hidden_size=40, num_classes=10, seed=0)
    assert_names(network, lambda: vgg(CONFIGS[config], batch_norm, 10, hidden=40))


def test_vgg_16_in_numbers():
    """The paper's 138 million parameters, and the table of the issue."""
    text = VGG(seed=0).summary()
    assert "in all: 138,357,544 parameters, 15.470 G multiply-adds" in text
    assert sum("Convolution 3x3/1" in line for line in text.splitlines()) == 13
    sizes = [word for line in text.splitlines() for word in line.split() if word.count("x") == 2 and "/" not in word]
    assert list(dict.fromkeys(sizes)) == [
        "224x224x3", "224x224x64", "112x112x64", "112x112x128", "56x56x128", "56x56x256", "28x28x256", "28x28x512",
        "14x14x512", "7x7x512"]
    affine = [line.split()[3:] for line in text.splitlines() if "Affine" in line]
    assert [words[0] for words in affine] == ["4096", "4096", "1000"]
    assert [words[1] for words in affine] == ["102,764,544", "16,781,312", "4,097,000"]


def test_small_form_overfits_mnist():
    assert_overfits(VGG.small(seed=0))


@pytest.mark.parametrize("input_dim", [(1, 28, 28), (3, 32, 32), (2, 3, 5), (1, 1, 1)])
def test_small_form_takes_any_image(input_dim):
    network = VGG.small("B", input_dim, 3, width=0.1, hidden_size=5, seed=0)
    assert network.predict(np.zeros((2, *input_dim), np.float32)).shape == (2, 3)


def test_dropout_is_inverted():
    ratios = [(layer.dropout_ratio, layer.inverted) for layer in VGG.small(seed=0).layers if isinstance(layer, Dropout)]
    assert ratios == [(0.5, True), (0.5, True)]


def test_three_3x3_in_the_place_of_one_7x7():
    three, one = field(3), field(1)
    assert (weights(three), weights(one)) == (27 * 64 ** 2, 49 * 64 ** 2)
    assert three.shape() == one.shape() == (64, 56, 56)
    for layers in (3, 1):  # both see 7x7 pixels, not 8
        network = field(layers, channels=1, size=15)
        for key in network.params:
            network.params[key] = np.ones_like(network.params[key])
        x = np.zeros((1, 1, 15, 15), np.float32)
        before = network.predict(x)
        x[0, 0, 7, 7] = 1
        changed = np.argwhere(network.predict(x)[0, 0] != before[0, 0])
        assert changed.min(0).tolist() == [4, 4] and changed.max(0).tolist() == [10, 10]
    assert seconds(field(3, 4, 9), 1, 1) > 0
    with pytest.raises(ValueError, match="field: layers is 2"):
        field(2)


def test_wrong_arguments():
    with pytest.raises(ValueError, match="VGG: config is 'C', expected 'A', 'B', 'D', 'E'"):
        VGG("C")
    with pytest.raises(ValueError, match=r"VGG: layers\[\d+\], Pooling, does not fit; are the images of \(3, 31, 31\)"):
        VGG("A", (3, 31, 31), width=0.1)
    with pytest.raises(TypeError, match="VGG: hidden_size must be an integer"):
        VGG(hidden_size=1.5)
