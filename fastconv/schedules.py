"""Learning rates that change in training: callables from the epochs done, a float, to the next step's rate.

>>> schedule = Cosine(0.1, epochs=20, warmup=1)
>>> Trainer(network, x_train, t_train, x_test, t_test, epochs=20, optimizer="Momentum", schedule=schedule)
"""
from __future__ import annotations

import math
from collections.abc import Mapping

from .shapes import number


class Cosine:
    """From `lr` down to 0 along half a cosine (Loshchilov and Hutter, 2017, without restarts).

    ``lr * (1 + cos(pi * done / epochs)) / 2``, from `epochs` on 0. With `warmup` the rate first rises in a line from 0
    to `lr`, and the cosine takes the epochs that are left.

    Parameters
    ----------
    lr : float
    epochs : float
        After so many it ends, warm-up included.
    warmup : float, default 0
        Epochs of the rise.

    Raises
    ------
    ValueError
        If `lr` or `epochs` is not above 0 and finite, or `warmup` not from 0 to below `epochs`.
    """

    def __init__(self, lr: float, epochs: float, warmup: float = 0.0) -> None:
        self.lr = _positive(lr, "Cosine: lr")
        self.epochs = _positive(epochs, "Cosine: epochs")
        self.warmup = number(warmup, "Cosine: warmup")
        if not 0 <= self.warmup < self.epochs:
            raise ValueError(f"Cosine: warmup must be from 0 to below epochs, {epochs!r}, got {warmup!r}")

    def __call__(self, done: float) -> float:
        if done < self.warmup:
            return self.lr * done / self.warmup
        share = min((done - self.warmup) / (self.epochs - self.warmup), 1.0)
        return self.lr * (1 + math.cos(math.pi * share)) / 2

    def __repr__(self) -> str:
        return f"Cosine({self.lr}, {self.epochs}, {self.warmup})"


class Steps:
    """`lr`, from each epoch in `factors` on times its factor.

    Parameters
    ----------
    lr : float
    factors : mapping of float to float
        Epochs done -> factor; several multiply: ``Steps(0.1, {30: 0.1, 60: 0.1})`` ends with 0.001.

    Raises
    ------
    ValueError
        If `lr` or a factor is not above 0 and finite.
    """

    def __init__(self, lr: float, factors: Mapping[float, float]) -> None:
        self.lr = _positive(lr, "Steps: lr")
        self.factors = {number(epoch, "Steps: each epoch"): _positive(factor, "Steps: each factor")
                        for epoch, factor in factors.items()}

    def __call__(self, done: float) -> float:
        return math.prod((factor for epoch, factor in self.factors.items() if epoch <= done), start=self.lr)

    def __repr__(self) -> str:
        return f"Steps({self.lr}, {self.factors})"


def _positive(value: float, name: str) -> float:
    if not 0 < number(value, name) < math.inf:
        raise ValueError(f"{name} must be above 0 and finite, got {value!r}")
    return float(value)
