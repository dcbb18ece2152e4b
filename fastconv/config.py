"""What this installation computes with."""
from __future__ import annotations

import platform
import sys
from typing import Any

import numpy

from . import dispatch
from .threads import get_num_threads, usable_cpus
from .winograd import winograd_enabled


def package_version() -> str:
    """Return fastconv's version."""
    from importlib.metadata import PackageNotFoundError, version  # takes 30 ms to import
    try:
        return version("fastconv")
    except PackageNotFoundError:
        return "not installed (running from a source tree)"


def config() -> dict[str, Any]:
    """Return backend, instruction set, thread pool, threads and versions as a dictionary.

    ``numba_threads`` is known once the Numba backend is in use, ``numba_layer`` once it has shared a loop.
    """
    found: dict[str, Any] = {
        "fastconv": package_version(),
        "backend": dispatch.backend(),
        "backends": list(dispatch.backends()),
        "instruction_set": None,
        "instruction_sets": [],
        "thread_pool": None,
        "compiler": None,
        "winograd": winograd_enabled(),
        "threads": get_num_threads(),
        "usable_cpus": usable_cpus(),
        "numba": dispatch.numba_version(),
        "numba_layer": None,
        "numba_threads": None,
        "python": platform.python_version(),
        "numpy": numpy.__version__,
        "platform": platform.platform(),
    }
    if "native" in found["backends"]:
        from .kernels import native
        found |= {"instruction_set": native.level, "instruction_sets": list(native.built_levels()),
                  "thread_pool": native.pool.implementation(), "compiler": native.cpu.compiler()}
    if found["backend"] == "numba" or "fastconv.kernels.jit" in sys.modules:
        found |= _numba_threads()
    return found


def _numba_threads() -> dict[str, Any]:
    import numba
    try:
        layer = numba.threading_layer()
    except ValueError:  # it is chosen when a loop is first shared
        layer = None
    return {"numba_layer": layer, "numba_threads": numba.config.NUMBA_NUM_THREADS}


def show_config() -> None:
    """Print backend, instruction set, thread pool, threads and versions."""
    for name, value in config().items():
        text = ", ".join(value) if isinstance(value, list) else value
        print(f"{name.replace('_', ' '):<17}{'none' if value in (None, []) else text}")
