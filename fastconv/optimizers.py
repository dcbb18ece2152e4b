"""The book's six optimizers; ``update(params, grads)`` changes the parameters in place.

float32 and float64 arrays go to the kernels as they are. Anything else a dictionary may hold
(Python floats, float16, views that are not contiguous) goes through a contiguous float32 or float64 copy.

>>> params = {"x": -7.0, "y": 2.0}
>>> SGD(lr=0.1).update(params, {"x": -0.7, "y": 4.0})
>>> params
{'x': -6.93, 'y': 1.6}
"""
from __future__ import annotations

import numbers
from abc import ABC, abstractmethod
from collections.abc import Mapping, MutableMapping
from typing import Any

import numpy as np

from .arrays import as_array, contiguous
from .dispatch import kernels
from .shapes import number


class Optimizer(ABC):
    """What the optimizers share: checks, copies where needed, state that begins at a key's first update."""

    _state: tuple[str, ...] = ()  # names of the state dictionaries, in the kernel's order
    _rates: tuple[str, ...] = ("lr",)  # names of the numbers that the rule takes

    def update(self, params: MutableMapping[str, Any], grads: Mapping[str, Any]) -> None:
        """Take one step; everything is checked before the first parameter changes.

        Parameters
        ----------
        params : mutable mapping of str to array or float
            Arrays are updated in place, scalars are replaced.
        grads : mapping of str to array or float
            A gradient for each key of `params`, of the same shape; further keys are ignored.

        Raises
        ------
        KeyError
            If a gradient is missing.
        ValueError
            If shapes differ or a parameter is read-only.
        TypeError
            If a parameter is not of a floating type, a gradient holds no real numbers, or a rate is no number.
        """
        for name, values in (("params", params), ("grads", grads)):
            if not hasattr(values, "keys"):
                raise TypeError(f"{type(self).__name__}.update: {name} is a {type(values).__name__}, expected a dict "
                                "of arrays")
        for rate in self._rates:
            number(getattr(self, rate), f"{type(self).__name__}.update: {rate}")
        steps = [(key, *self._operands(key, params[key], grads)) for key in params]
        self._advance()
        for key, grad, work, state in steps:
            self._apply(grad, work, *state)
            _write_back(params, key, work)

    def _operands(self, key: str, param: Any, grads: Mapping[str, Any]
                  ) -> tuple[np.ndarray, np.ndarray, list[np.ndarray]]:
        if key not in grads:
            raise KeyError(f"{type(self).__name__}.update: there is no gradient for {key!r}; "
                           f"grads has {', '.join(map(str, grads)) or 'no keys'}")
        work = _working_copy(type(self).__name__, key, param)
        grad = self._like(work, grads[key], f"the gradient of {key!r}")
        state = []
        for name in self._state:
            values = getattr(self, name)
            value = values.get(key)
            values[key] = (np.zeros_like(work) if value is None
                           else self._like(work, value, f"{name}[{key!r}]"))
            state.append(values[key])
        return grad, work, state

    def _like(self, work: np.ndarray, value: Any, what: str) -> np.ndarray:
        value = as_array(f"{type(self).__name__}.update", what, value)
        if value.dtype.kind not in "biuf":
            raise TypeError(f"{type(self).__name__}.update: {what} has dtype {value.dtype}, expected real numbers")
        if value.shape != work.shape:
            raise ValueError(f"{type(self).__name__}.update: {what} has shape {value.shape}, "
                             f"expected the parameter's shape {work.shape}")
        return contiguous(value, work.dtype)

    def _advance(self) -> None:  # noqa: B027
        """Count the step, where the rule depends on it."""

    @abstractmethod
    def _apply(self, grad: np.ndarray, param: np.ndarray, *state: np.ndarray) -> None:
        """Run the kernel of the rule on one parameter."""


class SGD(Optimizer):
    """Stochastic gradient descent: ``param -= lr * grad``."""

    def __init__(self, lr: float = 0.01) -> None:
        self.lr = lr

    def _apply(self, grad: np.ndarray, param: np.ndarray, *state: np.ndarray) -> None:
        kernels.sgd_update(grad, self.lr, param)


class Momentum(Optimizer):
    """SGD with momentum: ``v = momentum * v - lr * grad``, ``param += v``."""

    _state = ("v",)
    _rates = ("lr", "momentum")

    def __init__(self, lr: float = 0.01, momentum: float = 0.9) -> None:
        self.lr = lr
        self.momentum = momentum
        self.v: dict[str, np.ndarray] = {}

    def _apply(self, grad: np.ndarray, param: np.ndarray, *state: np.ndarray) -> None:
        kernels.momentum_update(grad, self.lr, self.momentum, param, *state)


