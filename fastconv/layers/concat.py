"""Concatenation of channels or features, where the branches of a network meet."""
from __future__ import annotations

from itertools import accumulate
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from ..arrays import Array, as_array, result_dtype
from ..buffers import empty
from ..shapes import Shape, check_dout
from .branches import branches, in_memory_order


class Concat:
    """The channels of images (N, C0, H, W), (N, C1, H, W), ... one behind the other; or rows' features (N, D0), ...

    Parameters
    ----------
    axis : int
        1, the axis of channels and features; there is no other.
    """

    _dtype: np.dtype[Any]
    _ends: tuple[int, ...]

    def __init__(self, axis: int = 1) -> None:
        if type(axis) is not int or axis != 1:
            raise ValueError(f"Concat: axis must be 1, that of the channels or features, got {axis!r}")
        self.axis = axis
        self._shape: Shape | None = None

    def __repr__(self) -> str:
        return f"{type(self).__name__}()"

    def forward(self, *xs: ArrayLike) -> Array:
        """Return two or more arrays as one, (N, C0 + C1 + ..., H, W) or (N, D0 + D1 + ...).

        Raises
        ------
        ValueError
            If there are fewer than two, or they differ in another axis than that of the channels or features.
        """
        arrays, dtype, _ = branches("Concat.forward", xs)
        for i, x in enumerate(arrays):
            _check(i, x.shape, arrays[0].shape)
        ends = tuple(accumulate(x.shape[1] for x in arrays))
        parts = [in_memory_order(x) for x in arrays]
        out = empty((*parts[0].shape[:-1], ends[-1]), dtype)
        np.concatenate(parts, axis=-1, out=out, casting="unsafe")
        joined = in_memory_order(out, back=True)
        self._shape, self._dtype, self._ends = joined.shape, dtype, ends
        return joined

    def backward(self, dout: ArrayLike) -> tuple[Array, ...]:
        """Return each array's part of `dout`, in turn: views on one array, `dout` where its dtype is the result's."""
        dout = as_array("Concat.backward", "dout", dout)
        check_dout("Concat.backward", dout, self._shape)
        dtype, _ = result_dtype("Concat.backward", dout=dout, out=self._dtype)
        dout = dout.astype(dtype, copy=False)
        starts = (0, *self._ends[:-1])
        return tuple(dout[:, start:end] for start, end in zip(starts, self._ends, strict=True))


def _check(i: int, shape: Shape, first: Shape) -> None:
    """Raise ValueError unless an input's shape fits that of the first."""
    if len(shape) not in (2, 4):
        raise ValueError(f"Concat.forward: xs[{i}] has shape {shape}, expected (N, C, H, W) or (N, D)")
    if len(shape) != len(first):
        raise ValueError(f"Concat.forward: xs[{i}] has shape {shape} and xs[0] has shape {first}: images and rows "
                         "don't join")
    if shape[0] != first[0]:
        raise ValueError(f"Concat.forward: xs[{i}] has shape {shape}, expected N = {first[0]} as in xs[0]")
    if shape[2:] != first[2:]:
        H, W = first[2:]
        cause = ("it looks NHWC: x.transpose(0, 3, 1, 2)" if shape[1:3] == (H, W)
                 else "the branches' stride or pad differ")
        raise ValueError(f"Concat.forward: xs[{i}] has shape {shape}, expected H x W = {H} x {W} as in xs[0]; {cause}")
