"""The Trainer in the place of the book's: a network that it recognises trains on the engine."""
from __future__ import annotations

import time
from typing import Any

import numpy as np

from ..engine import Network
from ..progress import BOOK_EPOCH
from ..trainer import Trainer
from .report import report
from .trace import NotRecognised, Twin, predicts, recognise, watched


class BookTrainer(Trainer):
    """fastconv's `Trainer` with the book's lines and attributes.

    The first step of `train` runs layer by layer and is watched. If the network turns out to be a chain of the book's
    layers, the other steps and the evaluations run in the engine, and the parameters come back at the end.
    """

    _epoch_line = BOOK_EPOCH
    _must_be_finite = False  # the book's goes on with nan
    precision = np.dtype(np.float32)  # of the engine, for images that are no more precise

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.iter_per_epoch = max(self.train_size / self.batch_size, 1)
        self.max_iter = int(self.epochs * self.iter_per_epoch)
        self._twin: Twin | None = None
        self._predicts = self._is_known = False
        self._book_seconds = 0.0

    def train(self) -> None:
        """Train as the book's `train` does; Ctrl-C ends it after the running step, with KeyboardInterrupt."""
        # layers may have changed since the last call
        self._is_known = isinstance(self.network, Network)
        try:
            super().train()
        finally:
            self._leave_engine()
        if self.interrupted:
            raise KeyboardInterrupt

    def _update(self, batch: np.ndarray) -> float:
        if self._is_known and self._twin is None:
            return super()._update(batch)
        start = time.perf_counter()
        if self._twin is None:
            return self._watched_update(batch)
        grads, loss = self._twin.gradient(self.x_train, self.t_train, batch)
        self._change(self._twin.params, grads)
        if report.enabled:
            report.add("Trainer, steps of the engine", 1, time.perf_counter() - start,
                       self._book_seconds * len(batch) / self.batch_size)
        return loss

    def _watched_update(self, batch: np.ndarray) -> float:
        """Take the first step layer by layer, and see whether the engine can take the others."""
        x, t = self.x_train[batch], self.t_train[batch]
        with watched(self.network, x, t) as trace, report.book_seconds() as seconds:
            grads = self.network.gradient(x, t)
        self._book_seconds, self._is_known = seconds[0], True
        name = type(self.network).__name__
        try:
            chain, owners = recognise(self.network, x, t, trace, grads)
        except NotRecognised as reason:
            report.note(f"{name} trained layer by layer: {reason}")
            return self._apply(grads, x, t)
        loss = float(trace.forward[-1][0].loss)
        self._change(self.network.params, grads)
        dtype = np.result_type(self.precision, x.dtype) if x.dtype.kind == "f" else self.precision
        self._twin = Twin(chain, owners, dtype)
        self._predicts = predicts(self.network, self._twin, x[:1])
        if self._predicts:
            self.network.predict = self._twin.predict
        report.note(f"{name} trained on the engine in {dtype}")
        return loss

    def _accuracy(self, x: np.ndarray, t: np.ndarray) -> float:
        if not self._predicts:
            self._settle()
        return super()._accuracy(x, t)

    def _settle(self) -> None:
        if self._twin is not None:
            self._twin.write_back()

    def _leave_engine(self) -> None:
        if self._twin is not None:
            self._twin.write_back()
            vars(self.network).pop("predict", None)
            self._twin = None
