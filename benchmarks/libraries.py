"""Which of the libraries next door take part."""
from __future__ import annotations

import importlib.util
import os

ALONE = "FASTCONV_BENCHMARK_ALONE"  # set by --benchmark-alone


def takes_part(library: str) -> bool:
    """Say whether the library is installed, and fastconv is not measured alone."""
    return not os.environ.get(ALONE) and importlib.util.find_spec(library) is not None
