"""Compiled kernels: every ``.pyx`` here is built once per instruction-set level; the best level is picked at import.

``FASTCONV_MAX_ISA`` (``baseline``, ``x86_64_v3``, ``x86_64_v4``) caps the choice. The level's kernels are in this
package; their modules are loaded when they are first used. Importing it raises ImportError where nothing was built.
"""
from __future__ import annotations

import os
import sys
from importlib import import_module
from typing import Any

from ...dispatch import OPERATIONS

# slowest first; the portable level is built on every machine
LEVELS = ("baseline", "x86_64_v3", "x86_64_v4")
FILES = OPERATIONS | {"Plan": "plan"}

cpu = import_module(f"{__name__}.baseline.cpu")
# every level shares one pool: the kernels find it under this name when they are loaded
pool = sys.modules[f"{__name__}.pool"] = import_module(f"{__name__}.baseline.pool")


def built_levels() -> tuple[str, ...]:
    """Return the levels that this installation holds and this CPU runs, slowest first."""
    return tuple(name for name in LEVELS if cpu.supports(name) and _is_built(name))


def _is_built(level: str) -> bool:
    folder = os.path.join(os.path.dirname(__file__), level)
    return os.path.isdir(folder) and set(FILES.values()) <= {file.partition(".")[0] for file in os.listdir(folder)}


def _choose() -> str:
    cap = os.environ.get("FASTCONV_MAX_ISA") or LEVELS[-1]
    if cap not in LEVELS:
        raise ValueError(f"FASTCONV_MAX_ISA={cap!r} is not a level; the levels are: {', '.join(LEVELS)}")
    usable = [name for name in built_levels() if LEVELS.index(name) <= LEVELS.index(cap)]
    if not usable:
        raise ImportError("the compiled kernels are incomplete: install fastconv again")
    return usable[-1]


level = _choose()


def __getattr__(name: str) -> Any:
    if name not in FILES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    found = globals()[name] = getattr(import_module(f"{__name__}.{level}.{FILES[name]}"), name)
    return found
