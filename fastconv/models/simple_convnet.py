"""SimpleConvNet, the network of the book's chapter 7."""
from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

import numpy as np
from numpy.typing import DTypeLike

from ..layers import Affine, Convolution, Pooling, Relu
from ..seeds import generator
from ..shapes import conv_output_size, image_size, number, whole
from .named_layers import NamedLayers

_CONV = MappingProxyType({"filter_num": 30, "filter_size": 5, "pad": 0, "stride": 1})


class SimpleConvNet(NamedLayers):
    """conv - relu - pool - affine - relu - affine - softmax.

    Parameters
    ----------
    input_dim : (int, int, int), default (1, 28, 28)
        Channels, height and width of the images.
    conv_param : mapping
        `filter_num`, `filter_size`, `pad` and `stride` of the convolution.
    hidden_size : int, default 100
        Neurons of the hidden Affine layer.
    output_size : int, default 10
        Number of classes.
    weight_init_std : float, default 0.01
        The initial weights are ``weight_init_std * randn``, the biases 0.
    dtype : dtype, default float32
        Dtype of the parameters.
    seed : int or Generator, optional
        Where the initial weights come from; without it from NumPy's global generator, in the book's order.

    Raises
    ------
    ValueError
        If the images are too small, or `conv_param` is incomplete.
    """

    def __init__(self, input_dim: tuple[int, int, int] = (1, 28, 28), conv_param: Mapping[str, Any] = _CONV,
                 hidden_size: int = 100, output_size: int = 10, weight_init_std: float = 0.01, *,
                 dtype: DTypeLike = np.float32, seed: int | np.random.Generator | None = None) -> None:
        super().__init__(dtype=dtype)
        missing = {"filter_num", "filter_size", "pad", "stride"} - conv_param.keys()
        if missing:
            raise ValueError(f"SimpleConvNet: conv_param has no {', '.join(sorted(missing))}")
        self.input_dim = C, H, W = image_size("SimpleConvNet", input_dim)
        FN, size, stride, pad = (whole(conv_param[key], f"SimpleConvNet: conv_param[{key!r}]", least) for key, least in
                                 (("filter_num", 1), ("filter_size", 1), ("stride", 1), ("pad", 0)))
        hidden_size = whole(hidden_size, "SimpleConvNet: hidden_size", 1)
        output_size = whole(output_size, "SimpleConvNet: output_size", 1)
        std = number(weight_init_std, "SimpleConvNet: weight_init_std")
        try:
            OH, OW = (conv_output_size(conv_output_size(n, size, stride, pad), 2, 2) for n in (H, W))
        except ValueError as error:
            raise ValueError(f"SimpleConvNet: the images are too small: {error}") from None
        rng = None if seed is None else generator("SimpleConvNet", seed)

        def weights(*shape: int) -> np.ndarray:
            return std * (np.random.randn(*shape) if rng is None else rng.standard_normal(shape))

        self.add(Convolution(weights(FN, C, size, size), np.zeros(FN), stride, pad), name="Conv1")
        self.add(Relu(), name="Relu1")
        self.add(Pooling(pool_h=2, pool_w=2, stride=2), name="Pool1")
        self.add(Affine(weights(FN * OH * OW, hidden_size), np.zeros(hidden_size)), name="Affine1")
        self.add(Relu(), name="Relu2")
        self.add(Affine(weights(hidden_size, output_size), np.zeros(output_size)), name="Affine2")
