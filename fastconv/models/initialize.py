"""Initial weights."""
from __future__ import annotations

import math

import numpy as np

from ..engine import Network


def he(network: Network, rng: np.random.Generator) -> None:
    """Draw all W anew, with a standard deviation of ``sqrt(2 / fan_in)`` (https://arxiv.org/abs/1502.01852).

    `fan_in` is how many values a layer multiplies for one result: channels of a group times window for filters
    (FN, C // groups, FH, FW), the inputs for matrices (D, M). Layers are taken in the network's order.
    """
    for key, W in network.params.items():
        if key.startswith("W"):
            fan_in = math.prod(W.shape[1:]) if W.ndim == 4 else len(W)
            dtype = W.dtype if W.dtype in (np.float32, np.float64) else np.float32
            normal = rng.standard_normal(W.shape, dtype)  # type: ignore[arg-type]
            normal *= math.sqrt(2.0 / fan_in)
            network.params[key] = normal
