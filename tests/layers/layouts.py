"""One array in many memory layouts."""

from __future__ import annotations

import numpy as np


def layouts(x):
    """Return name -> array: all with the shape and the values of `x`, which has at least two axes."""
    misaligned = np.empty(x.nbytes + 1, np.uint8)[1:].view(x.dtype).reshape(x.shape)
    misaligned[...] = x
    read_only = x.copy()
    read_only.flags.writeable = False
    spread = np.full([2 * n for n in x.shape], 99, x.dtype)[tuple(slice(1, None, 2) for _ in x.shape)]
    spread[...] = x
    return {
        "C order": np.ascontiguousarray(x),
        "Fortran order": np.asfortranarray(x),
        "channels last": np.moveaxis(np.ascontiguousarray(np.moveaxis(x, 1, -1)), -1, 1),
        "first axes swapped": np.ascontiguousarray(x.swapaxes(0, 1)).swapaxes(0, 1),
        "negative strides": np.ascontiguousarray(x[::-1, ::-1])[::-1, ::-1],
        "every other element": spread,
        "other byte order": x.astype(x.dtype.newbyteorder()),
        "misaligned": misaligned,
        "read-only": read_only,
    }
