"""What the book's fully connected networks share: layers by name, initial weights, weight decay."""
from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import DTypeLike

from ..engine import Network
from ..layers import Affine, BatchNormalization, Dropout, Relu, Sigmoid
from ..shapes import whole

ACTIVATIONS = {"relu": Relu, "sigmoid": Sigmoid}
GAINS = {"relu": 2.0, "he": 2.0, "sigmoid": 1.0, "xavier": 1.0}  # std = sqrt(gain / fan_in)


class FullyConnected(Network):
    """Affine layers with an activation between, and the layers in a dictionary as the book has them.

    The initial weights are ``std * randn``; `weight_init_std` is a number, or ``'relu'``, ``'he'`` for
    ``sqrt(2 / fan_in)`` (https://arxiv.org/abs/1502.01852), ``'sigmoid'``, ``'xavier'`` for ``sqrt(1 / fan_in)``
    (Glorot and Bengio, AISTATS 2010).
    """

    def __init__(self, input_size: int, hidden_size_list: Sequence[int], output_size: int, activation: str,
                 weight_init_std: float | str, weight_decay_lambda: float, *, dropout: float | None = None,
                 normalize: bool = False, names: tuple[str, str, str, str] = (
                     "Affine", "BatchNorm", "Activation_function", "Dropout"),
                 dtype: DTypeLike, seed: int | np.random.Generator | None) -> None:
        super().__init__(dtype=dtype)
        where = type(self).__name__
        if str(activation).lower() not in ACTIVATIONS:
            raise ValueError(f"{where}: activation is {activation!r}, expected {' or '.join(map(repr, ACTIVATIONS))}")
        self.input_size = whole(input_size, f"{where}: input_size", 1)
        self.hidden_size_list = [whole(n, f"{where}: each of hidden_size_list", 1) for n in hidden_size_list]
        self.output_size = whole(output_size, f"{where}: output_size", 1)
        self.hidden_layer_num = len(self.hidden_size_list)
        self.weight_decay_lambda = weight_decay_lambda
        self._names: list[str] = []
        rng = None if seed is None else np.random.default_rng(seed)
        sizes = [self.input_size, *self.hidden_size_list, self.output_size]
        affine, normalization, activated, dropped = names
        for number, (inputs, outputs) in enumerate(zip(sizes, sizes[1:], strict=False), 1):
            std = _std(where, weight_init_std, inputs)
            normal = np.random.randn(inputs, outputs) if rng is None else rng.standard_normal((inputs, outputs))
            self._append(f"{affine}{number}", Affine(std * normal, np.zeros(outputs)))
            if number == len(sizes) - 1:
                break
            if normalize:
                self._append(f"{normalization}{number}", BatchNormalization(np.ones(outputs), np.zeros(outputs)))
            self._append(f"{activated}{number}", ACTIVATIONS[str(activation).lower()]())
            if dropout is not None:
                self._append(f"{dropped}{number}", Dropout(dropout))
        if rng is not None:
            self.seed(rng)

    @property
    def layers(self) -> Any:
        """The layers by the book's names, in their order."""
        return OrderedDict(zip(self._names, self._graph.layers, strict=True))

    def _append(self, name: str, layer: Any) -> None:
        self.add(layer)
        self._names.append(name)


def _std(where: str, weight_init_std: float | str, fan_in: int) -> float:
    if isinstance(weight_init_std, str):
        if weight_init_std.lower() not in GAINS:
            raise ValueError(f"{where}: weight_init_std is {weight_init_std!r}, expected a number or "
                             f"{', '.join(map(repr, GAINS))}")
        return float(np.sqrt(GAINS[weight_init_std.lower()] / fan_in))
    return float(weight_init_std)
