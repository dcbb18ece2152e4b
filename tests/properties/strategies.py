"""What hypothesis draws: sizes where kernels change their ways, geometry that fits, arrays in any layout."""
from __future__ import annotations

import numpy as np
import pytest
from hypothesis import strategies as st
from kernels.test_convolution import Case

from fastconv import dispatch

every_backend = pytest.mark.parametrize("backend", dispatch.backends())
compiled_backends = pytest.mark.parametrize("backend", [name for name in dispatch.backends() if name != "reference"])

dtypes = st.sampled_from([np.float32, np.float64])
batches = st.sampled_from([1, 2, 3, 0, 5, 8])
channels = st.sampled_from([1, 2, 3, 4, 5, 7, 8, 13, 16, 17, 33])
rows = st.integers(0, 9) | st.sampled_from([17, 63, 65, 131])
columns = st.integers(1, 9) | st.sampled_from([16, 17, 33, 100])


def pairs(least, most):
    return st.tuples(st.integers(least, most), st.integers(least, most))


@st.composite
def convolutions(draw, most=12):
    """A convolution of images whose window fits at least once."""
    groups = draw(st.sampled_from([1, 2, 3, 5]))
    filter_size, stride, dilation = draw(pairs(1, 5)), draw(pairs(1, 4)), draw(pairs(1, 3))
    extent = [d * (f - 1) + 1 for f, d in zip(filter_size, dilation, strict=True)]
    pad = tuple(draw(st.integers(0, e)) for e in extent)
    H, W = (max(e - 2 * p, 1) + draw(st.integers(0, most)) for e, p in zip(extent, pad, strict=True))
    C, FN = draw(channels), draw(channels)
    return Case((draw(batches), H, W, groups * C), (groups * FN, *filter_size), stride, pad, dilation, groups)


@st.composite
def windows(draw):
    """Images (N, H, W, C) with a pooling's window, stride and pad, and whether the last windows may stick out."""
    window, stride = draw(pairs(1, 4)), draw(pairs(1, 5))
    pad = tuple(draw(st.integers(0, w - 1)) for w in window)
    H, W = (max(w - 2 * p, 1) + draw(st.integers(0, 8)) for w, p in zip(window, pad, strict=True))
    return (draw(batches), H, W, draw(channels)), window, stride, pad, draw(st.booleans())


@st.composite
def arrays(draw, *shape, dtype=np.float64):
    """Normal numbers around an offset, which float32 holds exactly, with some ties and some zeros."""
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    values = np.asarray(rng.standard_normal(shape)) + draw(st.sampled_from([0.0, 0.5, -3.0]))
    if draw(st.booleans()):
        values = np.round(values)
    return np.array(values, np.float32).astype(dtype)[...]


@st.composite
def layouts(draw, x):
    """An array with the shape and the values of `x` somewhere else in memory, in another order, perhaps read-only."""
    order = draw(st.permutations(range(x.ndim)))
    steps = [draw(st.sampled_from([1, -1, 2, -3])) for _ in range(x.ndim)]
    dtype = x.dtype.newbyteorder() if draw(st.booleans()) else x.dtype
    around = [abs(steps[axis]) * x.shape[axis] for axis in order]
    first = draw(st.integers(0, 3))  # bytes by which it is misaligned
    memory = np.full(int(np.prod(around)) * x.itemsize + first, 171, np.uint8)[first:].view(dtype).reshape(around)
    spread = memory.transpose(np.argsort(order))
    found = spread[(*(slice(None, None, step) for step in steps), ...)]
    found[...] = x
    found.flags.writeable = draw(st.booleans())
    return found
