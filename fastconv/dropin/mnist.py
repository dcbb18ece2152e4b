"""``dataset.mnist.load_mnist``: the book's data from the book's folder, or from where fastconv finds it."""
from __future__ import annotations

import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

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
        from .. import datasets
        from ..datasets.mnist import arranged
        options = normalize, flatten, one_hot_label
        saved = folder / "mnist.pkl"
        if saved.is_file():
            found = _saved(saved)
            if found is not None:
                return arranged(found[0], found[1], *options), arranged(found[2], found[3], *options)
        source = _source(folder, strict)
        return datasets.load_mnist(*options, data_dir=source)

    load_mnist.__module__ = book.__module__
    return load_mnist


def _saved(file: Path) -> list[Any] | None:
    """Return the arrays of the book's pickle, None if it is damaged or holds something else; nothing in it is run."""
    from ..array_pickle import read_arrays
    try:
        arrays = read_arrays(file.read_bytes())
        found = [arrays[key] for key in KEYS]
        found[0], found[2] = (images.reshape(-1, 28, 28) for images in (found[0], found[2]))
    except (ValueError, KeyError) as error:
        print(f"fastconv: {file} is not used: {error}", file=sys.stderr)
        return None
    return found


def _source(folder: Path, strict: bool) -> Path:
    from .. import datasets
    from ..datasets.mnist import REMEDIES
    if any(folder.glob("train-images*")) and any(folder.glob("t10k-images*")):
        return folder
    if strict or os.environ.get("FASTCONV_DATA_DIR"):
        return datasets.find_mnist("mnist").folder
    source = datasets.find_mnist("auto")
    if source.note:
        print(f"fastconv: MNIST is out of reach ({source.note}); this run has the 5,000 digits that come with "
              f"fastconv, its accuracies are lower than the book's. {REMEDIES}", file=sys.stderr)
    return source.folder
