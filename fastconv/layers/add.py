"""Elementwise sum, where the branches of a network meet."""
from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from ..arrays import Array, as_array, result_dtype
from ..buffers import empty
from ..shapes import Shape, check_dout
from .branches import branches, in_memory_order


class Add:
    """``out = x0 + x1 + ...``: a skip connection (He et al., 2016)."""

    _dtype: np.dtype[Any]
    _inputs: int

    def __init__(self) -> None:
        self._shape: Shape | None = None

    def __repr__(self) -> str:
        return f"{type(self).__name__}()"

    def forward(self, *xs: ArrayLike) -> Array:
        """Return the sum of two or more arrays of one shape, added from left to right.

        Raises
        ------
        ValueError
            If there are fewer than two, or their shapes differ: nothing is broadcast.
        """
        arrays, dtype, compute = branches("Add.forward", xs)
        shape = arrays[0].shape
        for i, x in enumerate(arrays):
            if x.shape != shape:
                raise ValueError(f"Add.forward: xs[{i}] has shape {x.shape}, expected {shape} as xs[0]"
                                 f"{_likely_cause(x.shape, shape)}")
        self._shape, self._dtype, self._inputs = shape, dtype, len(arrays)
        out, *terms = (in_memory_order(x) for x in arrays)
        total = empty(out.shape, compute)
        for term in terms:
            out = np.add(out, term, out=total, dtype=compute, casting="unsafe")
        return in_memory_order(total, back=True).astype(dtype, copy=False)

    def backward(self, dout: ArrayLike) -> tuple[Array, ...]:
        """Return `dout` once for each array that was added.

        All are one array, `dout` itself where its dtype is the result's: don't write to them.
        """
        dout = as_array("Add.backward", "dout", dout)
        check_dout("Add.backward", dout, self._shape)
        dtype, _ = result_dtype("Add.backward", dout=dout, out=self._dtype)
        return (dout.astype(dtype, copy=False),) * self._inputs


def _likely_cause(shape: Shape, expected: Shape) -> str:
    """Guess why the branches differ; empty where nothing is likely."""
    if len(shape) != 4 or len(expected) != 4 or shape[0] != expected[0]:
        return ""
    N, C, H, W = expected
    if shape == (N, H, W, C):
        return "; it looks NHWC: x.transpose(0, 3, 1, 2)"
    if shape[1] != C:
        return f"; a Convolution of 1x1 gives a branch {C} channels"
    return "; the branches' stride or pad differ"
