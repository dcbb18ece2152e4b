"""Images and feature vectors as the rows of a matrix, for layers that work column by column."""
from __future__ import annotations

from typing import Any

import numpy as np

from ..arrays import Array, channels_last, contiguous, from_channels_last
from ..shapes import Shape


class Rows:
    """Samples (N, D) or images (N, C, H, W) as rows of `features` columns; channels-last images don't move.

    Images make rows of C channels, one a pixel, or of C * H * W features, one an image. The latter's columns
    in the memory's order h, w, c, while the user's vectors are in the book's order c, h, w.
    """

    def __init__(self, shape: Shape, features: int) -> None:
        self.shape = shape
        self.features = features
        self.permuted = len(shape) == 4 and features != shape[1]

    def rows(self, x: Array, dtype: np.dtype[Any]) -> Array:
        """Return `x` as a contiguous matrix (M, features)."""
        if len(self.shape) == 2:
            return contiguous(x, dtype)
        N, C, H, W = self.shape
        return channels_last(x, dtype).reshape(N * C * H * W // self.features, self.features)

    def restore(self, rows: Array, dtype: np.dtype[Any]) -> Array:
        """Return a matrix (M, features) in the samples' shape."""
        if len(self.shape) == 2:
            return rows.astype(dtype, copy=False)
        N, C, H, W = self.shape
        return from_channels_last(rows.reshape(N, H, W, C), dtype)

    def columns(self, vector: Array) -> Array:
        """Return a vector of the user's, (features,), in the order of the columns."""
        if not self.permuted:
            return vector
        _, C, H, W = self.shape
        return vector.reshape(C, H, W).transpose(1, 2, 0).reshape(self.features)

    def features_of(self, columns: Array) -> Array:
        """Return the columns of (..., features) in the user's order."""
        if not self.permuted:
            return columns
        _, C, H, W = self.shape
        images = columns.reshape(*columns.shape[:-1], H, W, C)
        return np.moveaxis(images, -1, -3).reshape(columns.shape)
