from __future__ import annotations

import numpy as np
import pytest

from fastconv.shapes import conv_output_size, convolution_geometry, pair, pooling_geometry, whole


@pytest.mark.parametrize("value", [3, np.int64(3), (3, 3), (np.uint8(3), 3)])
def test_pair(value):
    assert pair(value, "stride") == (3, 3)
    assert all(type(n) is int for n in pair(value, "stride"))


@pytest.mark.parametrize("value, error", [
    (1.0, TypeError), ("1", TypeError), (None, TypeError), ((1, 2.5), TypeError), ([1, 2], TypeError),
    ((1,), ValueError), ((1, 2, 3), ValueError), ((), ValueError), (0, ValueError), ((1, 0), ValueError),
])
def test_pair_refuses_what_is_none(value, error):
    with pytest.raises(error, match=r"stride must be .*, got "):
        pair(value, "stride", minimum=1)


def test_whole():
    assert whole(np.uint8(3), "epochs") == 3 and type(whole(np.uint8(3), "epochs")) is int
    with pytest.raises(ValueError, match="epochs must be at least 1, got 0"):
        whole(0, "epochs", 1)
    for wrong in (1.0, "1", None, (1, 1)):
        with pytest.raises(TypeError, match="epochs must be an integer, got "):
            whole(wrong, "epochs")


@pytest.mark.parametrize("size, filter_size, stride, pad, dilation", [
    (28, 5, 1, 0, 1), (28, 3, 2, 1, 1), (7, 3, 3, 0, 1), (5, 5, 4, 0, 1), (9, 3, 1, 0, 4), (1, 1, 1, 0, 1),
    (6, 2, 5, 3, 3),
])
def test_conv_output_size_counts_the_positions(size, filter_size, stride, pad, dilation):
    extent = range(0, dilation * filter_size, dilation)[-1] + 1
    positions = [p for p in range(-pad, size + pad) if (p + pad) % stride == 0 and p + extent <= size + pad]
    found = conv_output_size(size, filter_size, stride, pad, dilation)
    assert found == len(positions) and type(found) is int


@pytest.mark.parametrize("arguments, words", [
    ((3, 5), "a window of 5 does not fit an input of 3 with pad 0; .* smaller window$"),
    ((3, 2, 1, 0, 3), "a window of 4 does not fit an input of 3 .* smaller window or dilation$"),
    ((5, 3, 0), "stride must be at least 1, got 0"),
    ((5, 3, 1, -1), "pad must be at least 0"),
    ((5, 0), "filter_size must be at least 1"),
])
def test_conv_output_size_refuses(arguments, words):
    with pytest.raises(ValueError, match="conv_output_size: " + words):
        conv_output_size(*arguments)


def test_geometry():
    geometry = convolution_geometry((8, 6, 9, 7), (4, 3, 3, 2), (2, 1), 1, (1, 3), 2)
    assert geometry == ((2, 1), (1, 1), (1, 3), 2, (8, 5, 6, 4))
    assert pooling_geometry((8, 6, 9, 7), 3, 2, 2, (1, 0)) == ((3, 2), (2, 2), (1, 0), (8, 5, 3, 6))


def test_a_float_is_refused_also_where_the_integer_was_seen():
    convolution_geometry((1, 1, 3, 3), (1, 1, 1, 1), 1, 0, 1, 1)
    with pytest.raises(TypeError, match="stride must be an integer"):
        convolution_geometry((1, 1, 3, 3), (1, 1, 1, 1), 1.0, 0, 1, 1)
