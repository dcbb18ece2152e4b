"""bfloat16, which NumPy does not have: the upper half of a float32."""
from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

BFLOAT16 = "bf16"


def widened(bits: NDArray[Any]) -> NDArray[np.float32]:
    """Return the float32 numbers of bfloat16 numbers, which are given as uint16 of any strides and byte order."""
    wide = np.array(bits, np.uint32, order="C")
    wide <<= np.uint32(16)
    return wide.view(np.float32)
