"""MultiLayerNet, the fully connected network of the book's chapter 6."""
from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import DTypeLike

from .fully_connected import FullyConnected


class MultiLayerNet(FullyConnected):
    """affine - activation, once for each hidden layer, then affine - softmax.

    Parameters
    ----------
    input_size : int
    hidden_size_list : sequence of int
        Neurons of the hidden layers.
    output_size : int
    activation : {'relu', 'sigmoid'}
    weight_init_std : float or {'relu', 'he', 'sigmoid', 'xavier'}
        The initial weights are ``std * randn``: this number, or ``sqrt(2 / fan_in)`` for ``'relu'`` and ``'he'``,
        ``sqrt(1 / fan_in)`` for ``'sigmoid'`` and ``'xavier'``.
    weight_decay_lambda : float
        Strength of the L2 penalty ``0.5 * weight_decay_lambda * sum(W**2)`` in the loss.
    dtype : dtype, default float32
        Dtype of the parameters.
    seed : int or Generator, optional
        Where the initial weights come from; without it from NumPy's global generator, in the book's order.
    """

    def __init__(self, input_size: int, hidden_size_list: Sequence[int], output_size: int, activation: str = "relu",
                 weight_init_std: float | str = "relu", weight_decay_lambda: float = 0, *,
                 dtype: DTypeLike = np.float32, seed: int | np.random.Generator | None = None) -> None:
        super().__init__(input_size, hidden_size_list, output_size, activation, weight_init_std, weight_decay_lambda,
                         dtype=dtype, seed=seed)
