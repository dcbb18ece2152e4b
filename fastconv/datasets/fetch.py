"""Download MNIST into the user's cache folder, with pooch (imported when it is needed)."""
from __future__ import annotations

import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

from ..files import open_regular
from .idx import DatasetError

MIRRORS = (
    "https://ossci-datasets.s3.amazonaws.com/mnist/",
    "https://storage.googleapis.com/cvdf-datasets/mnist/",
    "https://raw.githubusercontent.com/fgnt/mnist/master/",
)
SHA256 = {
    "train-images-idx3-ubyte.gz": "71524e2cd1ad2968737f7f2f2ff69cbfc32df8ccddff51593f7cb2d4e0eb5b64",
    "train-labels-idx1-ubyte.gz": "fe03b8bd7915f70bf5aa08be480aa413fbd85afcaa58b35d230d335f284fd88e",
    "t10k-images-idx3-ubyte.gz": "5634745efa576a17e7d4cf5cd9d09123c75e6538e5114267c2d156edaf519341",
    "t10k-labels-idx1-ubyte.gz": "ae18e77e031ccde52407f794d123116439864147d33ac992975f85dd4dc42af6",
}


def cache_folder() -> Path:
    """Return the folder that downloads are kept in."""
    import pooch  # type: ignore[import-untyped]
    return Path(pooch.os_cache("fastconv"))


def lacking(folder: Path) -> list[str]:
    """Return the names of the files that `folder` does not hold, or not with the right SHA-256."""
    return [name for name, known in SHA256.items() if _sha256(folder / name) != known]


def download(folder: Path, timeout: float) -> None:
    """Fetch what `folder` lacks of MNIST, from the first mirror that delivers it intact.

    Parameters
    ----------
    folder : Path
        Made if it does not exist. Files there that are already good stay, others are replaced.
    timeout : float
        Seconds after which a mirror that does not answer is given up.

    Raises
    ------
    DatasetError
        No mirror could deliver; the message says what is lacking and has each mirror's reason.
    """
    import pooch  # type: ignore[import-untyped]
    downloader = pooch.HTTPDownloader(progressbar=sys.stderr.isatty(), chunk_size=1 << 16, timeout=timeout)
    reasons: list[str] = []
    for mirror in _answering(MIRRORS, timeout, reasons):
        try:
            for name, known in SHA256.items():
                pooch.retrieve(mirror + name, f"sha256:{known}", name, folder, downloader=downloader)
            return
        except (OSError, ValueError) as error:  # a wrong checksum is a ValueError, all else an OSError
            reasons.append(f"{mirror}: {error}")
    files = lacking(folder)
    what = "MNIST" if len(files) == len(SHA256) else ", ".join(files)
    raise DatasetError("\n  ".join([f"no intact {what} in {folder}, and no mirror could deliver:", *reasons]))


def _sha256(path: Path) -> str | None:
    import hashlib  # takes 3 ms
    try:
        with open_regular(path) as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError:
        return None


def _answering(mirrors: tuple[str, ...], timeout: float, reasons: list[str]) -> Iterator[str]:
    """Yield the mirrors that answer in time, in their order; add to `reasons` why the others are left out.

    All are asked at once, in threads: a name look-up has no timeout and may block for long without a network.
    """
    import requests
    first_file = next(iter(SHA256))
    answers: dict[str, str | None] = {}

    def ask(mirror: str) -> None:
        try:
            requests.head(mirror + first_file, timeout=timeout, allow_redirects=True).raise_for_status()
            answers[mirror] = None
        except requests.HTTPError as error:
            answers[mirror] = str(error)
        except OSError as error:
            answers[mirror] = f"cannot be reached ({type(error).__name__})"

    deadline = time.monotonic() + timeout
    threads = [threading.Thread(target=ask, args=[mirror], daemon=True) for mirror in mirrors]
    for thread in threads:
        thread.start()
    for mirror, thread in zip(mirrors, threads, strict=True):
        thread.join(max(0.0, deadline - time.monotonic()))
        problem = answers.get(mirror, f"no answer within {timeout:g} s")
        if problem is None:
            yield mirror
        else:
            reasons.append(f"{mirror}: {problem}")
