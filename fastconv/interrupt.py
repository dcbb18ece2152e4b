"""Ctrl-C, and SIGTERM, that wait until the work is in a state worth keeping."""
from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any, NoReturn

TERMINATED = 128 + signal.SIGTERM  # the exit code, as shells have it
_DEFAULTS: dict[signal.Signals, Any] = {signal.SIGINT: signal.default_int_handler, signal.SIGTERM: signal.SIG_DFL}


class LeftAtOnce(KeyboardInterrupt):
    """What a first signal raises where nothing is lost by it."""


class DeferredInterrupt:
    """Inside the ``with`` block a first Ctrl-C only sets `requested`; a second one raises KeyboardInterrupt.

    Outside the main thread, or where the program handles the signal in a way of its own, nothing is changed.

    Parameters
    ----------
    sigterm : bool, default False
        Take SIGTERM, too; as the second signal it raises SystemExit.

    Attributes
    ----------
    terminated : bool
        Whether SIGTERM came in a block of this object's.

    Examples
    --------
    >>> with DeferredInterrupt() as interrupt:
    ...     while not interrupt.requested:
    ...         step()
    """

    def __init__(self, sigterm: bool = False) -> None:
        self.terminated = False
        self._signals = (signal.SIGINT, signal.SIGTERM) if sigterm else (signal.SIGINT,)
        self._presses = 0
        self._at_once = False
        self._installed: list[signal.Signals] = []

    @property
    def requested(self) -> bool:
        """Whether there was a signal in the block that is running."""
        return self._presses > 0

    @contextmanager
    def at_once(self) -> Iterator[None]:
        """Let already the first signal leave the outer block: for work that may be dropped halfway."""
        self._at_once = True
        try:
            yield
        finally:
            self._at_once = False

    def __enter__(self) -> DeferredInterrupt:
        if threading.current_thread() is threading.main_thread():
            self._installed = [number for number in self._signals if signal.getsignal(number) is _DEFAULTS[number]]
        for number in self._installed:
            signal.signal(number, self._handle)
        return self

    def __exit__(self, kind: type[BaseException] | None, *exc: object) -> bool:
        for number in self._installed:
            signal.signal(number, _DEFAULTS[number])
        self._installed = []
        self._presses = 0
        return kind is LeftAtOnce

    def _handle(self, number: int, frame: FrameType | None) -> None:
        self._presses += 1
        self.terminated |= number == signal.SIGTERM
        if self._presses > 1:
            _leave(number)
        if self._at_once:
            raise LeftAtOnce


def _leave(number: int) -> NoReturn:
    if number == signal.SIGTERM:
        raise SystemExit(TERMINATED)
    raise KeyboardInterrupt