class Nesterov(Momentum):
    """Nesterov's accelerated gradient (http://arxiv.org/abs/1212.0901).

    ``param += momentum**2 * v - (1 + momentum) * lr * grad``, ``v = momentum * v - lr * grad``.
    """

    def _apply(self, grad: np.ndarray, param: np.ndarray, *state: np.ndarray) -> None:
        kernels.nesterov_update(grad, self.lr, self.momentum, param, *state)


class AdaGrad(Optimizer):
    """AdaGrad: ``h += grad**2``, ``param -= lr * grad / (sqrt(h) + 1e-7)``."""

    _state = ("h",)

    def __init__(self, lr: float = 0.01) -> None:
        self.lr = lr
        self.h: dict[str, np.ndarray] = {}

    def _apply(self, grad: np.ndarray, param: np.ndarray, *state: np.ndarray) -> None:
        kernels.adagrad_update(grad, self.lr, param, *state)


class RMSprop(Optimizer):
    """RMSprop, AdaGrad with a memory that fades.

    ``h = decay_rate * h + (1 - decay_rate) * grad**2``, ``param -= lr * grad / (sqrt(h) + 1e-7)``.
    """

    _state = ("h",)
    _rates = ("lr", "decay_rate")

    def __init__(self, lr: float = 0.01, decay_rate: float = 0.99) -> None:
        self.lr = lr
        self.decay_rate = decay_rate
        self.h: dict[str, np.ndarray] = {}

    def _apply(self, grad: np.ndarray, param: np.ndarray, *state: np.ndarray) -> None:
        kernels.rmsprop_update(grad, self.lr, self.decay_rate, param, *state)


class Adam(Optimizer):
    """Adam (http://arxiv.org/abs/1412.6980v8); the learning rate carries its bias corrections (section 2).

    ``m += (1 - beta1) * (grad - m)``, ``v += (1 - beta2) * (grad**2 - v)``,
    ``param -= lr * sqrt(1 - beta2**iter) / (1 - beta1**iter) * m / (sqrt(v) + 1e-7)``.
    """

    _state = ("m", "v")
    _rates = ("lr", "beta1", "beta2")

    def __init__(self, lr: float = 0.001, beta1: float = 0.9, beta2: float = 0.999) -> None:
        self.lr = lr
        self.beta1 = beta1
        self.beta2 = beta2
        self.iter = 0
        self.m: dict[str, np.ndarray] = {}
        self.v: dict[str, np.ndarray] = {}

    def _advance(self) -> None:
        if not (0 <= self.beta1 < 1 and 0 <= self.beta2 < 1):
            raise ValueError(f"Adam.update: beta1 is {self.beta1!r} and beta2 {self.beta2!r}, expected numbers of at "
                             "least 0 and below 1")
        self.iter += 1

    def _apply(self, grad: np.ndarray, param: np.ndarray, *state: np.ndarray) -> None:
        lr_t = self.lr * (1.0 - self.beta2 ** self.iter) ** 0.5 / (1.0 - self.beta1 ** self.iter)
        kernels.adam_update(grad, lr_t, self.beta1, self.beta2, param, *state)


def _working_copy(where: str, key: str, param: Any) -> np.ndarray:
    """Return `param` itself where a kernel can update it, else a contiguous float32 or float64 copy."""
    if not isinstance(param, np.ndarray):
        if not isinstance(param, numbers.Real):
            raise TypeError(f"{where}.update: the parameter {key!r} is a {type(param).__name__}, "
                            "expected a floating array or a number")
        return np.array(param, dtype=np.float64)
    as_array(f"{where}.update", f"the parameter {key!r}", param)
    if param.dtype.kind != "f":
        raise TypeError(f"{where}.update: the parameter {key!r} has dtype {param.dtype}, "
                        "expected a floating dtype")
    if not param.flags.writeable:
        raise ValueError(f"{where}.update: the parameter {key!r} is read-only; pass a copy of it")
    dtype = np.dtype(np.float32 if param.dtype.itemsize <= 4 else np.float64)
    return contiguous(param, dtype)


def _write_back(params: MutableMapping[str, Any], key: str, work: np.ndarray) -> None:
    param = params[key]
    if not isinstance(param, np.ndarray):
        number = work.item()
        params[key] = type(param)(number) if isinstance(param, np.floating) else number
    elif param is not work:
        param[...] = work


# by name, in lower case; 'rmsprpo' is the book's Trainer's spelling
OPTIMIZERS: dict[str, type[Optimizer]] = {
    "sgd": SGD, "momentum": Momentum, "nesterov": Nesterov, "adagrad": AdaGrad,
    "rmsprop": RMSprop, "rmsprpo": RMSprop, "adam": Adam,
}
