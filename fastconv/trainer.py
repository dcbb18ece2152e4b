"""Training by mini-batches: the book's Trainer with true epochs."""
from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from .engine import Network
from .interrupt import DeferredInterrupt
from .optimizers import OPTIMIZERS
from .progress import EPOCH, Lines, Reporter, reporter
from .shapes import whole

_LR = MappingProxyType({"lr": 0.01})


class Trainer:
    """Trains a network with the book's protocol: `params`, `loss`, `gradient`, `accuracy`.

    An epoch goes through the training data in a new order, each sample once, the last batch is what is left.
    Ctrl-C ends `train` after the step that is running; a second Ctrl-C raises KeyboardInterrupt.

    Parameters
    ----------
    network : object
        A `Network`, or any object with the book's protocol. Where ``network.last_layer.loss`` exists it is
        taken as the step's loss, else ``network.loss`` is called once more for it.
    x_train, t_train, x_test, t_test : array
        Samples and labels, passed on as they are, batch by batch.
    epochs : int, default 20
        Epochs of one `train` call; 0 only evaluates.
    mini_batch_size : int, default 100
    optimizer : str or object, default 'SGD'
        SGD, Momentum, Nesterov, AdaGrad, RMSprop (or the book's 'rmsprpo') or Adam, in any case, or an object
        with ``update(params, grads)``.
    optimizer_param : mapping, default {'lr': 0.01}
        Arguments of the optimizer named by a string.
    evaluate_sample_num_per_epoch : int, optional
        The accuracy after an epoch is taken of so many samples from the start of each data set. Default: all.
    verbose : bool, default True
        A progress bar on a terminal, one line per epoch elsewhere.
    seed : int or Generator, optional
        Where the order of the samples comes from, and through ``network.seed`` the dropout masks; without it
        from NumPy's global generator.
    on_epoch : callable, optional
        Called after each epoch with a dict of `epoch`, `loss` (mean of the epoch), `train_acc`, `test_acc`,
        `seconds` and `images_per_second` (both of the training steps alone).

    Attributes
    ----------
    train_loss_list : list of float
        The loss of each step.
    train_acc_list, test_acc_list : list of float
        The accuracies after each epoch.
    current_epoch, current_iter : int
        Finished epochs and steps.
    final_test_acc : float or None
        Accuracy on the whole test data after `train`.
    interrupted : bool
        Whether `train` ended before its last epoch.
    images_per_second : float
        Speed of the training steps in the latest epoch.

    Raises
    ------
    ValueError
        If samples and labels differ in number or there are none, a number is out of range, or the optimizer's
        name is unknown.
    """

    _epoch_line = EPOCH

    def __init__(self, network: Any, x_train: ArrayLike, t_train: ArrayLike,
                 x_test: ArrayLike, t_test: ArrayLike, epochs: int = 20, mini_batch_size: int = 100,
                 optimizer: Any = "SGD", optimizer_param: Mapping[str, Any] = _LR,
                 evaluate_sample_num_per_epoch: int | None = None, verbose: bool = True, *,
                 seed: int | np.random.Generator | None = None,
                 on_epoch: Callable[[dict[str, Any]], object] | None = None) -> None:
        self.network = network
        self.x_train, self.t_train = _samples(x_train, t_train, "train")
        self.x_test, self.t_test = _samples(x_test, t_test, "test")
        self.epochs = whole(epochs, "Trainer: epochs")
        self.batch_size = whole(mini_batch_size, "Trainer: mini_batch_size", 1)
        self.optimizer = _optimizer(optimizer, optimizer_param)
        if evaluate_sample_num_per_epoch is not None:
            whole(evaluate_sample_num_per_epoch, "Trainer: evaluate_sample_num_per_epoch", 1)
        self.evaluate_sample_num_per_epoch = evaluate_sample_num_per_epoch
        self.verbose = verbose
        self.on_epoch = on_epoch

        self.train_size = len(self.x_train)
        self.current_iter = 0
        self.current_epoch = 0
        self.train_loss_list: list[float] = []
        self.train_acc_list: list[float] = []
        self.test_acc_list: list[float] = []
        self.final_test_acc: float | None = None
        self.interrupted = False
        self.images_per_second = 0.0

        self._rng = None if seed is None else np.random.default_rng(seed)
        if self._rng is not None and hasattr(network, "seed"):
            network.seed(np.random.default_rng(self._rng.integers(2**63)))
        self._last_epoch = 0
        self._order: np.ndarray | None = None  # of the samples in the running epoch
        self._trained = 0  # samples of the running epoch
        self._loss = 0.0  # sum over these samples
        self._seconds = 0.0
        self._report: Reporter = Lines(self._epoch_line) if verbose else Reporter()
        self._interrupt = DeferredInterrupt()

    def train(self) -> None:
        """Train `epochs` epochs and take the final test accuracy.

        Called again it trains `epochs` more and counts on; after an interruption it trains what was left,
        from the sample where it stopped.
        """
        if not self.interrupted:
            self._last_epoch = self.current_epoch + self.epochs
        self.interrupted = False
        self.final_test_acc = None
        images = (self._last_epoch - self.current_epoch) * self.train_size - self._trained
        self._report = reporter(self.verbose, images, self._epoch_line)
        try:
            with self._interrupt:
                while self.current_epoch < self._last_epoch and not self._interrupt.requested:
                    self.train_step()
                if not self._interrupt.requested:
                    with self._interrupt.at_once():
                        self.final_test_acc = self._accuracy(self.x_test, self.t_test)
        finally:
            self.interrupted = self.final_test_acc is None
            self._report.close()
        if self.final_test_acc is None:
            self._report.interrupted(self.current_iter)
        else:
            self._report.final(self.final_test_acc)

    def train_step(self) -> None:
        """Train on the next mini-batch; after the last one of an epoch, evaluate."""
        if self._order is None:
            self._order = (np.random if self._rng is None else self._rng).permutation(self.train_size)
            self._trained, self._loss, self._seconds = 0, 0.0, 0.0
        batch = self._order[self._trained:self._trained + self.batch_size]
        if len(batch):  # none are left where the evaluation was interrupted
            self._step(batch)
        if self._trained == self.train_size and not self._interrupt.requested:
            self._finish_epoch()

    def _step(self, batch: np.ndarray) -> None:
        start = time.perf_counter()
        loss = self._update(batch)
        self._seconds += time.perf_counter() - start
        self._trained += len(batch)
        self._loss += loss * len(batch)
        self.images_per_second = self._trained / self._seconds
        self.train_loss_list.append(loss)
        self.current_iter += 1
        self._report.step(len(batch), loss)

    def _update(self, batch: np.ndarray) -> float:
        """Change the parameters by one batch and return its loss."""
        x, t = self.x_train, self.t_train
        if getattr(self.network.gradient, "__func__", None) is Network.gradient:
            return self._apply(self.network.gradient(x, t, batch), x, t, batch)  # reads the samples where they are
        x, t = x[batch], t[batch]
        return self._apply(self.network.gradient(x, t), x, t)

    def _apply(self, grads: Mapping[str, Any], x: np.ndarray, t: np.ndarray, batch: Any = slice(None)) -> float:
        """Update the parameters and return the loss that the gradients are of; where there is none, the new one."""
        loss = getattr(getattr(self.network, "last_layer", None), "loss", None)
        if loss is not None:
            loss += getattr(self.network, "penalty", 0)
        self.optimizer.update(self.network.params, grads)
        return float(self.network.loss(x[batch], t[batch]) if loss is None else loss)

    def _accuracy(self, x: np.ndarray, t: np.ndarray) -> float:
        return float(self.network.accuracy(x, t))

    def _finish_epoch(self) -> None:
        n = self.evaluate_sample_num_per_epoch
        with self._interrupt.at_once():
            train_acc = self._accuracy(self.x_train[:n], self.t_train[:n])
            test_acc = self._accuracy(self.x_test[:n], self.t_test[:n])
        self.train_acc_list.append(train_acc)
        self.test_acc_list.append(test_acc)
        self.current_epoch += 1
        self._order = None
        self._trained = 0
        record = {"epoch": self.current_epoch, "loss": self._loss / self.train_size, "train_acc": train_acc,
                  "test_acc": test_acc, "seconds": self._seconds, "images_per_second": self.images_per_second}
        self._report.epoch(record)
        if self.on_epoch is not None:
            self.on_epoch(record)


