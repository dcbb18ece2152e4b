"""The networks by name, and what all of them share."""
from __future__ import annotations

import copy
import pickle

import numpy as np
import pytest

from fastconv import Trainer
from fastconv.engine import Network
from fastconv.engine.output_shapes import output_shapes
from fastconv.layers import BatchNormalization
from fastconv.models import ZOO, AlexNet, GoogLeNet, ResNet, SmallResNet
from fastconv.models.image_network import ImageNetwork
from fastconv.models.initialize import he

SMALL = {
    "alexnet": lambda **how: AlexNet.small(width=0.05, **how),
    "alexnet-paper": lambda **how: AlexNet.small(width=0.05, variant="paper", **how),
    "googlenet": lambda **how: GoogLeNet.small(width=0.05, **how),
    "googlenet-paper": lambda **how: GoogLeNet.small(width=0.05, variant="paper", **how),
    "resnet50": lambda **how: ResNet(50, **({"input_dim": (1, 28, 28), "num_classes": 10} | how), width=0.05),
    "resnet20": lambda **how: SmallResNet(**({"input_dim": (1, 28, 28)} | how), width=0.2),
}


def test_names():
    assert list(ZOO) == [
        "alexnet", "alexnet-paper", "vgg11", "vgg13", "vgg16", "vgg19", "vgg11_bn", "vgg13_bn", "vgg16_bn", "vgg19_bn",
        "googlenet", "googlenet-paper", "resnet18", "resnet34", "resnet50", "resnet101", "resnet152", "resnet20",
        "resnet32", "resnet56", "deepconvnet"]
    assert AlexNet().variant == "paper" and ZOO["alexnet"](num_classes=2).variant == "one-tower"


@pytest.mark.parametrize("name", [name for name in ZOO if name not in ("resnet101", "resnet152")])
def test_every_network_takes_its_input_and_classes(name):
    size = (1, 30, 34) if name in ("resnet20", "resnet32", "resnet56", "deepconvnet") else (1, 160, 145)
    network = ZOO[name](input_dim=size, num_classes=3)
    assert isinstance(network, Network) and network.input_dim == size
    assert output_shapes(network._graph, size)[len(network.layers) - 1] == (3,)


@pytest.mark.parametrize("make", SMALL.values(), ids=SMALL)
def test_he_s_weights(make):
    network = make(seed=0)
    deviations = [np.std(W) * np.sqrt(np.prod(W.shape[1:]) if W.ndim == 4 else len(W)) for key, W in
                  network.params.items() if key.startswith("W") and W.size > 500]
    assert deviations
    np.testing.assert_allclose(deviations, np.sqrt(2), rtol=0.1)
    for key, value in network.params.items():
        if not key.startswith("W"):
            np.testing.assert_array_equal(value, 1 if key.startswith("gamma") else 0)
        assert value.dtype == np.float32


@pytest.mark.parametrize("make", SMALL.values(), ids=SMALL)
def test_seeds(make):
    x, t = np.random.default_rng(0).random((2, 1, 28, 28), np.float32), [1, 7]
    networks = [make(seed=4), make(seed=4), make(seed=5)]
    losses = [network.loss(x, t) for network in networks]  # with dropout
    assert losses[0] == losses[1] != losses[2]
    np.random.seed(1)
    first = make()
    np.random.seed(1)
    second, third = make(), make()
    np.testing.assert_array_equal(first.params["W1"], second.params["W1"])
    assert (second.params["W1"] != third.params["W1"]).any()


@pytest.mark.parametrize("dtype", [np.float16, np.float64])
def test_he_in_other_dtypes(dtype):
    network = SmallResNet(8, width=0.5, dtype=dtype, seed=0)
    before = network.params["W2"].copy()
    assert before.dtype == dtype and abs(before.astype(float).std() - np.sqrt(2 / 72)) < 0.02
    he(network, np.random.default_rng(1))
    assert (network.params["W2"] != before).any()


@pytest.mark.parametrize("make", SMALL.values(), ids=SMALL)
def test_trains_with_the_trainer(make):
    network = make(seed=0)
    rng = np.random.default_rng(0)
    x, t = rng.integers(0, 256, (7, 1, 28, 28), np.uint8), rng.integers(0, 10, 7)
    trainer = Trainer(network, x, t, x, t, epochs=2, mini_batch_size=3, optimizer="Adam", verbose=False, seed=1)
    before = {name: value.copy() for name, value in network.state().items()}
    trainer.train()
    assert len(trainer.train_loss_list) == 6 and np.isfinite(trainer.train_loss_list).all()
    for name, value in network.state().items():  # a bias that is all zeros may get no gradient in two epochs
        assert (value != before[name]).any() or name.endswith("bias"), name


@pytest.mark.parametrize("make", SMALL.values(), ids=SMALL)
def test_state_round_trip(make, tmp_path):
    network, other = make(seed=0), make(seed=1)
    x = np.random.default_rng(0).random((3, 1, 28, 28), np.float32)
    network.loss(x, [1, 2, 3])  # moves the statistics
    assert all("." in name for name in network.state())
    network.save_params(tmp_path / "p.npz")
    other.load_params(tmp_path / "p.npz")
    np.testing.assert_array_equal(other.predict(x), network.predict(x))
    for duplicate in (copy.deepcopy(network), pickle.loads(pickle.dumps(network))):
        np.testing.assert_array_equal(duplicate.predict(x), network.predict(x))


@pytest.mark.parametrize("make", SMALL.values(), ids=SMALL)
def test_one_network_s_weights_are_refused_by_another(make):
    network, other = make(seed=0), make(seed=0, num_classes=4)
    with pytest.raises(ValueError, match=r"(fc|classifier.6).weight has shape \(10, \d+\), expected \(4, \d+\)"):
        other.load_state(network.state())


def test_widths_are_rounded_to_whole_groups():
    network = ImageNetwork((3, 8, 8), 2, 0.1, np.float32)
    assert [network.channels(n) for n in (64, 96, 3)] == [6, 10, 1]
    network.multiple = 2
    assert [network.channels(n) for n in (256, 384, 3)] == [26, 38, 2]
    network.multiple = 1
    network.conv("a", 64, 3, (2, 1), 1)
    assert network.shape() == (6, 4, 8) == network.shape(0) and network.shape(-1) == (3, 8, 8)


def test_batch_normalization_starts_at_zero_and_one():
    for network in (GoogLeNet.small(width=0.05, seed=0), SmallResNet(8, seed=0)):
        found = [layer for layer in network.layers if isinstance(layer, BatchNormalization)]
        assert {layer.eps for layer in found} == {1e-3 if isinstance(network, GoogLeNet) else 1e-5}
        for layer in found:
            assert layer.unbiased and layer.momentum == 0.9
            assert not layer.running_mean.any() and (layer.running_var == 1).all()
            assert layer.running_mean.dtype == np.float32


def test_averages_of_maps():
    network = ImageNetwork((2, 8, 12), 2, 1.0, np.float32)
    assert network.add(BatchNormalization(np.ones(2), np.zeros(2))) == 0
    node = network.average_to(4)
    assert type(network.layers[node]).__name__ == "Pooling" and network.shape() == (2, 4, 4)
    assert network.average_to(4) == node and len(network.layers) == 2
    assert type(network.layers[network.average_to(3, reads=0)]).__name__ == "AdaptiveAveragePooling"
    x = np.random.default_rng(0).random((1, 2, 8, 12), np.float32)
    np.testing.assert_allclose(network.layers[node].forward(x), x.reshape(1, 2, 4, 2, 4, 3).mean((3, 5)), 1e-6)
