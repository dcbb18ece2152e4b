"""Whether 3x3 and 5x5 convolutions may take fewer products by Winograd's method.

For filters of 3x3 at stride 1, the compiled kernels compute 4x4 results from 36 products instead of 144, for those of
5x5 (native kernels) 2x2 results instead of 100 (Lavin and Gray, 2015, https://arxiv.org/abs/1509.09308). The sums are
rounded differently: for data of unit variance the error is below 1e-4 of the largest result in float32, 2e-13 in
float64 (tests/kernels/test_winograd.py). ``FASTCONV_WINOGRAD=0`` in the environment switches it off from the start.
"""
from __future__ import annotations

from . import dispatch
from .kernels import settings


class use_winograd:
    """Allow Winograd's method, or not: as a call for the process, as a context manager for the block.

    Parameters
    ----------
    enabled : bool

    Examples
    --------
    >>> with fastconv.use_winograd(False):
    ...     exact = network.predict(x)
    """

    def __init__(self, enabled: bool) -> None:
        self._before = _switch(enabled)

    def __enter__(self) -> use_winograd:
        return self

    def __exit__(self, *exc: object) -> None:
        _switch(self._before)


def winograd_enabled() -> bool:
    """Say whether Winograd's method may be used; False where there are no compiled kernels."""
    return settings.winograd and dispatch.backends() != ("reference",)


def _switch(enabled: bool) -> bool:
    before, settings.winograd = settings.winograd, bool(enabled)
    return before
