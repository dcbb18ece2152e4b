"""Files that are written whole or not at all."""
from __future__ import annotations

import errno
import glob
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO

LONGEST_STEM = 60  # in characters, of up to 4 of the 255 bytes that names of files can have


@contextmanager
def replacing(path: Path) -> Iterator[IO[bytes]]:
    """Open a new file beside `path` that takes its place when the block ends well, else is deleted.

    Raises
    ------
    OSError
        The file cannot be written. An old one is as it was.
    """
    temporary = path.with_name(f".{path.name[:LONGEST_STEM]}.{os.urandom(4).hex()}.tmp")
    try:
        if path.exists() and not path.is_file():
            raise OSError(errno.EEXIST, "there is a folder, a pipe or a device of this name")
        with temporary.open("xb") as file:  # the mode follows the umask, unlike tempfile's
            yield file
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
        _sync_folder(path.parent)
    except BaseException as error:
        temporary.unlink(missing_ok=True)
        if isinstance(error, OSError):
            raise OSError(error.errno, f"not written: {error.strerror}", str(path)) from error
        raise


def remove_remains(path: Path) -> None:
    """Delete what processes left that were killed while they wrote `path`."""
    for temporary in path.parent.glob(f".{glob.escape(path.name[:LONGEST_STEM])}.????????.tmp"):
        temporary.unlink(missing_ok=True)


def _sync_folder(folder: Path) -> None:
    """Bring the change of a name to the disk, where the system can; the file is whole without it, old or new."""
    with suppress(OSError):
        opened = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(opened)
        finally:
            os.close(opened)
