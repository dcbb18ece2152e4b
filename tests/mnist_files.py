"""Small MNIST folders for tests: some digits of the excerpt, written as IDX files."""
import gzip
import struct

import numpy as np

from fastconv.datasets import load_mnist


def idx_bytes(array):
    array = np.asarray(array, np.uint8)
    return struct.pack(f">BBBB{array.ndim}I", 0, 0, 8, array.ndim, *array.shape) + array.tobytes()


def write_mnist(folder, n_train=60, n_test=20, *, packed=True, dotted=False):
    """Write the first digits of the excerpt's two parts to `folder`; return them: (N, 28, 28), (N,) uint8."""
    parts = []
    excerpt = load_mnist(normalize=False, source="excerpt")
    for prefix, n, (x, t) in zip(("train", "t10k"), (n_train, n_test), excerpt, strict=True):
        parts.append((x[:n].reshape(-1, 28, 28), t[:n]))
        for kind, array in zip(("images-idx3", "labels-idx1"), parts[-1], strict=True):
            name = f"{prefix}-{kind.replace('-', '.') if dotted else kind}-ubyte"
            data = idx_bytes(array)
            if packed:
                name, data = name + ".gz", gzip.compress(data, mtime=0)  # no time: the same bytes each time
            (folder / name).write_bytes(data)
    return parts
