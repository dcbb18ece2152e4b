"""MNIST, the 70,000 handwritten digits of the book's examples."""
from __future__ import annotations

import os
from pathlib import Path
from typing import Any, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from . import fetch
from .idx import DatasetError, damaged, read_idx

EXCERPT = Path(__file__).parent / "mnist_excerpt"
REMEDIES = ("To go on: name a folder with the four IDX files by data_dir= or by the environment variable "
            "FASTCONV_DATA_DIR, or connect to the network, or take the 5,000 digits that come with fastconv "
            "by source='excerpt' (on the command line: --data excerpt).")
Split = tuple[NDArray[Any], NDArray[Any]]


class MnistSource(NamedTuple):
    """Where a data set was found: its folder, what it is, and (for the excerpt in place of MNIST) why."""

    folder: Path
    name: str
    note: str = ""


def load_mnist(normalize: bool = True, flatten: bool = True, one_hot_label: bool = False, *,
               data_dir: str | os.PathLike[str] | None = None,
               source: Literal["mnist", "excerpt"] | None = None) -> tuple[Split, Split]:
    """Load MNIST: 60,000 training and 10,000 test images of handwritten digits.

    The files are taken from `data_dir`, else from the folder named by the environment variable
    ``FASTCONV_DATA_DIR``, else from the user's cache folder, to which they are downloaded once (11 MB, with
    checksums).

    Parameters
    ----------
    normalize : bool
        Pixels as float32 from 0.0 to 1.0 instead of uint8 from 0 to 255.
    flatten : bool
        Images of shape (N, 784) instead of (N, 1, 28, 28).
    one_hot_label : bool
        Labels as float64 rows of ten, one of them 1, instead of uint8 numbers.
    data_dir : path, optional
        A folder with the four IDX files ``train-images-idx3-ubyte`` etc., gzipped (``.gz``) or not.
    source : {'mnist', 'excerpt'}, optional
        ``'excerpt'`` loads the 5,000 real MNIST digits that come with fastconv, without a network: 4,000 for
        training and 1,000 for testing, all from MNIST's training set.

    Returns
    -------
    (x_train, t_train), (x_test, t_test) : tuple of tuples of ndarray

    Raises
    ------
    DatasetError
        A file is missing or damaged, or the download failed.
    ValueError
        `source` is unknown, or `data_dir` is given with ``source='excerpt'``.
    TypeError
        An option is no bool, or `data_dir` no path.
    """
    for name, value in (("normalize", normalize), ("flatten", flatten), ("one_hot_label", one_hot_label)):
        if not isinstance(value, (bool, np.bool_)):
            raise TypeError(f"load_mnist: {name} must be True or False, got {value!r}")
    if data_dir is not None and not isinstance(data_dir, (str, os.PathLike)):
        raise TypeError(f"load_mnist: data_dir must be a path, got {data_dir!r}")
    if source is not None and (not isinstance(source, str) or source not in ("mnist", "excerpt")):
        raise ValueError(f"load_mnist: source must be 'mnist' or 'excerpt', got {source!r}")
    if source == "excerpt" and data_dir is not None:
        raise ValueError("load_mnist: data_dir and source='excerpt' exclude each other")
    folder = EXCERPT if source == "excerpt" else _mnist_folder(data_dir, timeout=10)
    options = normalize, flatten, one_hot_label
    return _read_split(folder, "train", *options), _read_split(folder, "t10k", *options)


def find_mnist(data: str = "auto") -> MnistSource:
    """Say where to load MNIST from, for callers that tell their user what is used.

    Parameters
    ----------
    data : str
        ``'mnist'``, ``'excerpt'``, a folder of IDX files, or ``'auto'``: MNIST where it is in reach
        (``FASTCONV_DATA_DIR``, the cache, a mirror that answers within three seconds), else the excerpt.

    Returns
    -------
    MnistSource
        ``load_mnist(data_dir=source.folder)`` loads it.
    """
    if data == "excerpt":
        return MnistSource(EXCERPT, "excerpt of MNIST")
    if data == "mnist":
        return MnistSource(_mnist_folder(None, timeout=10), "MNIST")
    if data != "auto":
        return MnistSource(Path(data).expanduser(), data)
    try:
        return MnistSource(_mnist_folder(None, timeout=3), "MNIST")
    except DatasetError as error:
        return MnistSource(EXCERPT, "excerpt of MNIST", str(error).splitlines()[0].rstrip(":"))


def _mnist_folder(data_dir: str | os.PathLike[str] | None, timeout: float) -> Path:
    named = data_dir if data_dir is not None else os.environ.get("FASTCONV_DATA_DIR") or None
    if named is not None:
        return Path(named).expanduser()  # the user's own choice is never replaced by another source
    folder = fetch.cache_folder()
    if fetch.lacking(folder):
        try:
            fetch.download(folder, timeout)
        except DatasetError as error:
            raise DatasetError(f"{error}\n{REMEDIES}") from error
    return folder


def _find(folder: Path, prefix: str, kind: str) -> Path:
    """Return the path of one of the four files, whichever of its usual spellings it has."""
    stems = f"{prefix}-{kind}-ubyte", f"{prefix}-{kind.replace('-', '.')}-ubyte"
    names = [stem + suffix for stem in stems for suffix in ("", ".gz")]
    for name in names:
        if (folder / name).is_file():
            return folder / name
    where = f"in {folder}" if folder.is_dir() else f"in {folder}, which is no folder"
    raise DatasetError(f"no {names[0]} {where}; looked for {', '.join(names)}. Put MNIST's four IDX files there, or "
                       "name their folder by data_dir=, FASTCONV_DATA_DIR or, on the command line, --data.")


def _read_split(folder: Path, prefix: str, normalize: bool, flatten: bool, one_hot_label: bool) -> Split:
    image_file, label_file = _find(folder, prefix, "images-idx3"), _find(folder, prefix, "labels-idx1")
    return arranged(*_read_images_and_labels(image_file, label_file), normalize, flatten, one_hot_label)


def arranged(images: NDArray[Any], labels: NDArray[Any], normalize: bool, flatten: bool, one_hot_label: bool) -> Split:
    """Return images (N, 28, 28) and labels (N,) as the options of `load_mnist` say."""
    x = images.reshape((len(images), 784) if flatten else (len(images), 1, 28, 28))
    return (np.divide(x, 255, dtype=np.float32) if normalize else x,
            np.eye(10)[labels] if one_hot_label else labels)


def _read_images_and_labels(image_file: Path, label_file: Path) -> Split:
    """Read images (N, 28, 28) and labels (N,), uint8, and check that they fit together."""
    images, labels = read_idx(image_file, ndim=3), read_idx(label_file, ndim=1)
    if images.shape[1:] != (28, 28):
        raise damaged(image_file, f"its images are {images.shape[1]} x {images.shape[2]} pixels, not 28 x 28")
    if len(images) != len(labels):
        raise damaged(label_file, f"it has {len(labels):,} labels for {len(images):,} images")
    if (labels > 9).any():
        raise damaged(label_file, f"it has the label {labels.max()}, labels are 0 to 9")
    return images, labels
