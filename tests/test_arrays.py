from __future__ import annotations

import numpy as np
import pytest
from layers.layouts import layouts

from fastconv.arrays import channels_last, contiguous, dense, from_channels_last, native, result_dtype

DTYPES = [np.float32, np.float64]


@pytest.mark.parametrize("operands, result, compute", [
    (["f4", "f4"], "f4", "f4"),
    (["f2"], "f2", "f4"),
    (["f2", "f4"], "f4", "f4"),
    (["f4", "f8"], "f8", "f8"),
    (["f2", "f8"], "f8", "f8"),
    (["u1", "f8"], "f8", "f8"),
    (["u1", "f2"], "f4", "f4"),
    (["i8", "?"], "f4", "f4"),
    ([">f4"], "f4", "f4"),
    ([">f8", "f4"], "f8", "f8"),
    (["g"], "g", "f8"),
])
def test_result_dtype(operands, result, compute):
    arrays = {f"a{i}": np.zeros(2, dtype) for i, dtype in enumerate(operands)}
    found = result_dtype("here", **arrays)
    assert found == (np.dtype(result), np.dtype(compute))
    assert found[0].isnative


def test_python_numbers_adapt_and_none_is_skipped():
    x = np.zeros(2, np.float32)
    assert result_dtype("here", x=x, b=1.5, c=2, d=True, e=None)[0] == np.float32
    assert result_dtype("here", x=x, b=np.float64(1.5))[0] == np.float64
    assert result_dtype("here", b=1.5)[0] == np.float32
    assert result_dtype("here", x=x, out=np.dtype(np.float64))[0] == np.float64


@pytest.mark.parametrize("wrong", [np.zeros(2, complex), np.array(["a"]), np.array([None]), b"a", 1j, "a",
                                   np.zeros(2, "M8[s]"), np.zeros(2, [("a", "f4")])])
def test_what_is_no_real_number_is_refused(wrong):
    with pytest.raises(TypeError, match="Layer.forward: x has dtype .*expected real numbers"):
        result_dtype("Layer.forward", W=np.zeros(2, np.float32), x=wrong)


def is_ready(x, dtype):
    return x.dtype == dtype and x.dtype.isnative and x.flags.c_contiguous and x.flags.aligned


@pytest.mark.parametrize("source", [np.float16, *DTYPES, np.uint8])
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("shape", [(2, 3, 4, 5), (1, 3, 1, 2), (2, 1, 3, 3), (0, 2, 3, 4)])
def test_conversions_keep_shape_and_values(source, dtype, shape):
    x = np.arange(np.prod(shape)).reshape(shape).astype(source)
    for name, other in layouts(x).items():
        before = other.tobytes()
        plain, nhwc, strided = contiguous(other, dtype), channels_last(other, dtype), native(other, dtype)
        flat, restore = dense(other, dtype)
        assert is_ready(plain, dtype) and is_ready(nhwc, dtype) and is_ready(flat, dtype), name
        assert strided.dtype == dtype and strided.dtype.isnative and strided.flags.aligned, name
        for back in (plain, strided, from_channels_last(nhwc, source), restore(flat), restore(flat, source)):
            np.testing.assert_array_equal(back, x, err_msg=name)
        assert restore(flat, source).dtype == from_channels_last(nhwc, source).dtype == source
        assert other.tobytes() == before, name


@pytest.mark.parametrize("dtype", DTYPES)
def test_nothing_is_copied_without_need(dtype):
    x = np.zeros((2, 3, 4, 5), dtype)
    x.flags.writeable = False
    assert contiguous(x, dtype) is x
    assert native(x[:, ::-1], dtype).base is x
    nhwc = x.transpose(0, 2, 3, 1)
    assert np.shares_memory(channels_last(x.transpose(0, 3, 1, 2), dtype), x)
    assert np.shares_memory(from_channels_last(nhwc, dtype), x)
    for axes in ((0, 1, 2, 3), (0, 2, 3, 1), (0, 3, 1, 2), (3, 1, 0, 2)):
        assert np.shares_memory(dense(x.transpose(axes), dtype)[0], x)


def test_misaligned_memory_is_copied():
    x = layouts(np.ones((2, 3)))["misaligned"]
    assert not x.flags.aligned
    assert contiguous(x, x.dtype) is not x and native(x, x.dtype) is not x


@pytest.mark.parametrize("axes", [(0, 1, 2), (2, 0, 1), (1, 2, 0), (2, 1, 0)])
def test_dense_restores_the_strides(axes):
    x = np.zeros((3, 4, 5)).transpose(axes)
    flat, restore = dense(x, np.float64)
    assert restore(flat).strides == x.strides
    other = restore.dense(np.ascontiguousarray(x), np.float32)
    assert other.shape == flat.shape and is_ready(other, np.float32)


@pytest.mark.parametrize("shape", [(), (1,), (0,), (3, 0, 2)])
def test_dense_takes_any_shape(shape):
    x = np.ones(shape, np.float32)
    flat, restore = dense(x, np.float32)
    np.testing.assert_array_equal(restore(flat), x)


def test_dense_takes_broadcast_arrays():
    x = np.broadcast_to(np.arange(3.0)[:, None, None], (2, 3, 4, 5))
    flat, restore = dense(x, np.float64)
    assert is_ready(flat, np.float64)
    np.testing.assert_array_equal(restore(flat), x)
