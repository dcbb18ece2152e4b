"""The inputs of layers that have several."""
from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from ..arrays import Array, as_array, result_dtype


def branches(where: str, xs: Sequence[ArrayLike]) -> tuple[list[Array], np.dtype[Any], np.dtype[Any]]:
    """Return the inputs as arrays, and `result_dtype` of them all.

    Raises
    ------
    ValueError
        If there are fewer than two.
    """
    if len(xs) < 2:
        raise ValueError(f"{where}: got {len(xs)} array{'' if len(xs) == 1 else 's'}, expected two or more, "
                         "each an argument of its own")
    arrays = [as_array(where, f"xs[{i}]", x) for i, x in enumerate(xs)]
    dtype, compute = result_dtype(where, **{f"xs[{i}]": x for i, x in enumerate(arrays)})
    return arrays, dtype, compute


def in_memory_order(x: Array, back: bool = False) -> Array:
    """Return images (N, C, H, W) as a view (N, H, W, C), or `back`; other arrays as they are."""
    if x.ndim != 4:
        return x
    return x.transpose(0, 3, 1, 2) if back else x.transpose(0, 2, 3, 1)
