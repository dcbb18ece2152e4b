"""Arrays to write to parameter files and read back: every dtype, order and size."""
import numpy as np


def some_arrays():
    rng = np.random.default_rng(1)
    return {
        "W1": rng.standard_normal((3, 2, 5, 1)).astype(np.float32),
        "b1": rng.standard_normal(7),
        "half": rng.standard_normal((2, 3)).astype(np.float16),
        "fortran": np.asfortranarray(rng.standard_normal((3, 4))),
        "turned": rng.standard_normal((2, 3, 4)).transpose(1, 2, 0),
        "strided": rng.standard_normal((6, 6))[::2, 1::3],
        "swapped": rng.standard_normal((2, 3)).astype(">f8"),
        "integers": np.arange(-3, 3, dtype=np.int16),
        "yes or no": np.array([True, False]),
        "number": np.array(1.5),
        "nothing": np.zeros((0, 3)),
        "file": np.ones(2),
    }


def assert_same(read, written):
    assert list(read) == list(written)
    for name, array in written.items():
        assert isinstance(read[name], np.ndarray) and read[name].flags.writeable and read[name].dtype.isnative
        assert read[name].dtype == array.dtype.newbyteorder("=")
        assert read[name].shape == array.shape  # () and (1,) count as equal below
        np.testing.assert_array_equal(read[name], array)
