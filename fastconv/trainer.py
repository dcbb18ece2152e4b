"""Training by mini-batches: the book's Trainer with true epochs."""
from __future__ import annotations

import math
import os
import time
from collections.abc import Callable, Iterable, Mapping
from contextlib import nullcontext
from types import MappingProxyType
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from .engine import Network
from .interrupt import TERMINATED, DeferredInterrupt
from .progress import EPOCH, Lines, Reporter, reporter
from .shapes import whole
from .training.arguments import (
    book_network,
    callbacks_of,
    called,
    folder_path,
    limit_of,
    optimizer_of,
    samples,
    schedule_of,
    seeded,
)
from .training.checkpoint import put_checkpoint
from .training.clip import clipped
from .training.finite import NotFinite, check_parameters, explained
from .training.folder_lock import locked
from .training.network_state import normalizations_of
from .training.run_folder import RunFolder

_LR = MappingProxyType({"lr": 0.01})


class Trainer:
    """Trains a network with the book's protocol: `params`, `loss`, `gradient`, `accuracy`.

    An epoch goes through the training data in a new order, each sample once, the last batch is what is left.
    Ctrl-C ends `train` after the step that is running; a second Ctrl-C raises KeyboardInterrupt. With `checkpoint`
    SIGTERM ends it after that step, too, by SystemExit with the code 143.

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
    checkpoint : path, optional
        Folder of the run, made if missing: ``checkpoint.npz``, from which `resume` goes on, ``best.pkl``, the
        parameters with the best test accuracy so far, and ``history.jsonl``, a line per epoch with what `on_epoch` is
        told. Checkpoints are written when `train` begins and ends, also by Ctrl-C and SIGTERM, and between by `every`.
        A file that cannot be written is a warning (see `unwritten`); its old one stays whole.
    every : int, optional
        Steps from checkpoint to checkpoint. Default: after each epoch.
    schedule : callable, optional
        From the epochs done, with the share of the running one, to the learning rate of the next step; see
        `fastconv.schedules`. It sets the optimizer's `lr`.
    clip : float, optional
        The gradients of a step are scaled to this L2 norm of all together where theirs is larger.
    patience : int, optional
        `train` ends when the test accuracy of so many epochs has not been better than its best before them.
    callbacks : iterable of objects
        With ``on_step(trainer)``, called after each step, ``on_epoch(trainer, record)``, called after `on_epoch`, or
        both. They may call `stop`, and change the optimizer's settings. Checkpoints do not keep what they remember.

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
    history : list of dict
        What `on_epoch` was told.
    best_epoch : int
        The first epoch with the best test accuracy, 0 before any.
    settings : dict
        Empty, and the caller's: what JSON can hold. Checkpoints keep it.
    unwritten : dict of str to OSError
        Files of the run's folder that could not be written when that was last tried, and why.

    Raises
    ------
    ValueError
        If samples and labels differ in number or there are none, a number is out of range, the optimizer's name is
        unknown, or `checkpoint` is empty.
    TypeError
        If an argument is of another kind, or there is a schedule and the optimizer has no `lr`.
    OSError
        If the folder cannot be made.
    """

    _epoch_line = EPOCH
    _must_be_finite = True

    def __init__(self, network: Any, x_train: ArrayLike, t_train: ArrayLike,
                 x_test: ArrayLike, t_test: ArrayLike, epochs: int = 20, mini_batch_size: int = 100,
                 optimizer: Any = "SGD", optimizer_param: Mapping[str, Any] = _LR,
                 evaluate_sample_num_per_epoch: int | None = None, verbose: bool = True, *,
                 seed: int | np.random.Generator | None = None,
                 on_epoch: Callable[[dict[str, Any]], object] | None = None,
                 checkpoint: str | os.PathLike[str] | None = None, every: int | None = None,
                 schedule: Callable[[float], float] | None = None, clip: float | None = None,
                 patience: int | None = None, callbacks: Iterable[Any] = ()) -> None:
        self.network = book_network(network)
        self.x_train, self.t_train = samples(network, x_train, t_train, "train")
        self.x_test, self.t_test = samples(network, x_test, t_test, "test")
        self.epochs = whole(epochs, "Trainer: epochs")
        self.batch_size = whole(mini_batch_size, "Trainer: mini_batch_size", 1)
        self.optimizer = optimizer_of(optimizer, optimizer_param)
        if evaluate_sample_num_per_epoch is not None:
            whole(evaluate_sample_num_per_epoch, "Trainer: evaluate_sample_num_per_epoch", 1)
        self.evaluate_sample_num_per_epoch = evaluate_sample_num_per_epoch
        self.verbose = verbose
        self.on_epoch = called("on_epoch", on_epoch, "print")
        self.every = None if every is None else whole(every, "Trainer: every", 1)
        self.schedule = schedule_of(schedule, self.optimizer)
        self.clip = limit_of(clip)
        self.patience = None if patience is None else whole(patience, "Trainer: patience", 1)
        self.callbacks = callbacks_of(callbacks)
        self._rng = seeded(seed)
        self._folder = None if checkpoint is None else RunFolder(folder_path("Trainer: checkpoint", checkpoint))

        self.train_size, self.test_size = len(self.x_train), len(self.x_test)
        self.current_iter = 0
        self.current_epoch = 0
        self.train_loss_list: list[float] = []
        self.train_acc_list: list[float] = []
        self.test_acc_list: list[float] = []
        self.history: list[dict[str, Any]] = []
        self.settings: dict[str, Any] = {}
        self.final_test_acc: float | None = None
        self.interrupted = False
        self.images_per_second = 0.0

        if self._rng is not None and hasattr(network, "seed"):
            network.seed(np.random.default_rng(self._rng.integers(2**63)))
        self._normalizations = normalizations_of(network)
        self._first_epoch, self._last_epoch = 0, self.epochs  # of the `train` call that is running, or goes on next
        self._goes_on = False
        self._stopped = False
        self._order: np.ndarray | None = None  # of the samples in the running epoch
        self._trained = 0  # samples of the running epoch
        self._loss = 0.0  # sum over these samples
        self._seconds = 0.0
        self._report: Reporter = Lines(self._epoch_line) if verbose else Reporter()
        self._interrupt = DeferredInterrupt()

    @property
    def best_epoch(self) -> int:
        return 1 + _first_best(self.test_acc_list) if self.test_acc_list else 0

    @property
    def unwritten(self) -> dict[str, OSError]:
        return {} if self._folder is None else dict(self._folder.unwritten)

    @property
    def is_finished(self) -> bool:
        """Whether `train` has nothing left to train: its epochs are done, or it was stopped."""
        return self._stopped or self.current_epoch >= self._last_epoch

    def train(self) -> None:
        """Train `epochs` epochs and take the final test accuracy.

        Called again it trains `epochs` more and counts on; after an interruption or `resume` it trains what was left,
        from the sample where it stopped.

        Raises
        ------
        FloatingPointError
            The loss, or a parameter, is nan or inf. The message says where that begins and what to try; the last
            checkpoint stays.
        FileExistsError
            The folder has the checkpoint of another run that is not finished, or another process is training there.
        """
        with nullcontext() if self._folder is None else locked(self._folder.path):
            self._train()

    def _train(self) -> None:
        """Train, with the folder for this process alone."""
        if not self._goes_on:
            self._first_epoch = self.current_epoch
        self._last_epoch = self._first_epoch + self.epochs
        self._stopped = self._is_out_of_patience()
        self.interrupted = False
        self.final_test_acc = None
        images = max(self._last_epoch - self.current_epoch, 0) * self.train_size - self._trained
        self._report = reporter(self.verbose, images, self._epoch_line)
        self._interrupt = interrupt = DeferredInterrupt(sigterm=self._folder is not None)
        try:
            with interrupt:
                self._keep()
                while not self.is_finished and not interrupt.requested:
                    self.train_step()
                if not interrupt.requested:
                    with interrupt.at_once():
                        self.final_test_acc = self._accuracy(self.x_test, self.t_test)
        finally:
            self.interrupted = self._goes_on = self.final_test_acc is None
            self._report.close()
        with interrupt:
            self._keep()
        if self.final_test_acc is None:
            self._report.interrupted(self.current_iter)
        else:
            self._report.final(self.final_test_acc)
        if interrupt.terminated:
            raise SystemExit(TERMINATED)

    def stop(self) -> None:
        """End `train` after the step that is running, as if its epochs were done."""
        self._stopped = True

    def resume(self, folder: str | os.PathLike[str] | None = None) -> None:
        """Bring everything to where the checkpoint of a run was taken, so that `train` goes on with that run.

        The trainer has to be made as that run's was. Where the run was killed, the result is the same, bit for bit, as
        if it had not been; with more `epochs`, it then trains on. The optimizer's numbers, such as `lr`, and the states
        of all random generators, NumPy's global one too, are those of the checkpoint.

        Parameters
        ----------
        folder : path, optional
            The run's folder, from now on also this trainer's. Default: the one given as `checkpoint`.

        Raises
        ------
        FileNotFoundError
            There is no checkpoint in it.
        ValueError
            The checkpoint is damaged, or of another network, optimizer, data size or batch size; nothing is changed.
        """
        run = self._folder if folder is None else RunFolder(folder_path("Trainer.resume: folder", folder))
        if run is None:
            raise ValueError("Trainer.resume: there is no folder; give one here or to Trainer(..., checkpoint=)")
        put_checkpoint(run.read(), self)
        run.take_over(self)
        self._folder = run
        self._goes_on = True

    def train_step(self) -> None:
        """Train on the next mini-batch; after the last one of an epoch, evaluate; write a checkpoint that is due."""
        if self._order is None:
            self._order = (np.random if self._rng is None else self._rng).permutation(self.train_size)
            self._trained, self._loss, self._seconds = 0, 0.0, 0.0
        batch = self._order[self._trained:self._trained + self.batch_size]
        if len(batch):  # none are left where the evaluation was interrupted
            self._step(batch)
        if self._trained == self.train_size and not self._interrupt.requested:
            self._finish_epoch()
        if self._order is None if self.every is None else self.current_iter % self.every == 0:
            self._keep()

    def _step(self, batch: np.ndarray) -> None:
        start = time.perf_counter()
        if self.schedule is not None:
            self.optimizer.lr = self.schedule(self.current_epoch + self._trained / self.train_size)
        statistics = [(layer, layer.running_mean, layer.running_var) for layer in self._normalizations]
        try:
            loss = self._update(batch)
        except NotFinite as fault:
            raise FloatingPointError(explained(fault, self, batch, statistics)) from None
        self._seconds += time.perf_counter() - start
        self._trained += len(batch)
        self._loss += loss * len(batch)
        self.images_per_second = self._trained / self._seconds
        self.train_loss_list.append(loss)
        self.current_iter += 1
        self._report.step(len(batch), loss)
        for callback in self.callbacks:
            if hasattr(callback, "on_step"):
                callback.on_step(self)

    def _update(self, batch: np.ndarray) -> float:
        """Change the parameters by one batch and return its loss."""
        x, t = self.x_train, self.t_train
        if getattr(self.network.gradient, "__func__", None) is Network.gradient:
            return self._apply(self.network.gradient(x, t, batch), x, t, batch)  # reads the samples where they are
        x, t = x[batch], t[batch]
        return self._apply(self.network.gradient(x, t), x, t)

    def _apply(self, grads: Mapping[str, Any], x: np.ndarray, t: np.ndarray, batch: Any = ...) -> float:
        """Update the parameters and return the loss that the gradients are of; where there is none, the new one."""
        loss = getattr(getattr(self.network, "last_layer", None), "loss", None)
        if loss is not None:
            loss += getattr(self.network, "penalty", 0)
            self._check(loss, False)
        self._change(self.network.params, grads)
        if loss is None:
            loss = self.network.loss(x[batch], t[batch])
            self._check(loss, True)
        return float(loss)

    def _change(self, params: Any, grads: Mapping[str, Any]) -> None:
        self.optimizer.update(params, grads if self.clip is None else clipped(grads, params, self.clip))

    def _check(self, loss: float, updated: bool) -> None:
        if self._must_be_finite and not math.isfinite(loss):
            raise NotFinite(f"the loss is {loss}", updated)

    def _keep(self) -> None:
        """Write a checkpoint, if there is a folder for it."""
        if self._folder is not None:
            self._settle()
            if self._must_be_finite:
                check_parameters(self)
            self._folder.write_checkpoint(self)

    def _settle(self) -> None:
        """Bring the network's parameters up to date, where something else trains in its place."""

    def _is_out_of_patience(self) -> bool:
        if self.patience is None or self.current_epoch <= self._first_epoch:
            return False
        best = self._first_epoch + 1 + _first_best(self.test_acc_list[self._first_epoch:])
        return self.current_epoch - best >= self.patience

    def _accuracy(self, x: np.ndarray, t: np.ndarray) -> float:
        return float(self.network.accuracy(x, t))

    def _finish_epoch(self) -> None:
        if self._must_be_finite:
            check_parameters(self)
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
        self.history.append(dict(record))
        self._stopped |= self._is_out_of_patience()
        if self._folder is not None:
            self._folder.write_history(self.history)
            if self.best_epoch == self.current_epoch:
                self._settle()
                self._folder.write_best(self.network)
        self._report.epoch(record)
        if self.on_epoch is not None:
            self.on_epoch(record)
        for callback in self.callbacks:
            if hasattr(callback, "on_epoch"):
                callback.on_epoch(self, record)


def _first_best(accuracies: list[float]) -> int:
    """Return the place of the first of the largest accuracies; nan is less than any."""
    return max(range(len(accuracies)), key=lambda i: -math.inf if math.isnan(accuracies[i]) else accuracies[i])
