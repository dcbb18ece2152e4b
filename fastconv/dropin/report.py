"""What a script's run was made of: what was replaced, how often it was called, what the book's code had to do."""
from __future__ import annotations

import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, TextIO

import numpy as np

from .. import dispatch


class Report:
    """Counts calls, and estimates what the book's code would have taken: it runs for each new shape of arguments.

    Attributes
    ----------
    enabled : bool
        Whether calls are counted and timed.
    """

    def __init__(self) -> None:
        self.enabled = False
        self.clear()

    def clear(self) -> None:
        """Forget what was noted."""
        self.replaced: dict[str, list[str]] = {}
        self.left_alone: dict[str, str] = {}
        self.notes: list[str] = []
        self.fallbacks: Counter[tuple[str, str]] = Counter()
        self.calls: dict[str, list[float]] = {}      # name -> calls, our seconds, the book's
        self._book: dict[tuple[Any, ...], float] = {}  # call and shapes -> the book's seconds
        self._inside = False

    def fell_back(self, name: str, reason: BaseException) -> None:
        """Note a call that the book's own code had to do."""
        self.fallbacks[name, str(reason)] += 1

    def note(self, line: str) -> None:
        """Note what else the reader of the report should know, once."""
        if line not in self.notes:
            self.notes.append(line)

    def call(self, name: str, key: tuple[Any, ...], run: Callable[[], Any],
             book: Callable[[], Callable[[], Any]]) -> Any:
        """Run a call and count it; `book` prepares a call of the book's code, to be timed for each new key."""
        if self._inside:
            return run()
        with self.paused():
            if (name, key) not in self._book:
                self._book[name, key] = _seconds(book)
            start = time.perf_counter()
            result = run()
            self.add(name, 1, time.perf_counter() - start, self._book[name, key])
            return result

    @contextmanager
    def paused(self) -> Iterator[None]:
        """Count no calls in a block."""
        before, self._inside = self._inside, True
        try:
            yield
        finally:
            self._inside = before

    def add(self, name: str, calls: int, seconds: float, book_seconds: float) -> None:
        """Count calls that took these seconds, and would have taken `book_seconds` with the book's code."""
        entry = self.calls.setdefault(name, [0, 0.0, 0.0])
        for i, value in enumerate((calls, seconds, book_seconds)):
            entry[i] += value

    @contextmanager
    def book_seconds(self) -> Iterator[list[float]]:
        """Sum up, in the list's one entry, what a block's calls make of a step of the book's Trainer.

        Forward passes count twice: the book's takes one more to print the loss.
        """
        before = {name: entry[2] for name, entry in self.calls.items()}
        total = [0.0]
        yield total
        total[0] = sum((2 if name.endswith(".forward") else 1) * (entry[2] - before.get(name, 0.0))
                       for name, entry in self.calls.items())

    def write(self, file: TextIO | None = None) -> None:
        """Print the report, by default to stderr."""
        print(self.text(), file=file or sys.stderr)

    def text(self) -> str:
        """Return the report."""
        lines = [f"fastconv: backend {dispatch.backend()}"]
        lines += [f"  {module}: {', '.join(names)}" for module, names in sorted(self.replaced.items())]
        if not self.replaced:
            lines.append("  nothing was replaced: the script imported no module of the book's")
        lines += [f"  left alone: {name} {reason}" for name, reason in sorted(self.left_alone.items())]
        lines += [f"  {line}" for line in self.notes]
        if self.calls:
            lines.append(f"  {'calls':<34}{'number':>10}{'seconds':>11}{'the book, estimated':>22}")
            lines += [f"    {name:<32}{calls:>10,.0f}{seconds:>11.3f}{book:>22.3f}"
                      for name, (calls, seconds, book) in sorted(self.calls.items())]
            saved = sum(book - seconds for _, seconds, book in self.calls.values())
            lines.append("  time saved, estimated from the book's code on arguments of the same shapes: "
                         + _duration(saved))
        lines += [f"  by the book's own code: {name}, {count:,} times: {reason}"
                  for (name, reason), count in sorted(self.fallbacks.items())]
        if not self.fallbacks:
            lines.append("  by the book's own code: no call")
        return "\n".join(lines)


def _seconds(prepare: Callable[[], Callable[[], Any]]) -> float:
    """Return the least time of a call: of one that takes long, of some that do not; 0 where it fails."""
    state = np.random.get_state()
    try:
        with np.errstate(all="ignore"):
            run = prepare()
            seconds: list[float] = []
            while len(seconds) < 10 and sum(seconds) < 0.02:
                start = time.perf_counter()
                run()
                seconds.append(time.perf_counter() - start)
            return min(seconds)
    except Exception:  # the book's code is only here for its time
        return 0.0
    finally:
        np.random.set_state(state)


def _duration(seconds: float) -> str:
    sign, seconds = "-" if seconds < 0 else "", abs(seconds)
    if seconds < 60:
        return f"{sign}{seconds:.1f} s"
    hours, minutes = divmod(int(seconds) // 60, 60)
    return sign + (f"{hours} h " if hours else "") + f"{minutes} min {int(seconds) % 60} s"


report = Report()
