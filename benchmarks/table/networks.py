"""DeepConvNet as a whole: inference, training steps, an epoch."""
from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from functools import partial
from typing import Any, NamedTuple

import numpy as np

import fastconv
from fastconv import dispatch

from .. import book, peers
from ..workload import Maker, Runner, Workload
from .eager import engine
from .shapes import CONVOLUTIONS

EPOCH = 1000        # images, trained on in batches and then evaluated, like EPOCH/6 to test with: as in 60,000 + 10,000
EPOCH_BATCH = 100
EVALUATED = (EPOCH, EPOCH // 6)  # images to train on, to test with
KEEP = 0.5          # what dropout keeps
KINKS = 2e-3        # by which gradients differ where rounding decides which ReLU is dead, which maximum is the first
FIRST_STEPS = 3     # whose losses are compared: later ones differ by the rounding of all steps before
# multiply-adds of one image: six convolutions, two Affine layers
IMAGE = sum(float(np.prod(s.out[1:])) * float(np.prod(s.weight[1:])) for s in CONVOLUTIONS[:6]) + 1024 * 50 + 50 * 10
FIRST = float(np.prod(CONVOLUTIONS[0].out[1:])) * 9  # the first layer's, whose data gradient nobody needs


class Images(NamedTuple):
    """A batch and the network's first parameters, the same for all."""

    x: np.ndarray
    t: np.ndarray
    params: dict[str, np.ndarray]


def rows() -> list[Workload]:
    """Return inference, training steps and an epoch, then a training step on denormal numbers."""
    step, backends = 2 * (3 * IMAGE - FIRST), dispatch.backends()
    training: dict[str, Maker] = {name: partial(_train, name) for name in backends} | {"book": _train_book}
    training |= {name: partial(_train_peer, make) for name, make in peers.training().items()}
    inference: dict[str, Maker] = {name: partial(_infer, name) for name in backends} | {"book": _infer_book}
    inference |= {name: partial(_infer_peer, make) for name, make in peers.inference().items()}
    epoch: dict[str, Maker] = {name: partial(_epoch, name) for name in backends} | {"book": _epoch_book}
    epoch |= {name: partial(_epoch_peer, make) for name, make in peers.epochs().items()}
    network = partial(Workload, group="network", bytes=lambda inputs: 0.0, headline=True, tolerance=KINKS)
    return [
        *(network(name=f"inference/batch-{n}", flops=2 * IMAGE * n, make=partial(images, n), makers=inference)
          for n in (1, 8, 100)),
        *(network(name=f"training-step/batch-{n}", flops=step * n, make=partial(images, n), makers=training)
          for n in (10, 100, 1000)),
        network(name="training-step/batch-100-on-one-thread", flops=step * 100, make=partial(images, 100),
                makers=training, threads=1),
        network(name=f"epoch/{EPOCH}-images", flops=step * EPOCH, make=partial(images, EPOCH), makers=epoch),
        network(name="training-step/denormals", group="traps", flops=step * 100, make=partial(denormal_images, 100),
                makers=training),
    ]


def images(n: int, rng: np.random.Generator) -> Images:
    """Return n images between 0 and 1, labels, parameters."""
    x = rng.random((n, 1, 28, 28), np.float32)
    params = fastconv.DeepConvNet(seed=rng).params
    return Images(x, rng.integers(0, 10, n), {key: np.array(value) for key, value in params.items()})


def denormal_images(n: int, rng: np.random.Generator) -> Images:
    """Return images and weights of which a part is denormal; the biases are not zero, so no activation's sign is."""
    x, t, params = images(n, rng)
    x[rng.random(x.shape) < 0.8] *= np.float32(1e-39)
    for key, value in params.items():
        if key.startswith("W"):
            value[rng.random(value.shape) < 0.3] *= np.float32(1e-39)
        else:
            value += rng.random(value.shape, np.float32) * np.float32(0.1)
    return Images(x, t, params)


def our_network(params: dict[str, np.ndarray]) -> fastconv.DeepConvNet:
    """Return a DeepConvNet with copies of `params`."""
    network = fastconv.DeepConvNet(seed=0)
    for key, value in params.items():
        network.params[key] = value.copy()
    return network


@contextmanager
def nothing_dropped(layers: Any, kind: type) -> Iterator[None]:
    """Let the Dropout layers keep everything in training: every uniform number exceeds -1."""
    dropouts = [layer for layer in layers if isinstance(layer, kind)]
    before = [layer.dropout_ratio for layer in dropouts]
    for layer in dropouts:
        layer.dropout_ratio = -1.0
    try:
        yield
    finally:
        for layer, ratio in zip(dropouts, before, strict=True):
            layer.dropout_ratio = ratio


def training_runner(network: Any, dropout: type, optimizer: Any, batch: Any, context: Callable[[], Any]) -> Runner:
    """Return training steps on ``batch.x`` and ``batch.t``; the results are the gradients, in the order of the keys."""
    def run() -> None:
        optimizer.update(network.params, network.gradient(batch.x, batch.t))

    def results() -> list[np.ndarray]:
        with nothing_dropped(network.layers, dropout):
            grads = network.gradient(batch.x, batch.t)
        return [grad for _, grad in sorted(grads.items())]

    return Runner(run, results, context)


def _train(backend: str, batch: Images, n_threads: int) -> Runner:
    return training_runner(our_network(batch.params), fastconv.Dropout, fastconv.Adam(), batch,
                            partial(engine, backend, n_threads))


def _train_book(batch: Images, n_threads: int) -> Runner:
    return training_runner(book.DeepConvNet(batch.params), book.Dropout, book.Adam(), batch, nullcontext)


def _train_peer(make: Any, batch: Images, n_threads: int) -> Runner:
    return make(batch.x, batch.t, our_network(batch.params), n_threads)


def _infer(backend: str, batch: Images, n_threads: int) -> Runner:
    network = our_network(batch.params)
    return Runner(lambda: network.predict(batch.x), lambda: [network.predict(batch.x)],
                  partial(engine, backend, n_threads))


def _infer_book(batch: Images, n_threads: int) -> Runner:
    network = book.DeepConvNet(batch.params)
    return Runner(lambda: network.predict(batch.x), lambda: [network.predict(batch.x)])


def _infer_peer(make: Any, batch: Images, n_threads: int) -> Runner:
    """Fold the book's dropout, which scales at test time, into the last layers."""
    W8, b8 = batch.params["W8"] * np.float32(KEEP * KEEP), batch.params["b8"] * np.float32(KEEP)
    return make(batch.x, our_network(batch.params | {"W8": W8, "b8": b8}), n_threads)


def _epoch(backend: str, data: Images, n_threads: int) -> Runner:
    def epoch(keep_all: bool) -> list[float]:
        network = our_network(data.params)
        trainer = fastconv.Trainer(network, data.x, data.t, data.x[:EVALUATED[1]], data.t[:EVALUATED[1]],
                                   epochs=1, mini_batch_size=EPOCH_BATCH, optimizer="Adam",
                                   optimizer_param={"lr": 0.001}, verbose=False)
        np.random.seed(0)  # the order of the images
        with nothing_dropped(network.layers if keep_all else (), fastconv.Dropout):
            while trainer.current_epoch == 0:
                trainer.train_step()
        return trainer.train_loss_list

    return Runner(lambda: epoch(False), lambda: [np.array(epoch(True)[:FIRST_STEPS])],
                  partial(engine, backend, n_threads))


def _epoch_peer(make: Any, data: Images, n_threads: int) -> Runner:
    np.random.seed(0)  # the Trainer's order of the images
    order = np.random.permutation(len(data.x))
    batches = [order[start:start + EPOCH_BATCH] for start in range(0, len(order), EPOCH_BATCH)]
    return make(data.x, data.t, our_network(data.params), batches, list(_evaluated()), FIRST_STEPS, n_threads)


def _evaluated() -> Iterator[slice]:
    """Yield the batches of an evaluation of the images to train on, then of those to test with."""
    for n in EVALUATED:
        for start in range(0, n, EPOCH_BATCH):
            yield slice(start, min(start + EPOCH_BATCH, n))


def _epoch_book(data: Images, n_threads: int) -> Runner:
    """Return the book's steps on the Trainer's batches, the evaluation included."""
    def steps(network: book.DeepConvNet, most: int) -> list[float]:
        optimizer, losses = book.Adam(), []
        np.random.seed(0)
        order = np.random.permutation(len(data.x))
        for start in range(0, most * EPOCH_BATCH, EPOCH_BATCH):
            batch = order[start:start + EPOCH_BATCH]
            optimizer.update(network.params, network.gradient(data.x[batch], data.t[batch]))
            losses.append(network.loss)
        return losses

    def run() -> None:
        network = book.DeepConvNet(data.params)
        steps(network, len(data.x) // EPOCH_BATCH)
        for some in _evaluated():
            network.predict(data.x[some])

    def results() -> list[np.ndarray]:
        network = book.DeepConvNet(data.params)
        with nothing_dropped(network.layers, book.Dropout):
            return [np.array(steps(network, FIRST_STEPS))]

    return Runner(run, results)
