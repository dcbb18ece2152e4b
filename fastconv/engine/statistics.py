"""What a plan's run brings along for a BatchNormalization layer, and what the layer keeps of it."""
from __future__ import annotations

import math
from typing import Any

import numpy as np

from ..layers import BatchNormalization
from ..layers.broadcast import to_parameter, to_vector
from ..layers.rows import Rows

WHERE = "BatchNormalization.forward"


class Statistics:
    """The columns of one layer: gamma, beta, mean, var, dgamma, dbeta, in the memory's order of the images."""

    def __init__(self, layer: BatchNormalization, shape: tuple[int, ...], dtype: np.dtype[Any]) -> None:
        self.layer, self.shape, self.dtype = layer, shape, dtype
        self.frame = Rows((1, *shape), np.size(layer.gamma))

    def columns(self, training: bool) -> tuple[np.ndarray, ...]:
        """Return the arrays of a run; in training the last four are still to be written."""
        layer, count = self.layer, self.frame.features
        if layer.running_mean is None:
            layer.running_mean = np.zeros(count, self.dtype)
        if layer.running_var is None:
            layer.running_var = np.zeros(count, self.dtype)
        names = ("gamma", "beta") if training else ("gamma", "beta", "running_mean", "running_var")
        vectors = (to_vector(WHERE, name, getattr(layer, name), count, self.dtype) for name in names)
        given = [np.ascontiguousarray(self.frame.columns(vector)) for vector in vectors]
        return *given, *(np.empty(count, self.dtype) for _ in range(6 - len(given)))

    def bias_and_scale(self, b: np.ndarray | None) -> tuple[np.ndarray, np.ndarray]:
        """Return what makes filters that normalize their outputs by the running statistics: each output's bias,
        ``beta + (b - mean) * scale``, and what its weights are multiplied by, ``scale = gamma / sqrt(var + eps)``."""
        gamma, beta, mean, var = (column.astype(np.float64) for column in self.columns(False)[:4])
        scale = gamma / np.sqrt(var + self.layer.eps)
        bias = beta + ((0 if b is None else b) - mean) * scale
        return bias.astype(self.dtype), scale.astype(self.dtype)

    def keep(self, columns: tuple[np.ndarray, ...], batch_size: int, gradient: bool) -> None:
        """Move the layer's running statistics by those of a run, and take its gradients."""
        layer, rows = self.layer, batch_size * math.prod(self.shape) // self.frame.features
        _, _, mean, var, dgamma, dbeta = columns
        layer.follow(self.frame.features_of(mean), self.frame.features_of(var), rows)
        layer.input_shape, layer.batch_size = (batch_size, *self.shape), batch_size
        if gradient:
            layer.dgamma = to_parameter(self.frame.features_of(dgamma), layer.gamma, self.dtype)
            layer.dbeta = to_parameter(self.frame.features_of(dbeta), layer.beta, self.dtype)
