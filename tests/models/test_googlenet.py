"""GoogLeNet, both variants, with the auxiliary classifiers."""
from __future__ import annotations

import numpy as np
import pytest
from models.comparison import assert_names, cases, compare
from models.overfit import assert_overfits

from fastconv.models import GoogLeNet

VARIANTS = ["paper", "batch_norm"]


@pytest.mark.torch
@cases
@pytest.mark.parametrize("variant", VARIANTS)
def test_outputs_and_gradients_are_pytorchs(variant, dtype, batch):
    from models.torch_networks import GoogLeNet as Torch
    network = GoogLeNet((3, 129, 97), 7, variant=variant, width=0.125, dtype=dtype, seed=1)
    compare(network, Torch(variant, 7, 0.125, maps=2), batch, weights=(0.3, 0.3))


@pytest.mark.torch
@pytest.mark.parametrize("variant", VARIANTS)
def test_names_and_shapes(variant):
    from models.torch_networks import GoogLeNet as Torch
    assert_names(GoogLeNet(variant=variant, seed=0), lambda: Torch(variant))


def test_numbers():
    """6.8 million parameters and 1.5 G multiply-adds, says the paper's table, which has no biases."""
    text = GoogLeNet(seed=0).summary()
    assert "predictions: 6,998,552 parameters, 1.583 G" in text and "training: 13,378,280 parameters" in text
    text = GoogLeNet(variant="batch_norm", seed=0).summary()
    assert "predictions: 6,624,904 parameters, 1.498 G" in text and "training: 13,004,888 parameters" in text
    assert "in all: 6,624,904 parameters" in GoogLeNet(variant="batch_norm", auxiliary=False, seed=0).summary()


def test_small_form_overfits_mnist():
    assert_overfits(GoogLeNet.small(width=0.125, seed=0))


@pytest.mark.parametrize("variant", VARIANTS)
@pytest.mark.parametrize("input_dim", [(1, 28, 28), (3, 32, 32), (2, 9, 13)])
def test_small_form_takes_small_images(variant, input_dim):
    network = GoogLeNet.small(input_dim, 3, variant=variant, width=0.1, seed=0)
    x = np.random.default_rng(0).random((2, *input_dim), np.float32)
    assert network.predict(x).shape == (2, 3)
    assert all(np.isfinite(grad).all() for grad in network.gradient(x, [0, 2]).values())


def test_predictions_do_not_run_the_auxiliary_classifiers():
    network = GoogLeNet.small((1, 28, 28), 10, width=0.1, seed=0)
    x = np.random.default_rng(0).random((2, 1, 28, 28), np.float32)
    expected = network.predict(x)
    arrays = network.state()
    for name in arrays:
        if name.startswith("aux"):
            arrays[name][...] = np.nan
    np.testing.assert_array_equal(network.predict(x), expected)
    assert np.isfinite(network.predict(x, train_flg=True)).all()
    assert np.isnan(network.loss(x, [0, 1]))


def test_wrong_arguments():
    with pytest.raises(ValueError, match="GoogLeNet: variant is 'bn', expected 'paper' or 'batch_norm'"):
        GoogLeNet(variant="bn")
    with pytest.raises(ValueError, match="GoogLeNet: .* does not fit; are the images"):
        GoogLeNet((3, 64, 64), width=0.1)  # the auxiliary classifier's 5x5 windows
