"""Named arrays to and from files: .pkl, as the book writes it, .npz, .safetensors, and from PyTorch's .pth."""
from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any, NamedTuple

from numpy.typing import ArrayLike, NDArray

from .arrays import as_array
from .files import harmless, open_regular
from .replacing import replacing

Arrays = dict[str, NDArray[Any]]
LONGEST_REASON = 400  # in characters


def save(file_name: str | os.PathLike[str], arrays: Mapping[str, ArrayLike]) -> None:
    """Write named arrays to a file, whole or not at all.

    The new file takes the place of an old one only when it is complete and on the disk. Its mode is what the umask
    leaves of 0666, whatever the old one's was.

    Parameters
    ----------
    file_name : path
        The suffix is the format. ``.pkl``: a pickled dict of arrays, which the book's code and plain
        ``pickle.load`` read. ``.npz``: NumPy's archive. ``.safetensors``: by the package of that name.
    arrays : mapping of str to array
        Arrays of real numbers (bool, integer, floating).

    Raises
    ------
    ValueError
        Unknown suffix, or one that is only read, ``.pth`` and ``.pt``.
    TypeError
        A name is no string, or an entry has another dtype, or one that the format does not know.
    ImportError
        The package safetensors is needed and not installed.
    OSError
        The file cannot be written, or there is a pipe or a device of this name. An old one is as it was.
    """
    path = Path(os.path.realpath(file_name))  # so that a link stays, and the file behind it is replaced
    suffix = Path(file_name).suffix
    write = _format(Path(file_name)).write
    if write is None:
        raise ValueError(f"params.save: {path}: files of PyTorch ({suffix}) are only read; save as .safetensors, "
                         "which PyTorch reads with safetensors.torch.load_file")
    with _naming("params.save", path):
        checked = {}
        for name, value in arrays.items():
            if not isinstance(name, str):
                raise TypeError(f"the name {name!r} is no string")
            checked[name] = as_array("entries", repr(name), value)
            if checked[name].dtype.kind not in "biuf":
                raise TypeError(f"entry {name!r} has dtype {checked[name].dtype}, expected real numbers")
        with replacing(path) as file:
            write(file, checked)


def load(file_name: str | os.PathLike[str]) -> Arrays:
    """Read named arrays from a file that `save`, the book's code, ``numpy.savez`` or ``torch.save`` wrote.

    Nothing in the file is ever run: a pickle may hold a dict of arrays or tensors of real numbers, and nothing else.
    Damage is recognised where there is a checksum: in what `save` wrote, in .npz, and in PyTorch's files since 1.6.

    Parameters
    ----------
    file_name : path
        The suffix is the format: ``.pkl``, ``.npz``, ``.safetensors``, or ``.pth`` and ``.pt`` for a state dict, or
        a dict with one inside. PyTorch is not needed; bfloat16 becomes float32.

    Returns
    -------
    dict of str to ndarray

    Raises
    ------
    ValueError
        Unknown suffix, or the file is damaged or holds something else; the message names file and entry.
    ImportError
        The package safetensors is needed and not installed.
    OSError
        The file cannot be read, or is a pipe or a device.
    """
    path = Path(file_name)
    read = _format(path).read
    with open_regular(path) as file, _naming("params.load", path):
        return read(file)


def metadata(file_name: str | os.PathLike[str]) -> dict[str, str]:
    """Return what a file says of itself besides its arrays: of .safetensors the metadata, of others nothing."""
    path = Path(file_name)
    if path.suffix != ".safetensors":
        return {}
    from .safetensors_file import read_metadata
    with open_regular(path) as file, _naming("params.metadata", path):
        return read_metadata(file)


class Format(NamedTuple):
    """How files of one suffix are written, None where they are only read, and read."""

    write: Callable[[IO[bytes], Arrays], None] | None
    read: Callable[[IO[bytes]], Arrays]


# what reads and writes files is loaded when there is one: it takes longer than everything else in `import fastconv`

def _pkl() -> Format:
    from .array_pickle import read_arrays, write_arrays
    return Format(write_arrays, lambda file: read_arrays(file.read()))


def _npz() -> Format:
    from .npz import read_npz, write_npz
    return Format(write_npz, read_npz)


def _safetensors() -> Format:
    from .safetensors_file import read_safetensors, write_safetensors
    return Format(write_safetensors, read_safetensors)


def _pytorch() -> Format:
    from .torch_pickle import read_tensors
    return Format(None, read_tensors)


FORMATS = {".pkl": _pkl, ".npz": _npz, ".safetensors": _safetensors, ".pth": _pytorch, ".pt": _pytorch}


def _format(path: Path) -> Format:
    try:
        formats = FORMATS[path.suffix]
    except KeyError:
        raise ValueError(f"{path}: the suffix {path.suffix!r} is no format for parameters, expected "
                         f"{', '.join(FORMATS)}") from None
    return formats()


@contextmanager
def _naming(where: str, path: Path) -> Iterator[None]:
    """Put the file's name in front of errors."""
    try:
        yield
    except (ImportError, TypeError, ValueError) as error:
        kind = next(kind for kind in (ImportError, TypeError, ValueError) if isinstance(error, kind))
        raise kind(f"{where}: {path}: {harmless(str(error), LONGEST_REASON)}") from error
