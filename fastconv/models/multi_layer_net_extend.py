"""MultiLayerNetExtend, the network of the book's chapter 6 with dropout and batch normalization."""
from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike, DTypeLike

from .fully_connected import FullyConnected


class MultiLayerNetExtend(FullyConnected):
    """affine - [batch normalization] - activation - [dropout], once for each hidden layer, then affine - softmax.

    Parameters
    ----------
    input_size, hidden_size_list, output_size, activation, weight_init_std, weight_decay_lambda
        As in `MultiLayerNet`.
    use_dropout : bool
    dropout_ration : float, default 0.5
        The share that is dropped; the name is the book's.
    use_batchnorm : bool
    dtype : dtype, default float32
        Dtype of the parameters.
    seed : int or Generator, optional
        Where the initial weights and then the dropout masks come from; without it from NumPy's global generator.
    """

    def __init__(self, input_size: int, hidden_size_list: Sequence[int], output_size: int, activation: str = "relu",
                 weight_init_std: float | str = "relu", weight_decay_lambda: float = 0, use_dropout: bool = False,
                 dropout_ration: float = 0.5, use_batchnorm: bool = False, *,
                 dtype: DTypeLike = np.float32, seed: int | np.random.Generator | None = None) -> None:
        self.use_dropout, self.use_batchnorm = use_dropout, use_batchnorm
        super().__init__(input_size, hidden_size_list, output_size, activation, weight_init_std, weight_decay_lambda,
                         dropout=dropout_ration if use_dropout else None, normalize=bool(use_batchnorm),
                         dtype=dtype, seed=seed)

    def loss(self, x: ArrayLike, t: ArrayLike, train_flg: bool = False) -> float:
        """Return the mean loss of a batch with its weight decay, by default of a prediction, as the book does."""
        if train_flg:
            return super().loss(x, t)
        return self.last_layer.forward(self.predict(x), t) + self.penalty
