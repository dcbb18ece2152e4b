"""One run at a time in a folder: an advisory lock on the folder, which ends with its process, however that ends."""
from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager

try:
    import fcntl
except ImportError:  # not a POSIX system
    fcntl = None  # type: ignore[assignment]

_guard = threading.Lock()
_held: dict[tuple[int, str], tuple[int | None, int]] = {}  # process and folder -> open file, how often it was asked for


@contextmanager
def locked(folder: str | os.PathLike[str]) -> Iterator[None]:
    """Keep other processes' runs out of a folder; a block inside a block of the same process is let in.

    Where the system or the file system has no such locks, or the folder cannot be opened, nothing is kept out.

    Raises
    ------
    FileExistsError
        Another process has the folder.
    """
    if fcntl is None:
        yield
        return
    key = os.getpid(), os.path.realpath(folder)
    with _guard:
        file, times = _held.get(key) or (_lock(folder), 0)
        _held[key] = file, times + 1
    try:
        yield
    finally:
        with _guard:
            file, times = _held.pop(key)
            if times > 1:
                _held[key] = file, times - 1
            elif file is not None:
                os.close(file)


def _lock(folder: str | os.PathLike[str]) -> int | None:
    file = None
    try:
        file = os.open(folder, os.O_RDONLY)
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        assert file is not None
        os.close(file)
        raise FileExistsError(f"another process is training in {os.fspath(folder)}; wait until it has ended, stop it, "
                              "or choose another folder") from None
    except OSError:
        pass
    return file
