"""The networks for photographs, whole: inference and training steps on images of 224x224.

The NumPy reference would take minutes on them, so they are compared with the first peer that is installed, and with the
reference only where there is none.
"""
from __future__ import annotations

import copy
from functools import partial
from typing import Any, NamedTuple

import numpy as np

import fastconv
from fastconv import dispatch
from fastconv.engine import Network
from fastconv.models import ZOO

from .. import peers
from ..workload import ORACLE, Maker, Runner, Workload
from .eager import engine
from .networks import training_runner

SIZE, CLASSES = (3, 224, 224), 1000
# tolerance of float32 gradients, by the root of the mean square. Rounding decides on which side of a ReLU's kink a
# value is, and which one is a maximum: single gradients of ResNet-18 in PyTorch's two layouts differ by a tenth, all
# together by 0.005. Small networks are compared to 1e-9 in float64, in the tests
KINKS = 0.03
# multiply-adds of one image, and of its first layer, whose data gradient nobody needs
MULTIPLY_ADDS = {
    "vgg16": (15_470_264_320, 86_704_128),
    "resnet50": (4_089_184_256, 118_013_952),
    "resnet18": (1_814_073_344, 118_013_952),
    "googlenet-paper": (1_582_671_872, 118_013_952),
    "alexnet-paper": (724_406_816, 105_415_200),
}
OPTIONS = {"googlenet-paper": {"auxiliary": False}}  # the scores that only training needs
INFERENCE = (("vgg16", 8), ("vgg16", 1), ("resnet50", 8), ("resnet50", 1), ("resnet18", 8), ("googlenet-paper", 8),
             ("alexnet-paper", 8))
TRAINING = (("vgg16", 8), ("resnet18", 8))


class Photographs(NamedTuple):
    """A batch, and a network with the first parameters of all implementations: they copy what they change."""

    x: np.ndarray
    t: np.ndarray
    network: Network


def unsettle(network: Network, rng: np.random.Generator) -> None:
    """Draw what is 0 or 1 in an untrained network: biases, gamma, beta and the running statistics."""
    for layer in network._graph.layers:
        if getattr(layer, "b", None) is not None:
            layer.b[...] = 0.1 * rng.standard_normal(layer.b.shape)
        if isinstance(layer, fastconv.BatchNormalization):
            size = np.shape(layer.gamma)
            for array in (layer.gamma, layer.running_var):
                array[...] = 0.5 + rng.random(size)
            for array in (layer.beta, layer.running_mean):
                array[...] = 0.1 * rng.standard_normal(size)


def rows() -> list[Workload]:
    """Return inference, then training steps; a row's network is built when the row is measured."""
    row = partial(Workload, group="photographs", bytes=lambda inputs: 0.0, headline=True, patience=50)
    oracle, makers = _makers(_infer, _infer_peer, peers.inference())
    found = [row(name=f"inference/{name}-batch-{n}", flops=2.0 * n * MULTIPLY_ADDS[name][0],
                 make=partial(photographs, name, n), makers=makers, oracle=oracle, tolerance=1e-3)
             for name, n in INFERENCE]
    oracle, makers = _makers(_train, _train_peer, peers.training())
    for name, n in TRAINING:
        every, first = MULTIPLY_ADDS[name]
        found.append(row(name=f"training-step/{name}-batch-{n}", flops=2.0 * n * (3 * every - first),
                         make=partial(photographs, name, n), makers=makers, oracle=oracle, tolerance=KINKS,
                         overall=True, one_at_a_time=True))
    return found


def _makers(ours: Any, theirs: Any, others: dict[str, Any]) -> tuple[str, dict[str, Maker]]:
    """Return the oracle and the implementations."""
    oracle = next(iter(others), ORACLE)
    makers: dict[str, Maker] = {name: partial(ours, name) for name in dispatch.backends() if name != ORACLE}
    if oracle == ORACLE:
        makers[ORACLE] = partial(ours, ORACLE)
    return oracle, makers | {name: partial(theirs, make) for name, make in others.items()}


def photographs(name: str, n: int, rng: np.random.Generator) -> Photographs:
    """Return n images around 0, labels, and the network of that name in the ZOO."""
    network = ZOO[name](input_dim=SIZE, num_classes=CLASSES, seed=rng, **OPTIONS.get(name, {}))
    unsettle(network, rng)
    return Photographs(rng.standard_normal((n, *SIZE), np.float32), rng.integers(0, CLASSES, n), network)


def _infer(backend: str, batch: Photographs, n_threads: int) -> Runner:
    batch.network.freeze()  # the peers' weights cannot be changed either
    return Runner(lambda: batch.network.predict(batch.x), lambda: [batch.network.predict(batch.x)],
                  partial(engine, backend, n_threads))


def _infer_peer(make: Any, batch: Photographs, n_threads: int) -> Runner:
    return make(batch.x, batch.network, n_threads)


def _train(backend: str, batch: Photographs, n_threads: int) -> Runner:
    return training_runner(copy.deepcopy(batch.network), fastconv.Dropout, fastconv.Adam(), batch,
                           partial(engine, backend, n_threads))


def _train_peer(make: Any, batch: Photographs, n_threads: int) -> Runner:
    return make(batch.x, batch.t, batch.network, n_threads)
