"""Which kernel runs: one ordered table per operation, fastest backend first, the NumPy reference last.

>>> from fastconv.dispatch import kernels, use
>>> kernels.relu_forward(x, out)            # the fastest backend that is installed
>>> with use("reference"):                  # or a forced one
...     kernels.relu_forward(x, out)
"""
from __future__ import annotations

import importlib
import importlib.util
import os
import re
import warnings
from collections.abc import Callable
from functools import cache
from typing import Any

from .long_calls import in_parts
from .threads import get_num_threads, resolve

# operation -> the file that holds it, the same in every backend's folder
OPERATIONS: dict[str, str] = {
    op: file
    for file, ops in {
        "convolution": ("convolution_forward", "convolution_backward_data", "convolution_backward_weight"),
        "im2col": ("im2col", "col2im"),
        "pooling": ("max_pooling_forward", "max_pooling_backward",
                    "average_pooling_forward", "average_pooling_backward"),
        "gemm": ("gemm", "bias_backward"),
        "elementwise": ("relu_forward", "relu_backward", "sigmoid_forward", "sigmoid_backward"),
        "dropout": ("dropout_forward", "dropout_backward"),
        "loss": ("softmax_forward", "softmax_loss_forward", "softmax_loss_backward"),
        "batch_normalization": ("batch_normalization_forward", "batch_normalization_inference",
                                "batch_normalization_backward"),
        "lrn": ("lrn_forward", "lrn_backward"),
        "optimizer": ("sgd_update", "momentum_update", "nesterov_update",
                      "adagrad_update", "rmsprop_update", "adam_update"),
    }.items()
    for op in ops
}

# fastest first, the reference last
BACKENDS: dict[str, str] = {
    "native": "fastconv.kernels.native",
    "numba": "fastconv.kernels.jit",
    "reference": "fastconv.kernels.reference",
}

OLDEST_NUMBA = (0, 60)


class _Kernels:
    """The table as attributes: ``kernels.convolution_forward(x, weight, ...)`` runs the current backend's kernel.

    Each is looked up when it is first asked for, and again once there is another backend.
    """

    def __getattr__(self, name: str) -> Callable[..., None]:
        if name not in OPERATIONS:
            raise AttributeError(f"no operation {name!r}; there are: {', '.join(OPERATIONS)}")
        run = in_parts(name, kernel(name, backend()))

        def operation(*arrays_and_geometry: Any, n_threads: int | None = None) -> None:
            run(*arrays_and_geometry, get_num_threads() if n_threads is None else resolve(n_threads))

        setattr(self, name, operation)
        return operation

    def forget(self) -> None:
        """Look up the kernels again."""
        vars(self).clear()


kernels = _Kernels()
_backend: str | None = None


def kernel(op: str, backend: str) -> Callable[..., None]:
    """Return one backend's function for the operation `op`; its last parameter is ``n_threads``."""
    return getattr(importlib.import_module(BACKENDS[backend]), op)


@cache
def plan(backend: str) -> Any:
    """Return the class that runs a whole network's steps on the backend, None where its layers run one by one."""
    return getattr(importlib.import_module(BACKENDS[backend]), "Plan", None)


def available(backend: str) -> bool:
    """Say whether the backend is installed and runs on this machine; Numba is looked for, not imported."""
    if backend == "numba":
        return _number(numba_version()) >= OLDEST_NUMBA
    return _imports(backend)


def numba_version() -> str | None:
    """Return the version of the Numba that is installed, None where there is none."""
    return _installed_numba() if importlib.util.find_spec("numba") else None


@cache
def _installed_numba() -> str | None:
    import importlib.metadata
    try:
        return importlib.metadata.version("numba")
    except importlib.metadata.PackageNotFoundError:
        return None


def _number(version: str | None) -> tuple[int, ...]:
    """Return the first two numbers of a version; () for None."""
    return tuple(map(int, re.findall(r"\d+", version or "")[:2]))


def backends() -> tuple[str, ...]:
    """Return the names of the available backends, fastest first."""
    return tuple(name for name in BACKENDS if available(name))


def backend() -> str:
    """Return the name of the backend in use."""
    global _backend
    if _backend is None:
        wish = os.environ.get("FASTCONV_BACKEND")
        _backend = _checked(wish, "FASTCONV_BACKEND") if wish else _fastest()
    return _backend


class use:
    """Force a backend: as a call for the process, as a context manager for the block.

    Parameters
    ----------
    backend : str
        ``"native"``, ``"numba"`` or ``"reference"``.

    Raises
    ------
    ValueError
        If there is no such backend.
    ImportError
        If the backend is not installed here.
    """

    def __init__(self, backend: str) -> None:
        self._before = _backend
        _switch(_checked(backend, "use"))

    def __enter__(self) -> use:
        return self

    def __exit__(self, *exc: object) -> None:
        _switch(self._before)


def _switch(name: str | None) -> None:
    global _backend
    _backend = name
    kernels.forget()


def _checked(name: str, where: str) -> str:
    if name not in BACKENDS:
        raise ValueError(f"{where}: there is no backend {name!r}; there are: {', '.join(BACKENDS)}")
    if not available(name):
        advice = f"; to get it: {_numba_advice()}" if name == "numba" else ""
        raise ImportError(f"{where}: the backend {name!r} is not installed here; "
                          f"available: {', '.join(backends())}{advice}")
    return name


def _fastest() -> str:
    name = next(name for name in BACKENDS if available(name) and (name != "numba" or _imports(name)))
    if name == "numba":
        warnings.warn(
            "fastconv runs on its Numba kernels, somewhat slower and compiled when they are first used (fastconv "
            f"warmup compiles them ahead): its Cython kernels are missing. {COMPILER_ADVICE}",
            RuntimeWarning, stacklevel=4)
    if name == "reference":
        warnings.warn(
            "fastconv runs on plain NumPy, many times slower: its compiled kernels are missing. "
            f"{COMPILER_ADVICE}. Without a compiler: {_numba_advice()}", RuntimeWarning, stacklevel=4)
    return name


COMPILER_ADVICE = ("Install a C compiler (Debian and Ubuntu: apt install gcc python3-dev) and reinstall fastconv "
                   "(pip install --force-reinstall); in a source tree: pip install -e .")


def _numba_advice() -> str:
    version = numba_version()
    least = ".".join(map(str, OLDEST_NUMBA))
    if version and not available("numba"):
        return f"pip install --upgrade 'fastconv[numba]' (Numba {version} is here, {least} or newer is needed)"
    return "pip install 'fastconv[numba]'"


def _imports(backend: str) -> bool:
    """Say whether the backend's kernels can be imported: Numba refuses a NumPy that it does not know."""
    try:
        importlib.import_module(BACKENDS[backend])
    except ImportError:
        return False
    return True
