"""Ctrl-C that waits until the work is in a state worth keeping."""
from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType


class DeferredInterrupt:
    """Inside the ``with`` block a first Ctrl-C only sets `requested`; a second one raises KeyboardInterrupt.

    Outside the main thread, or where the program handles SIGINT in a way of its own, nothing is changed.

    >>> with DeferredInterrupt() as interrupt:
    ...     while not interrupt.requested:
    ...         step()
    """

    def __init__(self) -> None:
        self._presses = 0
        self._at_once = False
        self._installed = False

    @property
    def requested(self) -> bool:
        """Whether Ctrl-C was pressed in the block that is running."""
        return self._presses > 0

    @contextmanager
    def at_once(self) -> Iterator[None]:
        """Let already the first Ctrl-C leave the outer block: for work that may be dropped halfway."""
        self._at_once = True
        try:
            yield
        finally:
            self._at_once = False

    def __enter__(self) -> DeferredInterrupt:
        self._installed = (threading.current_thread() is threading.main_thread()
                           and signal.getsignal(signal.SIGINT) is signal.default_int_handler)
        if self._installed:
            signal.signal(signal.SIGINT, self._handle)
        return self

    def __exit__(self, kind: type[BaseException] | None, *exc: object) -> bool:
        if self._installed:
            signal.signal(signal.SIGINT, signal.default_int_handler)
        first, self._presses = self._presses == 1, 0
        return kind is KeyboardInterrupt and first

    def _handle(self, signum: int, frame: FrameType | None) -> None:
        self._presses += 1
        if self._presses > 1 or self._at_once:
            raise KeyboardInterrupt
