"""``dataset.mnist.load_mnist``: the book's data from the book's folder, or from where fastconv finds it."""
from __future__ import annotations

import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from ..datasets.mnist import Split

KEYS = "train_img", "train_label", "test_img", "test_label"


def mnist_replacement(book: Callable[..., Any], *, strict: bool) -> Callable[..., tuple[Split, Split]]:
    """Return the function for the module that defines `book`."""
    folder = Path(sys.modules[book.__module__].__file__ or "").parent

    def load_mnist(normalize: bool = True, flatten: bool = True, one_hot_label: bool = False) -> tuple[Split, Split]:
        """Load MNIST: 60,000 training and 10,000 test images of handwritten digits.

        They come from ``mnist.pkl`` or the four IDX files in the book's folder `dataset`, else from the folder
        ``FASTCONV_DATA_DIR``, fastconv's cache or a mirror. Out of reach of all these, the 5,000 digits that come
        with fastconv are taken, and a line on stderr says so.

        Parameters
        ----------
        normalize : bool
            Pixels as float32 from 0.0 to 1.0 instead of uint8 from 0 to 255.
        flatten : bool
            Images of shape (N, 784) instead of (N, 1, 28, 28).
        one_hot_label : bool
            Labels as float64 rows of ten, one of them 1, instead of uint8 numbers.

        Returns
        -------
        (x_train, t_train), (x_test, t_test) : tuple of tuples of ndarray
        """
        from ..datasets import mnist
        options = normalize, flatten, one_hot_label
        saved = folder / "mnist.pkl"
        if saved.is_file():
            found = _saved(saved)
            if found is not None:
                return mnist.arranged(found[0], found[1], *options), mnist.arranged(found[2], found[3], *options)
        return mnist.load_mnist(*options, data_dir=_source(folder, strict))

    load_mnist.__module__ = book.__module__
    return load_mnist


def _saved(file: Path) -> list[Any] | None:
    """Return the arrays of the book's pickle, None if it is damaged or holds something else; nothing in it is run."""
    from ..array_pickle import read_arrays
    try:
        # 55 MB are read into an array in half the time that a bytes object takes
        data: Any = np.fromfile(file, np.uint8)
        arrays = read_arrays(memoryview(data), copy=False)
        images, labels, test_images, test_labels = (arrays[key] for key in KEYS)
        found = [images.reshape(-1, 28, 28), labels.copy(), test_images.reshape(-1, 28, 28), test_labels.copy()]
    except (ValueError, KeyError) as error:
        print(f"fastconv: {file} is not used: {error}", file=sys.stderr)
        return None
    return found


def _source(folder: Path, strict: bool) -> Path:
    from ..datasets.mnist import REMEDIES, find_mnist
    if any(folder.glob("train-images*")) and any(folder.glob("t10k-images*")):
        return folder
    if strict or os.environ.get("FASTCONV_DATA_DIR"):
        return find_mnist("mnist").folder
    source = find_mnist("auto")
    if source.note:
        print(f"fastconv: MNIST is out of reach ({source.note}); this run has the 5,000 digits that come with "
              f"fastconv, its accuracies are lower than the book's. {REMEDIES}", file=sys.stderr)
    return source.folder