def _samples(x: ArrayLike, t: ArrayLike, name: str) -> tuple[np.ndarray, np.ndarray]:
    x, t = np.asanyarray(x), np.asanyarray(t)
    if not (x.ndim and t.ndim):
        raise ValueError(f"Trainer: x_{name} has shape {x.shape} and t_{name} has shape {t.shape}, expected samples "
                         "along the first axis")
    if len(x) != len(t):
        raise ValueError(f"Trainer: x_{name} has {len(x)} samples but t_{name} has {len(t)} labels")
    if not len(x):
        raise ValueError(f"Trainer: x_{name} has no samples")
    return x, t


def _optimizer(optimizer: Any, param: Mapping[str, Any]) -> Any:
    if isinstance(optimizer, str):
        if optimizer.lower() not in OPTIMIZERS:
            known = ", ".join(dict.fromkeys(kind.__name__ for kind in OPTIMIZERS.values()))
            raise ValueError(f"Trainer: there is no optimizer {optimizer!r}; there are: {known}")
        return OPTIMIZERS[optimizer.lower()](**param)
    if not hasattr(optimizer, "update") or isinstance(optimizer, type):
        raise TypeError(f"Trainer: optimizer is {optimizer!r}, expected a name or an object with "
                        "update(params, grads)")
    return optimizer
