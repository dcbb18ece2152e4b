"""How the Numba backend gives out the tasks of a loop: each once, a worker's own first."""
from __future__ import annotations

import numpy as np
import pytest

numba = pytest.importorskip("numba")

from numba import prange  # noqa: E402

from fastconv.kernels.jit.compile import Loop  # noqa: E402
from fastconv.kernels.jit.turns import RUNS, runs_of, turns  # noqa: E402


@Loop
def take_all(workers, tasks, count, times, by):
    """`count` workers, whatever the threads, note who does a task, and how often it is done."""
    runs = runs_of(tasks, count)
    for worker in prange(count):
        for task in turns(runs, worker):
            times[task] += 1
            by[task] = worker


@Loop
def take_as(workers, worker, tasks, count, order):
    """One of `count` workers, whose others never come, notes which tasks it takes."""
    runs, taken = runs_of(tasks, count), 0
    for task in turns(runs, worker):
        order[taken] = task
        taken += 1


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


@pytest.mark.parametrize("worker", range(4))
def test_a_worker_begins_with_its_own_run_and_helps_with_those_of_who_is_late(worker):
    order = np.full(42, -1)
    take_as(1, worker, 42, 4, order)
    begin = 42 * worker // 4
    np.testing.assert_array_equal(order, np.roll(np.arange(42), -begin))
