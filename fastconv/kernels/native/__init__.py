"""Compiled kernels: every ``.pyx`` here is built once per instruction-set level; the best level is picked at import.

``FASTCONV_MAX_ISA`` (``baseline``, ``x86_64_v3``, ``x86_64_v4``) caps the choice. The chosen modules appear under their
plain names (``fastconv.kernels.native.convolution``), the kernels also in this package. Importing it raises ImportError
where nothing was built.
"""
from __future__ import annotations

import importlib
import importlib.util
import os
import sys

# slowest first; the portable level is built on every machine
LEVELS = ("baseline", "x86_64_v3", "x86_64_v4")
MODULES = ("convolution", "im2col", "pooling", "gemm", "elementwise", "dropout", "loss",
           "batch_normalization", "lrn", "optimizer", "plan")

cpu = importlib.import_module(f"{__name__}.baseline.cpu")
# every level shares one pool: the kernels find it under this name when they are loaded
pool = sys.modules[f"{__name__}.pool"] = importlib.import_module(f"{__name__}.baseline.pool")


def built_levels() -> tuple[str, ...]:
    """Return the levels that this installation holds and this CPU runs, slowest first."""
    return tuple(name for name in LEVELS if cpu.supports(name) and _is_built(name))


def _is_built(level: str) -> bool:
    try:
        return importlib.util.find_spec(f"{__name__}.{level}.{MODULES[-1]}") is not None
    except ModuleNotFoundError:
        return False


def _choose() -> str:
    cap = os.environ.get("FASTCONV_MAX_ISA") or LEVELS[-1]
    if cap not in LEVELS:
        raise ValueError(f"FASTCONV_MAX_ISA={cap!r} is not a level; the levels are: {', '.join(LEVELS)}")
    usable = [name for name in built_levels() if LEVELS.index(name) <= LEVELS.index(cap)]
    if not usable:
        raise ImportError("the compiled kernels are incomplete: install fastconv again")
    return usable[-1]


level = _choose()

for _name in MODULES:
    _module = importlib.import_module(f"{__name__}.{level}.{_name}")
    sys.modules[f"{__name__}.{_name}"] = _module
    globals().update({op: getattr(_module, op) for op in _module.__all__})
