"""The checksum by which a plan of the Numba backend knows its parameters again, and what becomes of an interrupt."""
from __future__ import annotations

import importlib

import numpy as np
import pytest

numba = pytest.importorskip("numba")

import fastconv  # noqa: E402
from fastconv.kernels.jit import checksum as checksum_file  # noqa: E402
from fastconv.kernels.jit import plain  # noqa: E402

PRIME, WORD = 0x9E3779B97F4A7C15, 2**64 - 1


@pytest.fixture(scope="module")
def checksum():
    """The checksum as a function that Python can call."""
    inner = checksum_file.checksum
    if numba.config.DISABLE_JIT:
        return inner
    return numba.njit(lambda x, first, last: inner(x, first, last))


def by_definition(x):
    """Return the checksum by Python's own numbers."""
    def turn(a, b):
        a ^= b
        return (a << 29 | a >> 35) * PRIME & WORD

    sums, data = [PRIME * (i + 1) & WORD for i in range(32)], x.tobytes()
    data += bytes(256 - len(data) % 256)
    for i, value in enumerate(np.frombuffer(data, np.uint64).tolist()):
        sums[i % 32] = turn(sums[i % 32], value)
    total = x.size
    for value in sums:
        total = turn(total, value)
    return total


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("size", [0, 1, 31, 32, 33, 63, 64, 65, 1000])
def test_definition(checksum, dtype, size):
    x = np.random.default_rng(size).standard_normal(size + 3).astype(dtype)
    assert int(checksum(x, 2, size + 2)) == by_definition(x[2 : size + 2])


def test_the_twin_of_the_blocks():
    sums, x = np.arange(32, dtype=np.uint64), np.random.default_rng(0).standard_normal(200)
    twin = sums.copy()
    plain.add_blocks(twin, x, 7, 5)
    if numba.config.DISABLE_JIT:
        checksum_file.add_blocks(sums, x, 7, 5)
    else:
        add_blocks = checksum_file.add_blocks
        numba.njit(lambda sums, x: add_blocks(sums, x, 7, 5))(sums, x)
    assert sums.tolist() == twin.tolist() != list(range(32))


def test_every_single_bit_counts(checksum):
    x = np.random.default_rng(1).standard_normal(70).astype(np.float32)
    before = checksum(x, 0, 70)
    for bit in range(70 * 32):
        changed = x.view(np.uint32).copy()
        changed[bit // 32] ^= np.uint32(1 << bit % 32)
        assert checksum(changed.view(np.float32), 0, 70) != before


def test_places_count(checksum):
    """Equal values in another order, and zeros behind the end, are something else."""
    x = np.random.default_rng(2).standard_normal(200)
    assert checksum(x, 0, 200) != checksum(np.roll(x, 32), 0, 200)
    assert checksum(np.zeros(40), 0, 40) != checksum(np.zeros(41), 0, 41)


@pytest.mark.skipif(numba.config.DISABLE_JIT, reason="takes minutes")
def test_weights_that_were_packed_in_part_are_packed_anew(monkeypatch):
    """A KeyboardInterrupt between two layers: the next prediction must not take the rest of the old weights."""
    with fastconv.dispatch.use("numba"):
        network, other = (fastconv.DeepConvNet(seed=seed) for seed in (0, 1))
        x = np.random.default_rng(0).random((1, 1, 28, 28), np.float32)
        expected = other.predict(x)
        network.predict(x)
        for key, value in other.params.items():
            network.params[key][...] = value
        pack = importlib.import_module("fastconv.kernels.jit.plan").pack
        on, packed = pack.on, []

        def interrupted(*how):
            if len(packed) == 3:
                raise KeyboardInterrupt
            packed.append(how)
            return on(*how)

        with monkeypatch.context() as patch:
            patch.setattr(pack, "on", interrupted)
            with pytest.raises(KeyboardInterrupt):
                network.predict(x)
        np.testing.assert_array_equal(network.predict(x), expected)
