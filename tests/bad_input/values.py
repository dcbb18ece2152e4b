"""What a person may pass by mistake where numbers are expected."""
from __future__ import annotations

import numpy as np


class Sparse:
    """An object that NumPy takes for a single one, as the matrices of scipy.sparse."""

    shape, ndim = (2, 3, 8, 8), 4

    def __array__(self, dtype=None, copy=None):
        array = np.empty((), object)
        array[()] = self
        return array


class Refusing(Sparse):
    """One that says no, as the arrays of the package sparse."""

    def __array__(self, dtype=None, copy=None):
        raise TypeError("call todense()")


# what is in no sense an array of real numbers; the message is one of `as_array` or `result_dtype`
NO_NUMBERS = {
    "a string": "abc",
    "bytes": b"abc",
    "strings": np.array(["a", "b"]),
    "objects": np.array([None, 1], object),
    "a complex number": 1j,
    "complex numbers": np.ones((2, 3, 8, 8), complex),
    "sparse": Sparse(),
    "sparse, refusing": Refusing(),
    "None": None,
    "a dict": {},
    "dates": np.zeros(3, "M8[s]"),
    "records": np.zeros(3, [("a", "f4")]),
    "masked": np.ma.masked_array(np.ones((2, 3, 8, 8)), np.arange(384).reshape(2, 3, 8, 8) % 5 == 0),
    "ragged": [[1, 2], [3]],
}
WORDS = "expected|makes no array"

NO_SIZES = [True, 1.0, "1", None, (1, 2, 3), [1, 2], np.array(2), np.float32(1), (1, 1.5), (True, 1)]
TOO_LARGE = [2**31, 2**32, 2**40, 2**62, 2**63 - 1, 2**63, 2**64, 10**30]


def images(*shape):
    """Images that take no memory, however many."""
    return np.broadcast_to(np.float32(1), shape)
