"""What a layer does with the arrays it is given: promote their dtypes, bring them into the kernels' layout.

A kernel takes C-contiguous, aligned arrays of one dtype in native byte order, float32 or float64. Where an
array is like that already, it is passed on itself or as a view; else it is copied. It is never written to.
"""
from __future__ import annotations

from typing import Any

import numpy as np
from numpy import ndarray
from numpy.typing import DTypeLike, NDArray

from .long_calls import copy

Array = NDArray[Any]

FLOAT32 = np.dtype(np.float32)
FLOAT64 = np.dtype(np.float64)

_NCHW_TO_NHWC = (0, 2, 3, 1)
_NHWC_TO_NCHW = (0, 3, 1, 2)


def as_array(where: str, name: str, value: Any) -> Array:
    """Return an argument of a call as an array; itself where it is one.

    Raises
    ------
    ValueError
        If it is a list with rows of different lengths.
    TypeError
        If it is a masked array with masked entries: what lies behind the mask would count. If it refuses to be made an
        array, as sparse arrays do.
    """
    if type(value) is ndarray:
        return value
    if isinstance(value, ndarray) and np.ma.is_masked(value):
        raise TypeError(f"{where}: {name} is a masked array with masked entries, expected numbers everywhere: "
                        f"{name}.filled(0)")
    try:
        return np.asarray(value)
    except (TypeError, ValueError) as error:
        kind = ValueError if isinstance(error, ValueError) else TypeError
        raise kind(f"{where}: {name} is a {type(value).__name__} that makes no array: {error}") from error


def as_operand(where: str, name: str, value: Any,
               other: np.dtype[Any] | None = None) -> tuple[Array, np.dtype[Any], np.dtype[Any]]:
    """Return `as_array`, and `result_dtype` of it and another dtype."""
    if type(value) is ndarray:
        dtype = value.dtype
        if (dtype is FLOAT32 or dtype is FLOAT64) and (other is dtype or other is None):
            return value, dtype, dtype
    x = as_array(where, name, value)
    return x, *result_dtype(where, **{name: x, "out": other})


def result_dtype(where: str, **operands: Any) -> tuple[np.dtype[Any], np.dtype[Any]]:
    """Return the dtype of a call's results and the dtype its kernels compute in.

    Parameters
    ----------
    where : str
        The call, for the error message: ``"Convolution.forward"``.
    **operands : array, dtype, Python number or None
        The call's floating arguments by name. Integer and boolean arrays count as float32; Python numbers
        adapt to the arrays; None is skipped.

    Returns
    -------
    result : dtype
        NumPy's promotion of the operands' dtypes, float32 if there is none.
    compute : dtype
        float32 for float16 and float32, else float64.

    Raises
    ------
    TypeError
        If an operand is complex, a string, an object or no number at all.
    """
    double = False
    for operand in operands.values():
        dtype = operand.dtype if type(operand) is ndarray else operand
        if dtype is FLOAT64:
            double = True
        elif dtype is not FLOAT32 and dtype is not None:
            return _promote(where, operands)
    return (FLOAT64, FLOAT64) if double else (FLOAT32, FLOAT32)


def _promote(where: str, operands: dict[str, Any]) -> tuple[np.dtype[Any], np.dtype[Any]]:
    found: list[np.dtype[Any]] = []
    for name, operand in operands.items():
        if operand is None or type(operand) in (bool, int, float):
            continue
        dtype = operand if isinstance(operand, np.dtype) else as_array(where, name, operand).dtype
        if dtype.kind not in "biuf":
            raise TypeError(f"{where}: {name} has dtype {dtype}, expected real numbers: "
                            "floating-point, integer or boolean")
        found.append(np.dtype(dtype.type) if dtype.kind == "f" else FLOAT32)  # dtype.type: native byte order
    result = np.result_type(*found) if found else FLOAT32
    return result, FLOAT32 if result.itemsize <= 4 else FLOAT64


def contiguous(x: Array, dtype: DTypeLike) -> Array:
    """Return `x` as a C-contiguous, aligned array of a native dtype; itself where it is one."""
    if x.dtype == dtype:
        flags = x.flags
        if flags.carray or (flags.c_contiguous and flags.aligned):  # carray: these two and writeable at once
            return x
    return copy(x, dtype)


def native(x: Array, dtype: DTypeLike) -> Array:
    """Return `x` as an aligned array of a native dtype with whatever strides; itself where it is one."""
    if x.dtype == dtype and x.flags.aligned:
        return x
    return np.array(x, dtype=dtype)


def channels_last(x: Array, dtype: DTypeLike) -> Array:
    """Return images (N, C, H, W) as a contiguous array (N, H, W, C); a view where they lie like that."""
    return contiguous(x.transpose(_NCHW_TO_NHWC), dtype)


def from_channels_last(x: Array, dtype: DTypeLike) -> Array:
    """Return an array (N, H, W, C) as a view (N, C, H, W) on its memory; a copy where the dtype differs."""
    return x.transpose(_NHWC_TO_NCHW).astype(dtype, copy=False)


class Layout:
    """The order in which the axes of an array lie in memory.

    Calling it undoes `dense`: a contiguous array comes back in the original shape, as a view, cast to `dtype`
    if one is given.

    Parameters
    ----------
    axes : tuple of int or None
        The axes from the outermost to the innermost in memory; None stands for C order.
    """

    __slots__ = ("axes", "inverse")

    def __init__(self, axes: tuple[int, ...] | None) -> None:
        self.axes = axes
        self.inverse = None if axes is None else tuple(axes.index(axis) for axis in range(len(axes)))

    def dense(self, x: Array, dtype: DTypeLike) -> Array:
        """Return `x` contiguous with its axes in this order."""
        return contiguous(x if self.axes is None else x.transpose(self.axes), dtype)

    def __call__(self, x: Array, dtype: DTypeLike | None = None) -> Array:
        restored = x if self.inverse is None else x.transpose(self.inverse)
        return restored if dtype is None or restored.dtype == dtype else restored.astype(dtype)


_C_ORDER = Layout(None)
_CHANNELS_LAST = Layout(_NCHW_TO_NHWC)


def dense(x: Array, dtype: DTypeLike) -> tuple[Array, Layout]:
    """Return `x` contiguous with its axes in memory order, and the `Layout` that restores the shape.

    Elementwise layers work on this: they need no order of the axes, and so keep that of their input.
    """
    flags = x.flags
    if flags.c_contiguous:
        return (x if flags.aligned and x.dtype == dtype else contiguous(x, dtype)), _C_ORDER
    if x.ndim == 4 and x.transpose(_NCHW_TO_NHWC).flags.c_contiguous:
        layout = _CHANNELS_LAST
    else:
        layout = Layout(tuple(sorted(range(x.ndim), key=lambda axis: -abs(x.strides[axis]))))
    return layout.dense(x, dtype), layout
