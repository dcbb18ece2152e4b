"""Files that are written whole or not at all."""
from __future__ import annotations

import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO


@contextmanager
def replacing(path: Path) -> Iterator[IO[bytes]]:
    """Open a new file beside `path` that takes its place when the block ends well, else is deleted.

    Raises
    ------
    OSError
        The file cannot be written. An old one is as it was.
    """
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(4)}.tmp")
    try:
        with temporary.open("xb") as file:  # the mode follows the umask, unlike tempfile's
            yield file
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
    except BaseException as error:
        temporary.unlink(missing_ok=True)
        if isinstance(error, OSError):
            raise OSError(error.errno, f"not written: {error.strerror}", str(path)) from error
        raise


def remove_remains(path: Path) -> None:
    """Delete what processes left that were killed while they wrote `path`."""
    for temporary in path.parent.glob(f".{path.name}.????????.tmp"):
        temporary.unlink(missing_ok=True)
