"""Gradient clipping by the norm of all gradients together (Pascanu, Mikolov and Bengio, 2013, algorithm 1)."""
from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .finite import NotFinite

PIECE = 1 << 16  # values that are squared in float64 at a time


def clipped(grads: Mapping[str, Any], keys: Iterable[str], most: float) -> dict[str, Any]:
    """Return the gradients of `keys`, scaled to an L2 norm of `most` together if theirs is larger.

    The arrays that are given stay as they are. No square overflows or vanishes, whatever their dtype.

    Raises
    ------
    NotFinite
        If a gradient has a nan or inf.
    """
    own = {key: np.asarray(grads[key]) for key in keys if key in grads}  # an optimizer says what is missing
    tops = {key: float(np.abs(g).max()) if g.size else 0.0 for key, g in own.items()}
    for key, value in tops.items():
        if not math.isfinite(value):
            raise NotFinite(f"the gradient of {key} has a value that is not finite")
    top = max(tops.values(), default=0.0)
    if not top:
        return own
    norm = math.sqrt(math.fsum(float(np.square(piece / top).sum()) for g in own.values() for piece in _pieces(g)))
    if norm <= most / top:
        return own
    return {key: _scaled(g, top, most / norm) for key, g in own.items()}


def _pieces(g: NDArray[Any]) -> Iterator[NDArray[np.float64]]:
    flat = g.reshape(-1)
    for first in range(0, flat.size, PIECE):
        yield flat[first:first + PIECE].astype(np.float64)


def _scaled(g: NDArray[Any], top: float, factor: float) -> NDArray[Any]:
    """Return ``g / top * factor``, where neither step leaves the range of the dtype; float16 by way of float32."""
    compute = np.result_type(g.dtype, np.float32)
    scaled = g.astype(compute) / compute.type(top) * compute.type(factor)
    return scaled.astype(np.float16) if g.dtype == np.float16 else scaled
