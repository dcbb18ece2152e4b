"""TwoLayerNet, the network of the book's chapter 5."""
from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import DTypeLike

from ..shapes import whole
from .fully_connected import FullyConnected


class TwoLayerNet(FullyConnected):
    """affine - relu - affine - softmax; chapter 4 has a sigmoid in the place of the relu.

    Parameters
    ----------
    input_size, hidden_size, output_size : int
    weight_init_std : float, default 0.01
        The initial weights are ``weight_init_std * randn``, the biases 0.
    dtype : dtype, default float32
        Dtype of the parameters.
    seed : int or Generator, optional
        Where the initial weights come from; without it from NumPy's global generator, in the book's order.
    """

    def __init__(self, input_size: int, hidden_size: int, output_size: int, weight_init_std: float = 0.01, *,
                 dtype: DTypeLike = np.float32, seed: int | np.random.Generator | None = None) -> None:
        hidden_size = whole(hidden_size, "TwoLayerNet: hidden_size", 1)
        super().__init__(input_size, [hidden_size], output_size, "relu", weight_init_std, 0,
                         names=("Affine", "", "Relu", ""), dtype=dtype, seed=seed)

    @property
    def lastLayer(self) -> Any:
        """The loss, by the name of chapter 5."""
        return self.last_layer
