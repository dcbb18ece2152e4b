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

    def keep(self, columns: tuple[np.ndarray, ...], batch_size: int, gradient: bool) -> None:
        """Move the layer's running statistics by those of a run, and take its gradients."""
        layer, rows = self.layer, batch_size * math.prod(self.shape) // self.frame.features
        _, _, mean, var, dgamma, dbeta = columns
        layer.follow(self.frame.features_of(mean), self.frame.features_of(var), rows)
        layer.input_shape, layer.batch_size = (batch_size, *self.shape), batch_size
        if gradient:
            layer.dgamma = to_parameter(self.frame.features_of(dgamma), layer.gamma, self.dtype)
            layer.dbeta = to_parameter(self.frame.features_of(dbeta), layer.beta, self.dtype)


class Folded:
    """BatchNormalization layers that follow filters, whose running statistics those take in.

    ``gamma * (x * W + b - mean) / std + beta`` is a convolution with ``scale * W``, where ``scale = gamma / std``, and
    the bias ``beta + (b - mean) * scale``.
    """

    def __init__(self, layers: list[BatchNormalization | None], dtype: np.dtype[Any]) -> None:
        self.statistics = [None if layer is None else Statistics(layer, (np.size(layer.gamma),), dtype)
                           for layer in layers]
        self.dtype = dtype
        self.eps = np.concatenate([np.full(s.frame.features, s.layer.eps) for s in self.statistics if s is not None]
                                  or [np.empty(0)])
        self._layers = [s.layer for s in self.statistics if s is not None]
        self._last: tuple[list[tuple[int, ...]], bytes] | None = None
        self._result: list[tuple[Any, Any]] = []

    def biases_and_scales(self, biases: list[np.ndarray | None]) -> list[tuple[Any, Any]]:
        """Return for each filter its bias, and the factor of each output's weights or None.

        Folded ones are the same arrays as the last time, as long as what they follow from has the same values.
        """
        if not self._layers:
            return [(b, None) for b in biases]
        given: list[Any] = [b for b in biases if b is not None]
        for layer in self._layers:
            given += layer.gamma, layer.beta, layer.running_mean, layer.running_var
        if not all(type(a) is np.ndarray and a.dtype is self.dtype for a in given):
            return self._fold(biases)
        now = [a.shape for a in given], np.concatenate(given, axis=None).tobytes()
        if now != self._last:
            self._result, self._last = self._fold(biases), now
        return [(b, None) if s is None else folded
                for b, s, folded in zip(biases, self.statistics, self._result, strict=True)]

    def _fold(self, biases: list[np.ndarray | None]) -> list[tuple[Any, Any]]:
        columns = [None if s is None else s.columns(False)[:4] for s in self.statistics]
        given = [c for c in columns if c is not None]
        gamma, beta, mean, var = (np.concatenate(c, dtype=np.float64) for c in zip(*given, strict=True))
        own = np.concatenate([np.zeros(len(c[0])) if b is None else b
                              for b, c in zip(biases, columns, strict=True) if c is not None])
        scale = gamma / np.sqrt(var + self.eps)
        bias = beta + (own - mean) * scale
        all_biases, all_scales = bias.astype(self.dtype), scale.astype(self.dtype)
        result: list[tuple[Any, Any]] = []
        first = 0
        for b, c in zip(biases, columns, strict=True):
            last = first + (0 if c is None else len(c[0]))
            folded: tuple[Any, Any] = b, None
            if c is not None:
                folded = _constant(all_biases[first:last]), _constant(all_scales[first:last])
            result.append(folded)
            first = last
        return result


def _constant(a: np.ndarray) -> np.ndarray:
    """Return a read-only copy, of which a plan knows that it stays as it is."""
    a = a.copy()
    a.flags.writeable = False
    return a
