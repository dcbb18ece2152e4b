"""What the book's fully connected networks share: layers by name, initial weights, weight decay."""
from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import DTypeLike

from ..layers import Affine, BatchNormalization, Dropout, Relu, Sigmoid
from ..seeds import generator
from ..shapes import number, whole
from .named_layers import NamedLayers

ACTIVATIONS = {"relu": Relu, "sigmoid": Sigmoid}
GAINS = {"relu": 2.0, "he": 2.0, "sigmoid": 1.0, "xavier": 1.0}  # std = sqrt(gain / fan_in)


class FullyConnected(NamedLayers):
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
        if not np.iterable(hidden_size_list):
            raise TypeError(f"{where}: hidden_size_list is {hidden_size_list!r}, expected a sequence of integers")
        self.input_size = whole(input_size, f"{where}: input_size", 1)
        self.input_dim = (self.input_size,)
        self.hidden_size_list = [whole(n, f"{where}: each of hidden_size_list", 1) for n in hidden_size_list]
        self.output_size = whole(output_size, f"{where}: output_size", 1)
        self.hidden_layer_num = len(self.hidden_size_list)
        self.weight_decay_lambda = number(weight_decay_lambda, f"{where}: weight_decay_lambda")
        rng = None if seed is None else generator(where, seed)
        sizes = [self.input_size, *self.hidden_size_list, self.output_size]
        affine, normalization, activated, dropped = names
        for i, (inputs, outputs) in enumerate(zip(sizes, sizes[1:], strict=False), 1):
            std = _std(where, weight_init_std, inputs)
            normal = np.random.randn(inputs, outputs) if rng is None else rng.standard_normal((inputs, outputs))
            self.add(Affine(std * normal, np.zeros(outputs)), name=f"{affine}{i}")
            if i == len(sizes) - 1:
                break
            if normalize:
                self.add(BatchNormalization(np.ones(outputs), np.zeros(outputs)), name=f"{normalization}{i}")
            self.add(ACTIVATIONS[str(activation).lower()](), name=f"{activated}{i}")
            if dropout is not None:
                self.add(Dropout(dropout), name=f"{dropped}{i}")
        if rng is not None:
            self.seed(rng)


def _std(where: str, weight_init_std: float | str, fan_in: int) -> float:
    if isinstance(weight_init_std, str):
        if weight_init_std.lower() not in GAINS:
            raise ValueError(f"{where}: weight_init_std is {weight_init_std!r}, expected a number or "
                             f"{', '.join(map(repr, GAINS))}")
        return float(np.sqrt(GAINS[weight_init_std.lower()] / fan_in))
    return number(weight_init_std, f"{where}: weight_init_std")
