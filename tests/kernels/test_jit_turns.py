"""How the Numba backend gives out the tasks of a loop: each once, a worker's own first."""
from __future__ import annotations

import numpy as np
import pytest

numba = pytest.importorskip("numba")

from numba import prange  # noqa: E402

from fastconv.kernels.jit.compile import Loop  # noqa: E402
from fastconv.kernels.jit.turns import RUNS, runs_of, turns  # noqa: E402

LONG = 1 << 27  # steps of a task that takes a moment


@Loop
def take_all(workers, tasks, count, times, by):
    """`count` workers, whatever the threads, note who does a task, and how often it is done."""
    runs = runs_of(tasks, count)
    for worker in prange(count):
        for task in turns(runs, worker):
            times[task] += 1
            by[task] = worker


@Loop
def begin_slowly(workers, by):
    """The first worker's first task takes a while."""
    runs = runs_of(by.size, workers)
    for worker in prange(workers):
        for task in turns(runs, worker):
            by[task] = worker
            x = 1.0
            for _ in range(LONG if task == 0 else 0):
                x = x * 0.999 + 1
            by[task] += 1000 if x > 2000 else 0


@pytest.mark.parametrize("tasks", [0, 1, 2, 7, 64, 1000])
@pytest.mark.parametrize("count", [1, 2, 3, 8, RUNS, RUNS + 1, 3 * RUNS])
@pytest.mark.parametrize("n_threads", [1, 2, 3])
def test_each_task_is_done_once(tasks, count, n_threads):
    times, by = np.zeros(tasks, np.int64), np.full(tasks, -1)
    take_all(n_threads, tasks, count, times, by)
    np.testing.assert_array_equal(times, 1)
    assert tasks == 0 or (by.min() >= 0 and by.max() < count)


def test_one_thread_goes_through_the_tasks_as_the_first_worker():
    times, by = np.zeros(10, np.int64), np.full(10, -1)
    take_all(1, 10, 4, times, by)
    np.testing.assert_array_equal(by, 0)


@pytest.mark.skipif(numba.config.DISABLE_JIT or numba.config.NUMBA_NUM_THREADS < 2, reason="needs two threads")
def test_workers_begin_with_their_own_run_and_help_who_is_late():
    by = np.full(40, -1)
    begin_slowly(2, by)
    assert by[0] == 0 and by[20] == 1  # where their runs begin
    np.testing.assert_array_equal(by[1:], 1)  # prange alone would leave half of them to the first
