"""DeepConvNet, the network of the book's chapter 8 (over 99 % on MNIST)."""
from __future__ import annotations

import math
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

import numpy as np
from numpy.typing import DTypeLike

from ..engine import Network
from ..layers import Affine, Convolution, Dropout, Pooling, Relu
from ..seeds import generator
from ..shapes import conv_output_size, image_size, pair, whole

_CONV_16 = MappingProxyType({"filter_num": 16, "filter_size": 3, "pad": 1, "stride": 1})
_CONV_32 = MappingProxyType({"filter_num": 32, "filter_size": 3, "pad": 1, "stride": 1})
_CONV_32_WIDE = MappingProxyType({"filter_num": 32, "filter_size": 3, "pad": 2, "stride": 1})
_CONV_64 = MappingProxyType({"filter_num": 64, "filter_size": 3, "pad": 1, "stride": 1})


class DeepConvNet(Network):
    """The book's deep network for small images.

    ::

        conv - relu - conv - relu - pool -
        conv - relu - conv - relu - pool -
        conv - relu - conv - relu - pool -
        affine - relu - dropout - affine - dropout - softmax

    Parameters
    ----------
    input_dim : (int, int, int), default (1, 28, 28)
        Channels, height and width of the images.
    conv_param_1 ... conv_param_6 : mapping
        `filter_num`, `filter_size`, `pad`, `stride` of each convolution; the last three are an int or a pair.
    hidden_size : int, default 50
        Neurons of the hidden Affine layer.
    output_size : int, default 10
        Number of classes.
    dtype : dtype, default float32
        Dtype of the parameters.
    seed : int or Generator, optional
        Where the initial weights and then the dropout masks come from; without it from NumPy's global
        generator, in the book's order.

    Raises
    ------
    ValueError
        If the images are too small for three poolings, or a `conv_param` is incomplete.

    Notes
    -----
    Weights start at He's ``sqrt(2 / fan_in) * randn`` (https://arxiv.org/abs/1502.01852), biases at 0.
    """

    def __init__(self, input_dim: tuple[int, int, int] = (1, 28, 28),
                 conv_param_1: Mapping[str, Any] = _CONV_16,
                 conv_param_2: Mapping[str, Any] = _CONV_16,
                 conv_param_3: Mapping[str, Any] = _CONV_32,
                 conv_param_4: Mapping[str, Any] = _CONV_32_WIDE,
                 conv_param_5: Mapping[str, Any] = _CONV_64,
                 conv_param_6: Mapping[str, Any] = _CONV_64,
                 hidden_size: int = 50, output_size: int = 10, *,
                 dtype: DTypeLike = np.float32, seed: int | np.random.Generator | None = None) -> None:
        super().__init__(dtype=dtype)
        shape: tuple[int, ...] = image_size("DeepConvNet", input_dim)
        self.input_dim = shape
        hidden_size = whole(hidden_size, "DeepConvNet: hidden_size", 1)
        output_size = whole(output_size, "DeepConvNet: output_size", 1)
        self._rng = None if seed is None else generator("DeepConvNet", seed)
        for number, conv_param in enumerate((conv_param_1, conv_param_2, conv_param_3,
                                             conv_param_4, conv_param_5, conv_param_6), 1):
            shape = self._add_convolution(shape, conv_param, f"conv_param_{number}")
            self.add(Relu())
            if number % 2 == 0:
                shape = self._add_pooling(shape)
        self._add_affine(math.prod(shape), hidden_size)
        self.add(Relu())
        self.add(Dropout(0.5))
        self._add_affine(hidden_size, output_size)
        self.add(Dropout(0.5))
        if self._rng is not None:
            self.seed(self._rng)

    def _add_convolution(self, shape: tuple[int, ...], param: Mapping[str, Any], name: str
                         ) -> tuple[int, ...]:
        missing = {"filter_num", "filter_size", "pad", "stride"} - param.keys()
        if missing:
            raise ValueError(f"DeepConvNet: {name} has no {', '.join(sorted(missing))}")
        window, stride, pad = (pair(param[key], f"DeepConvNet: {name}[{key!r}]", least)
                               for key, least in (("filter_size", 1), ("stride", 1), ("pad", 0)))
        C, FN = shape[0], whole(param["filter_num"], f"DeepConvNet: {name}['filter_num']", 1)
        W = self._he((FN, C, *window), fan_in=C * window[0] * window[1])
        out = (FN, *self._output_size(shape, window, stride, pad, "Convolution"))
        self.add(Convolution(W, np.zeros(FN), param["stride"], param["pad"]))
        return out

    def _add_pooling(self, shape: tuple[int, ...]) -> tuple[int, ...]:
        out = (shape[0], *self._output_size(shape, (2, 2), (2, 2), (0, 0), "Pooling"))
        self.add(Pooling(pool_h=2, pool_w=2, stride=2))
        return out

    def _add_affine(self, inputs: int, outputs: int) -> None:
        self.add(Affine(self._he((inputs, outputs), fan_in=inputs), np.zeros(outputs)))

    def _he(self, shape: tuple[int, ...], fan_in: int) -> np.ndarray:
        normal = np.random.randn(*shape) if self._rng is None else self._rng.standard_normal(shape)
        return np.sqrt(2.0 / fan_in) * normal

    def _output_size(self, shape: tuple[int, ...], window: tuple[int, int], stride: tuple[int, int],
                     pad: tuple[int, int], kind: str) -> tuple[int, int]:
        """Return (OH, OW) of a layer that reads maps of `shape` (C, H, W)."""
        H, W = shape[1:]
        if H + 2 * pad[0] < window[0] or W + 2 * pad[1] < window[1]:
            raise ValueError("DeepConvNet: the images are too small: nothing is left at "
                             f"layers[{len(self.layers)}], a {kind} with a window of {window[0]}x{window[1]} "
                             f"on a map of {H}x{W}")
        return (conv_output_size(H, window[0], stride[0], pad[0]),
                conv_output_size(W, window[1], stride[1], pad[1]))
