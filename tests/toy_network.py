"""A network of the book's protocol that only takes notes, for the tests of the Trainer."""
from __future__ import annotations

import numpy as np

from fastconv.trainer import Trainer

N = 23


class ToyNetwork:
    """The smallest network with the book's protocol; it writes down what it is given."""

    def __init__(self):
        self.params = {"w": np.zeros(2)}
        self.batches, self.evaluated, self.losses = [], [], 0
        self.on_gradient = self.on_accuracy = lambda call: None

    def loss(self, x, t):
        self.losses += 1
        return 10.0 * len(x)

    def gradient(self, x, t):
        np.testing.assert_array_equal(t, x[:, 0] % 10)
        self.batches.append(x[:, 0].tolist())
        self.on_gradient(len(self.batches))
        return {"w": np.ones(2)}

    def accuracy(self, x, t):
        self.evaluated.append(len(x))
        self.on_accuracy(len(self.evaluated))
        return np.float64(len(x) / 100)


def numbered(n=N):
    x = np.arange(n)[:, None]
    return x, x[:, 0] % 10


def toy_trainer(network=None, **arguments):
    network = network or ToyNetwork()
    arguments = {"epochs": 3, "mini_batch_size": 5, "verbose": False, **arguments}
    return network, Trainer(network, *numbered(), *numbered(7), **arguments)
