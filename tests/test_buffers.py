"""Large results on memory that was used before: never while somebody still holds it."""
import os
import threading

import numpy as np
import pytest

from fastconv import buffers
from fastconv.buffers import LEAST, Buffers, empty, empty_like
from fastconv.layers import Convolution, Relu

FLOAT = np.dtype(np.float32)
N = LEAST // 4


def address(x):
    return x.__array_interface__["data"][0]


@pytest.fixture(autouse=True)
def own_buffers(monkeypatch):
    monkeypatch.setattr(buffers, "REUSE", True)
    monkeypatch.setattr(buffers, "buffers", Buffers())


def test_memory_is_used_again_when_nobody_holds_it():
    first = empty((N,), FLOAT)
    where = address(first)
    del first
    assert address(empty((2, N // 2), FLOAT)) == where


@pytest.mark.parametrize("hold", [
    lambda x: x, lambda x: x[5:6], lambda x: x.T, lambda x: x.reshape(2, -1)[1], lambda x: x.view(np.uint8),
    lambda x: memoryview(x), lambda x: np.asarray(x), lambda x: np.lib.stride_tricks.as_strided(x, (3,), (4,)),
    lambda x: np.frombuffer(x, np.int32), lambda x: [x], lambda x: x.__array_interface__ and x.base,
], ids=["itself", "slice", "transposed", "reshaped", "viewed", "memoryview", "asarray", "strided", "frombuffer", "list",
        "base"])
def test_memory_is_not_used_again_while_a_view_is_held(hold):
    first = empty((N,), FLOAT)
    where, held = address(first), hold(first)
    del first
    assert address(empty((N,), FLOAT)) != where
    del held
    assert address(empty((N,), FLOAT)) == where


def test_blocks_begin_at_lines_that_are_not_all_the_same_place_of_a_page():
    held = [empty((N,), FLOAT) for _ in range(8)]
    assert all(address(x) % 64 == 0 for x in held)
    assert len({(address(x) - address(x.base)) // 64 for x in held}) == 8


def test_small_arrays_are_numpys_own():
    assert empty((3, 4), FLOAT).base is None
    assert empty((0, 4), FLOAT).shape == (0, 4)
    assert empty((), FLOAT).shape == ()
    assert empty_like(np.zeros((2, 3), bool)).dtype == bool


@pytest.mark.parametrize("dtype", [np.float64, np.float32, np.bool_, np.uint8, np.int64])
def test_shape_and_dtype_are_those_asked_for(dtype):
    x = empty((3, LEAST, 1), np.dtype(dtype))
    assert (x.shape, x.dtype, x.flags.c_contiguous, x.flags.writeable) == ((3, LEAST, 1), dtype, True, True)
    y = empty_like(x)
    assert (y.shape, y.dtype) == (x.shape, x.dtype) and not np.shares_memory(x, y)


def test_memory_never_is_larger_than_what_was_in_use_at_once_and_the_slack(monkeypatch):
    monkeypatch.setattr(buffers, "SLACK", 3 << 20)
    mine = Buffers()
    held = [mine.take(size)[:] for size in (1 << 20, 2 << 20, 3 << 20)]
    del held
    for size in (4 << 20, 5 << 20, 1 << 20, 6 << 20, 3 << 20):
        mine.take(size)
        used, free = mine.sizes()
        assert used + free <= mine.peak + (3 << 20) and mine.peak == 6 << 20


def test_it_can_be_switched_off(monkeypatch):
    monkeypatch.setattr(buffers, "REUSE", False)
    mine = Buffers()
    held = mine.take(LEAST + 1)[:]
    assert held.base.nbytes == LEAST + 1 and mine.sizes() == (0, 0)


def test_free_memory_is_bounded(monkeypatch):
    monkeypatch.setattr(buffers, "MOST_KEPT", 1 << 20)
    mine = Buffers()
    held = [mine.take(1 << 19)[:] for _ in range(8)]
    del held
    kept = mine.take(1 << 18)[:]
    assert mine.sizes() == (len(kept), 1 << 20)


def test_results_of_layers_stay_when_the_next_ones_are_computed():
    rng = np.random.default_rng(0)
    layer = Convolution(rng.standard_normal((16, 3, 3, 3)), np.zeros(16), pad=1)
    x = rng.standard_normal((2, 3, 64, 80))
    kept = layer.forward(x)
    copy = kept.copy()
    for _ in range(3):
        Relu().forward(layer.forward(-x))
    np.testing.assert_array_equal(kept, copy)


def test_threads_have_memory_of_their_own():
    seen = {}

    def work(number):
        for _ in range(50):
            x = empty((N,), FLOAT)
            x[:] = number
            seen.setdefault(number, []).append(bool((x == number).all()))

    workers = [threading.Thread(target=work, args=(i,)) for i in range(4)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert [all(seen[i]) and len(seen[i]) == 50 for i in range(4)] == [True] * 4


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork here")
def test_the_child_of_a_fork_goes_on_with_its_copy():
    x = empty((N,), FLOAT)
    x[:] = 1
    pid = os.fork()
    if pid == 0:
        y = empty((N,), FLOAT)
        y[:] = 2
        os._exit(0 if (x == 1).all() else 1)
    assert os.waitpid(pid, 0)[1] == 0
    assert (x == 1).all()


def test_a_step_whose_arrays_overlap_otherwise_than_the_last_ones_finds_its_memory():
    """As layers do: each keeps its arrays until the next step replaces them, small ones and large ones in turn."""
    mine, kept = Buffers(), [None] * 6
    for _ in range(6):
        made = mine._made
        for i in range(6):
            first, second = mine.take((1 + i) << 20)[:], mine.take((6 - i) << 20)[:]
            kept[i] = first if i % 2 else second
            del first, second
    assert mine._made == made
