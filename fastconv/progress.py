"""How a training run shows itself: a bar on a terminal, one plain line per epoch elsewhere, or nothing."""
from __future__ import annotations

import sys
from typing import Any

BOOK_EPOCH = "=== epoch:{epoch}, train acc:{train_acc}, test acc:{test_acc} ==="
EPOCH = BOOK_EPOCH.replace(" ===", ", loss:{loss:.4f}, images/s:{images_per_second:.0f} ===")


class Reporter:
    """Says nothing."""

    def step(self, images: int, loss: float) -> None:
        """Take note of a training step on so many images."""

    def epoch(self, record: dict[str, Any]) -> None:
        """Take note of a finished epoch."""

    def final(self, test_acc: float) -> None:
        """Take note of the accuracy after the last epoch."""

    def interrupted(self, step: int) -> None:
        """Take note of Ctrl-C after so many steps."""

    def close(self) -> None:
        """Leave the terminal as it was found."""


class Lines(Reporter):
    """Prints a line per epoch, by a template, and the book's lines at the end."""

    def __init__(self, line: str = EPOCH) -> None:
        self._line = line

    def epoch(self, record: dict[str, Any]) -> None:
        self._print(self._line.format_map(record))

    def final(self, test_acc: float) -> None:
        self._print("=============== Final Test Accuracy ===============")
        self._print(f"test acc:{test_acc}")

    def interrupted(self, step: int) -> None:
        self._print(f"=== interrupted after step {step}; train() again goes on from here ===")

    def _print(self, line: str) -> None:
        print(line, flush=True)


class Bar(Lines):
    """Draws a bar with loss, accuracy, images/s and time left; the lines scroll above it."""

    def __init__(self, images: int, line: str = EPOCH) -> None:
        super().__init__(line)
        from tqdm import tqdm  # type: ignore[import-untyped]
        self._bar = tqdm(total=images, unit=" images", unit_scale=True, dynamic_ncols=True, file=sys.stdout)
        self._accuracy: dict[str, str] = {}

    def step(self, images: int, loss: float) -> None:
        self._bar.set_postfix({"loss": f"{loss:.4f}", **self._accuracy}, refresh=False)
        self._bar.update(images)

    def epoch(self, record: dict[str, Any]) -> None:
        self._accuracy = {"test acc": f"{record['test_acc']:.4f}"}
        super().epoch(record)

    def close(self) -> None:
        self._bar.close()

    def _print(self, line: str) -> None:
        self._bar.write(line, file=sys.stdout)


def reporter(verbose: bool, images: int, line: str = EPOCH) -> Reporter:
    """Return the reporter that suits standard output, for a run over so many images; `line` is an epoch's."""
    if not verbose:
        return Reporter()
    return Bar(images, line) if sys.stdout.isatty() else Lines(line)
