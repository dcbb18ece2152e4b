"""Files from strangers: opened, and quoted."""
from __future__ import annotations

import errno
import os
import stat
from io import BufferedReader


def open_regular(path: str | os.PathLike[str]) -> BufferedReader:
    """Open a regular file for reading; OSError if it is a pipe or a device, which may never end, or a folder."""
    file = open(path, "rb", opener=_without_waiting)
    if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
        file.close()
        raise OSError(errno.EINVAL, "is a pipe or device, expected a regular file", str(path))
    return file


def harmless(text: str, most: int) -> str:
    """Return at most so many characters of what a file says, and none that could steer a terminal."""
    return "".join(c if c.isprintable() else "?" for c in text[:most])


def _without_waiting(path: str, flags: int) -> int:
    return os.open(path, flags | getattr(os, "O_NONBLOCK", 0))  # a pipe nobody writes to would keep us waiting
