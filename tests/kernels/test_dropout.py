"""Dropout: the published numbers of its generator, the masks they give, what masks must be like."""

from __future__ import annotations

import importlib

import naive
import numpy as np
import pytest
from kernels.harness import sample

from fastconv import dispatch
from fastconv.kernels import native

KEY = 0xFEDC_BA98_7654_3210
shapes = pytest.mark.parametrize("shape", [(1,), (3,), (17,), (3, 5), (2, 3, 4, 5), (1009,), (0,), (0, 4)])

# the lines "philox4x32 10" of the file kat_vectors of Random123, the authors' library: counter, key, result
KNOWN = [
    ("00000000 00000000 00000000 00000000", "00000000 00000000", "6627e8d5 e169c58d bc57ac4c 9b00dbd8"),
    ("ffffffff ffffffff ffffffff ffffffff", "ffffffff ffffffff", "408f276d 41c83b0e a20bc7c6 6d5451fd"),
    ("243f6a88 85a308d3 13198a2e 03707344", "a4093822 299f31d0", "d16cfe09 94fdcceb 5001e420 24126ea1"),
]


def words(text):
    return [int(word, 16) for word in text.split()]


def masks(run, key, shape, ratio):
    return run("dropout_forward", np.ones(shape, np.float32), key, ratio, outputs=[np.zeros(shape, bool), shape])[0]


@pytest.mark.parametrize("counter, key, result", KNOWN)
def test_the_naive_generator_gives_the_published_numbers(counter, key, result):
    assert naive.philox(words(counter), words(key)) == words(result)


def test_kernels_decide_by_the_published_numbers(run):
    """Of key 0 and block 0: each word is dropped at its own ratio and kept just below."""
    for i, word in enumerate(words(KNOWN[0][2])):
        assert not masks(run, 0, (4,), word / 2**32)[i]
        assert masks(run, 0, (4,), (word - 1) / 2**32)[i]
        assert masks(run, 0, (4,), (word - 0.5) / 2**32)[i]


@shapes
@pytest.mark.parametrize("ratio", [0.0, 0.3, 0.5, 1.0, -1.0])
@pytest.mark.parametrize("key", [0, KEY, 2**64 - 1])
def test_dropout(run, dtype, shape, ratio, key):
    x, dout = sample(*shape).astype(dtype), sample(*shape, seed=1).astype(dtype)
    kept = np.array(naive.dropout_words(key, 0, x.size)).reshape(shape) > ratio * 2**32
    mask, out = run("dropout_forward", x, key, ratio, outputs=[~kept, shape])
    np.testing.assert_array_equal(mask, kept)
    np.testing.assert_array_equal(out, np.where(kept, x, 0))
    dx = run("dropout_backward", dout, mask, outputs=[shape])
    np.testing.assert_array_equal(dx, np.where(kept, dout, 0))


@pytest.mark.parametrize("size", [2**17, 400_003])
def test_many_values_bit_for_bit_as_the_reference(run_compiled, dtype, size):
    """More than one task, on 1, 2 and 3 threads; special values too."""
    x = sample(size).astype(dtype)
    x[::7] = np.array([np.nan, np.inf, -np.inf, -0.0])[np.arange(len(x[::7])) % 4]
    expected = [np.empty(size, bool), np.empty(size, dtype)]
    with np.errstate(invalid="ignore"):
        dispatch.kernel("dropout_forward", "reference")(x, KEY, 0.4, *expected, 1)
    found = run_compiled("dropout_forward", x, KEY, 0.4, outputs=[np.zeros(size, bool), (size,)])
    for a, b in zip(found, expected, strict=True):
        np.testing.assert_array_equal(a, b)
    signed = ~np.isnan(expected[1])
    np.testing.assert_array_equal(np.signbit(found[1][signed]), np.signbit(expected[1][signed]))


@pytest.mark.parametrize("ratio, kept", [(-np.inf, True), (-1e-30, True), (1, False), (1.5, False), (np.inf, False),
                                         (np.nan, False), (1 - 2**-33, False)])
def test_a_ratio_may_be_any_number(run, ratio, kept):
    assert (masks(run, KEY, (1000,), ratio) == kept).all()


def test_a_word_is_dropped_at_its_own_ratio_and_kept_below(run):
    smallest = min(naive.dropout_words(KEY, 0, 1000))
    assert masks(run, KEY, (1000,), smallest / 2**32).sum() == 999
    assert masks(run, KEY, (1000,), np.nextafter(smallest / 2**32, 0)).all()


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("first", [0, 1, 2, 3, 61, 64, 127, 4 * 2**32 - 30, 2**62 + 5])
def test_a_part_has_the_mask_of_its_place(dtype, first):
    """The execution engine computes batches part by part; the high counter word starts at element 2**34."""
    dropout = importlib.import_module(f"{native.__name__}.{native.level}.dropout")
    for count in (0, 1, 2, 5, 64, 200):
        x = sample(count).astype(dtype)
        kept = np.array(naive.dropout_words(KEY, first, count), np.int64) > 0.4 * 2**32
        mask, out = np.empty(count, bool), x.copy()
        dropout.dropout_part(out, first, KEY, 0.4, mask, out, 1)  # in place
        np.testing.assert_array_equal(mask, kept)
        np.testing.assert_array_equal(out, x * kept)


@pytest.mark.parametrize("ratio", [0.1, 0.5, 0.9])
def test_the_share_that_is_kept(run, ratio):
    """Within 5 standard deviations of a binomial distribution, for each of a block's words."""
    mask = masks(run, 12345, (2**16, 4), ratio)
    deviation = np.sqrt(ratio * (1 - ratio) / 2**16)
    assert (abs(mask.mean(axis=0) - (1 - ratio)) < 5 * deviation).all()


@pytest.mark.parametrize("other_key, lag", [(12345, 1), (12345, 2), (12345, 3), (12345, 4), (12345, 784), (12346, 0),
                                            (12345 + 2**32, 0), (12345 + 2**63, 0)])
def test_masks_of_other_places_and_other_keys_are_independent(run, other_key, lag):
    n = 2**18
    one, other = masks(run, 12345, (n + lag,), 0.5)[:n], masks(run, other_key, (n + lag,), 0.5)[lag:]
    assert abs((one == other).mean() - 0.5) < 5 * 0.5 / np.sqrt(n)
