"""Training real networks: they learn, and the same seed gives the same bits."""
from __future__ import annotations

import numpy as np
import pytest

from fastconv.engine import Network
from fastconv.layers import Affine, Relu
from fastconv.models import DeepConvNet
from fastconv.threads import threads
from fastconv.trainer import Trainer


def quadrants(n, seed, dtype=np.float32):
    """Images 8x8 with one bright quarter, which is the label."""
    rng = np.random.default_rng(seed)
    t = rng.integers(0, 4, n)
    x = rng.random((n, 1, 8, 8)) * 0.2
    for image, label in zip(x, t, strict=True):
        image[0, label // 2 * 4:, label % 2 * 4:][:4, :4] += 0.7
    return (x * 255).astype(dtype) if dtype == np.uint8 else x.astype(dtype), t


def small_net(seed=0):
    conv = {"filter_num": 8, "filter_size": 3, "pad": 1, "stride": 1}
    return DeepConvNet((1, 8, 8), *6 * [conv], hidden_size=30, output_size=4, seed=seed)


@pytest.mark.parametrize("dtype", [np.float32, np.float64, np.uint8])
def test_learns_to_tell_quadrants(dtype):
    network = small_net()
    trainer = Trainer(network, *quadrants(200, 1, dtype), *quadrants(100, 2, dtype), epochs=15,
                      mini_batch_size=20, optimizer="Adam", optimizer_param={"lr": 0.004},
                      verbose=False, seed=0)
    trainer.train()
    assert trainer.final_test_acc > 0.9
    assert np.mean(trainer.train_loss_list[-10:]) < np.mean(trainer.train_loss_list[:10])
    assert network.params["W1"].dtype == np.float32


@pytest.mark.parametrize("optimizer, lr", [("SGD", 0.5), ("Momentum", 0.1), ("Nesterov", 0.1),
                                           ("AdaGrad", 0.1), ("RMSprop", 0.01), ("Adam", 0.05)])
def test_each_optimizer_learns_two_clouds(optimizer, lr):
    rng = np.random.default_rng(0)
    t = rng.integers(0, 2, 300)
    x = rng.normal(size=(300, 2)) + 5 * t[:, None]
    network = Network()
    network.add(Affine(rng.normal(size=(2, 8)), np.zeros(8)))
    network.add(Relu())
    network.add(Affine(rng.normal(size=(8, 2)), np.zeros(2)))
    trainer = Trainer(network, x[:200], t[:200], x[200:], np.eye(2)[t[200:]], epochs=10, mini_batch_size=30,
                      optimizer=optimizer, optimizer_param={"lr": lr}, verbose=False, seed=1)
    trainer.train()
    assert trainer.final_test_acc > 0.95


def trained(seed, n_threads=1):
    network = small_net(seed)
    with threads(n_threads):
        trainer = Trainer(network, *quadrants(50, 1), *quadrants(20, 2), epochs=2, mini_batch_size=16,
                          optimizer="Momentum", verbose=False, seed=seed)
        trainer.train()
    return dict(network.params), trainer.train_loss_list


@pytest.mark.parametrize("n_threads", [1, 2, 3])
def test_same_seed_same_bits_on_any_number_of_threads(n_threads):
    np.random.seed(n_threads)
    params, losses = trained(5)
    again, same_losses = trained(5, n_threads)
    assert losses == same_losses
    for key in params:
        np.testing.assert_array_equal(again[key], params[key])
    other, other_losses = trained(6)
    assert losses != other_losses
