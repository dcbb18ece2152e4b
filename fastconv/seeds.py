"""Random generators from the seeds that networks take."""
from __future__ import annotations

import numpy as np

from .shapes import whole


def generator(where: str, seed: np.random.Generator | int) -> np.random.Generator:
    """Return a generator itself, or one of this seed.

    Raises
    ------
    TypeError, ValueError
        If `seed` is neither a generator nor an integer of at least 0; `where` is the call, for the message.
    """
    return seed if isinstance(seed, np.random.Generator) else np.random.default_rng(whole(seed, f"{where}: seed"))
