"""The folder of a training run: its checkpoint, the best parameters so far, and the history, a line per epoch."""
from __future__ import annotations

import os
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .. import params as files
from ..engine import Network
from ..json_line import as_json
from ..replacing import remove_remains, replacing
from .checkpoint import Checkpoint, read_checkpoint, write_checkpoint
from .network_state import take_parameters

if TYPE_CHECKING:
    from ..trainer import Trainer


class NotWritten(UserWarning):
    """A file of a training run could not be written; the training goes on."""


class RunFolder:
    """Writes the files of one run, each whole or not at all.

    Parameters
    ----------
    folder : path
        Made if it is missing.

    Attributes
    ----------
    checkpoint, best, history : Path
    unwritten : dict of str to OSError
        File names that could not be written when that was last tried, and why.

    Raises
    ------
    OSError
        If the folder cannot be made.
    """

    def __init__(self, folder: str | os.PathLike[str]) -> None:
        self.path = Path(folder)
        self.path.mkdir(parents=True, exist_ok=True)
        self.checkpoint, self.best, self.history = (
            self.path / name for name in ("checkpoint.npz", "best.pkl", "history.jsonl"))
        self.unwritten: dict[str, OSError] = {}
        self._is_ours = False
        self._lines: int | None = None  # in history.jsonl, where that is known to be whole
        self._written: tuple[Any, ...] | None = None  # where the run was when the checkpoint was written

    def claim(self) -> None:
        """Make room for a new run, unless the folder holds one that has begun and is not finished.

        Raises
        ------
        FileExistsError
            If it does; nothing is changed.
        """
        if self._is_ours:
            return
        if self.checkpoint.exists():
            self._refuse_unfinished()
        self._remove_remains()
        for path in (self.checkpoint, self.best, self.history):
            path.unlink(missing_ok=True)
        self._is_ours, self._lines = True, 0

    def read(self) -> Checkpoint:
        """Return the checkpoint.

        Raises
        ------
        FileNotFoundError
            If there is none.
        """
        if not self.checkpoint.exists():
            raise FileNotFoundError(f"Trainer.resume: there is no {self.checkpoint}")
        return read_checkpoint(self.checkpoint)

    def take_over(self, trainer: Trainer) -> None:
        """Go on with the run that `trainer` was brought to; lines of the history that came later are dropped."""
        self._remove_remains()
        self._is_ours, self._written, self._lines = True, _place(trainer), None
        self.write_history(trainer.history)

    def write_checkpoint(self, trainer: Trainer) -> None:
        """Write the checkpoint, unless it is of this very place."""
        self.claim()
        place = _place(trainer)
        if place != self._written and self._try(self.checkpoint, lambda: write_checkpoint(self.checkpoint, trainer)):
            self._written = place

    def write_best(self, network: Any) -> None:
        """Write the parameters, in the names that the network has for files."""
        self.claim()
        arrays = network.state() if isinstance(network, Network) else take_parameters(network)
        self._try(self.best, lambda: files.save(self.best, arrays))

    def write_history(self, records: list[dict[str, Any]]) -> None:
        """Append the last record, or write all where the file is not known to hold the others."""
        self.claim()
        lines = [as_json(record) + "\n" for record in records]
        appends = self._lines is not None and self._lines == len(lines) - 1
        self._lines = None
        if self._try(self.history, lambda: self._append(lines[-1]) if appends else self._rewrite(lines)):
            self._lines = len(lines)

    def _append(self, line: str) -> None:
        with self.history.open("a") as file:
            file.write(line)

    def _rewrite(self, lines: list[str]) -> None:
        with replacing(self.history) as file:
            file.write("".join(lines).encode())

    def _try(self, path: Path, write: Callable[[], object]) -> bool:
        """Write a file; say whether that went well, and warn if not."""
        try:
            write()
        except OSError as error:
            self.unwritten[path.name] = error
            warnings.warn(f"{path} could not be written: {error.strerror or error}; the training goes on",
                          NotWritten, stacklevel=2)
            return False
        self.unwritten.pop(path.name, None)
        return True

    def _refuse_unfinished(self) -> None:
        try:
            run = read_checkpoint(self.checkpoint).run
        except (OSError, ValueError) as error:
            raise FileExistsError(f"{self.checkpoint} of another run cannot be read ({error}); delete it, or choose "
                                  "another folder") from error
        if run["steps_done"] and not run["is_finished"]:
            raise FileExistsError(
                f"{self.checkpoint} is of a run that is not finished ({run['epochs_done']} of {run['last_epoch']} "
                f"epochs, {run['steps_done']} steps); go on with it (Trainer.resume, or fastconv train --resume "
                f"{self.path}), give it up (delete it, or fastconv train --overwrite), or choose another folder")

    def _remove_remains(self) -> None:
        for path in (self.checkpoint, self.best, self.history):
            remove_remains(path)


def _place(trainer: Trainer) -> tuple[Any, ...]:
    return (trainer.current_iter, trainer.current_epoch, trainer._first_epoch, trainer._last_epoch,
            trainer.is_finished)
