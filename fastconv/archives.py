"""Zip archives that may be damaged or made to harm."""
from __future__ import annotations

import os
import struct
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from typing import IO

END, END_BYTES = b"PK\5\6", 22  # of the record that ends an archive
COUNTED_ELSEWHERE = 0xFFFF  # in archives of 4 GiB and more


@contextmanager
def open_archive(file: IO[bytes]) -> Iterator[zipfile.ZipFile]:
    """Open an archive for reading; all that `zipfile` raises in the block for what is in the file is a ValueError."""
    try:
        with zipfile.ZipFile(file) as archive:
            names = archive.namelist()
            if len(set(names)) != len(names):
                raise ValueError("has two entries of one name")
            _check_end(file, archive)
            yield archive
    except (ValueError, MemoryError):
        raise
    except Exception as error:  # zipfile and zlib have each their own, and seek to wherever they are told
        raise ValueError(str(error) or type(error).__name__) from error


def _check_end(file: IO[bytes], archive: zipfile.ZipFile) -> None:
    """Refuse an archive that does not end with its end, or has other entries than that counts; `zipfile` does not."""
    file.seek(-END_BYTES - len(archive.comment), os.SEEK_END)
    end = file.read(END_BYTES)
    count, comment_bytes = struct.unpack("<10xH8xH", end)
    if not end.startswith(END) or comment_bytes != len(archive.comment):
        raise ValueError("is cut off, or has something behind its end")
    if count not in (len(archive.namelist()), COUNTED_ELSEWHERE):
        raise ValueError(f"has {len(archive.namelist())} entries, expected {count}")
