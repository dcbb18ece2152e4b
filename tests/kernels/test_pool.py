"""The thread pool below the native kernels, seen through the kernels: forks, signals, Python threads, idle time."""

from __future__ import annotations

import multiprocessing
import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from kernels.harness import sample

from fastconv.kernels import native

COUNTS = (2, 3, 5, 8)
ROWS, COLUMNS = 4_001, 67  # more than the kernels compute on one thread, and nothing divides them
IMAGE, POOLED = (6, 45, 43, 23), (6, 22, 21, 23)
WINDOW = ((3, 3), (2, 2), (0, 0))

pool = native.pool
needs_fork = pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork")
needs_proc = pytest.mark.skipif(not Path("/proc/self/task").exists(), reason="this system has no /proc")


def labels(n, k):
    return np.random.default_rng(1).integers(0, k, n)


def matrix(seed=0):
    return sample(ROWS, COLUMNS, seed=seed) / 3  # numbers of all bits: sums of samples alone are exact in any order


def row(seed=0):
    return abs(sample(COLUMNS, seed=seed))


def columns():
    return sample(6 * 22 * 21, 23 * 9)


# operation -> arguments, outputs: shapes, or arrays that are updated
CALLS = {
    "gemm": ((sample(301, 400), sample(400, 203), sample(203)), [(301, 203)]),
    "gemm of transposed matrices": ((sample(400, 301).T, sample(203, 400).T, None), [(301, 203)]),
    "gemm in several panels": ((sample(150, 5000), sample(5000, 300), None), [(150, 300)]),
    "bias_backward": ((matrix(),), [(COLUMNS,)]),
    "relu_forward": ((matrix(),), [matrix()]),
    "relu_backward": ((matrix(), matrix(1)), [matrix()]),
    "sigmoid_forward": ((matrix(),), [matrix()]),
    "sigmoid_backward": ((matrix(), matrix(1)), [matrix()]),
    "softmax_forward": ((matrix(),), [matrix()]),
    "softmax_loss_forward": ((matrix(), labels(ROWS, COLUMNS)), [matrix(), (ROWS,)]),
    "softmax_loss_backward": ((matrix(), labels(ROWS, COLUMNS)), [matrix()]),
    "batch_normalization_forward": ((matrix(), row(), row(1), 1e-6), [matrix(), (COLUMNS,), (COLUMNS,)]),
    "batch_normalization_inference": ((matrix(), row(), row(1), row(2), row(3), 1e-6), [matrix()]),
    "batch_normalization_backward": ((matrix(), matrix(1), row(), row(1), row(2), 1e-6),
                                     [matrix(), (COLUMNS,), (COLUMNS,)]),
    "max_pooling_forward": ((sample(*IMAGE), *WINDOW), [POOLED]),
    "max_pooling_backward": ((sample(*POOLED), sample(*IMAGE), sample(*POOLED), *WINDOW), [IMAGE]),
    "average_pooling_forward": ((sample(*IMAGE), *WINDOW), [POOLED]),
    "average_pooling_backward": ((sample(*POOLED), *WINDOW), [IMAGE]),
    "im2col": ((sample(6, 23, 45, 43), *WINDOW), [columns()]),
    "col2im": ((columns(), *WINDOW), [(6, 23, 45, 43)]),
    "sgd_update": ((matrix(), 0.1), [matrix(1)]),
    "momentum_update": ((matrix(), 0.1, 0.9), [matrix(1), matrix(2)]),
    "nesterov_update": ((matrix(), 0.1, 0.9), [matrix(1), matrix(2)]),
    "adagrad_update": ((matrix(), 0.1), [matrix(1), abs(matrix(2))]),
    "rmsprop_update": ((matrix(), 0.1, 0.9), [matrix(1), abs(matrix(2))]),
    "adam_update": ((matrix(), 0.1, 0.9, 0.99), [matrix(1), matrix(2), abs(matrix(3))]),
}


def cast(value, dtype):
    return value.astype(dtype) if isinstance(value, np.ndarray) and value.dtype == np.float64 else value


def call(name, n_threads, dtype=np.float32):
    """Return the bytes of what the operation writes."""
    arguments, outputs = CALLS[name]
    made = [cast(o, dtype) if isinstance(o, np.ndarray) else np.full(o, np.nan, dtype) for o in outputs]
    getattr(native, name.split()[0])(*[cast(a, dtype) for a in arguments], *made, n_threads)
    return b"".join(array.tobytes() for array in made)


def run_python(program, *arguments):
    """Run a program that ends by itself; a hanging one is a failure, not a hanging suite."""
    source = [program] if isinstance(program, Path) else ["-c", program]
    done = subprocess.run([sys.executable, "-W", "ignore::DeprecationWarning", *source, *arguments],
                          capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    return done.stdout.split()


@pytest.mark.parametrize("name", CALLS)
def test_same_bits_on_any_number_of_threads(name, dtype):
    alone = call(name, 1, dtype)
    for n_threads in COUNTS:
        assert call(name, n_threads, dtype) == alone


def test_thousands_of_short_loops():
    expected = {name: call(name, 1) for name in ("relu_forward", "bias_backward", "sgd_update")}
    for i in range(3000):
        name = list(expected)[i % 3]
        assert call(name, 2 + i % 7) == expected[name]


def test_python_threads_at_once():
    names = ["gemm", "relu_forward", "batch_normalization_backward", "max_pooling_forward", "adam_update"]
    expected = {name: call(name, 1) for name in names}

    def work(seed):
        order = np.random.default_rng(seed)
        return all(call(name, int(order.integers(1, 6))) == expected[name] for name in order.choice(names, 60))

    with ThreadPoolExecutor(8) as executor:
        assert all(executor.map(work, range(8)))


def test_denormals_are_flushed_by_every_thread_and_come_back():
    tiny = np.full(1 << 21, 1e-39, np.float32)
    for n_threads in (1, *COUNTS):
        param = np.zeros_like(tiny)
        native.sgd_update(tiny, 1.0, param, n_threads)
        assert not param.any()
        assert (tiny[:100] * np.float32(0.5) > 0).all()


# what the programs below begin with
PRODUCT = """
import os, sys, threading, time
import numpy as np
from fastconv.kernels.native import gemm, pool, sgd_update

a = np.random.default_rng(0).random((300, 300)).astype(np.float32)

def product(n_threads):
    out = np.empty_like(a)
    gemm(a, a, None, out, n_threads)
    return out.tobytes()

def in_child(of):
    pid = os.fork()
    if pid == 0:
        os._exit(0 if of() else 1)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0
"""


def test_helpers_are_made_when_first_asked_for_and_stay():
    program = PRODUCT + """
counts = [pool.n_workers()]
for n_threads in (1, 2, 5, 3):
    product(n_threads)
    counts.append(pool.n_workers())
print(*counts)
"""
    assert run_python(program) == ["0", "0", "1", "4", "4"]


@needs_fork
def test_child_of_a_fork_makes_its_own_pool():
    program = PRODUCT + """
right = product(4)

def child():
    before = pool.n_workers()
    return before == 0 and product(2) == right and pool.n_workers() == 1 and in_child(grandchild)

def grandchild():
    return pool.n_workers() == 0 and product(3) == right and pool.n_workers() == 2

print(in_child(child), product(4) == right, pool.n_workers())
"""
    assert run_python(program) == ["True", "True", "3"]


@needs_fork
def test_fork_amid_a_loop_of_another_thread():
    program = PRODUCT + """
right = product(3)
stop = threading.Event()

def loop():
    while not stop.is_set():
        assert product(3) == right

threads = [threading.Thread(target=loop) for _ in range(2)]
for thread in threads:
    thread.start()
print(all(in_child(lambda: all(product(2) == right for _ in range(3))) for _ in range(100)))
stop.set()
for thread in threads:
    thread.join()
print(product(3) == right)
"""
    assert run_python(program) == ["True", "True"]


@pytest.mark.parametrize("method", multiprocessing.get_all_start_methods())
def test_multiprocessing(method, tmp_path):
    program = PRODUCT + """
import multiprocessing
if __name__ == "__main__":
    right = product(2)
    with multiprocessing.get_context(sys.argv[1]).Pool(2) as workers:
        print(workers.map(product, [2, 2, 3, 3]) == [right] * 4)
"""
    (tmp_path / "program.py").write_text(program)  # spawn imports the file again
    assert run_python(tmp_path / "program.py", method) == ["True"]


def test_an_idle_pool_takes_no_time():
    program = PRODUCT + """
for _ in range(20):
    product(4)
before = time.process_time()
time.sleep(1)
print(time.process_time() - before)
"""
    assert float(run_python(program)[0]) < 0.2


@needs_proc
def test_signals_are_left_to_the_caller():
    """Else Ctrl-C might reach a helper, and a program that waits in the main thread would not see it."""
    program = PRODUCT + """
product(3)
for thread in os.listdir("/proc/self/task"):
    status = dict(line.split(":", 1) for line in open(f"/proc/self/task/{thread}/status"))
    blocked = int(status["SigBlk"], 16)
    print("caller" if int(thread) == os.getpid() else "helper", blocked >> 1 & 1, blocked >> 14 & 1)
"""
    found = run_python(program)
    kinds = sorted(zip(found[::3], found[1::3], found[2::3], strict=True))
    assert kinds[0] == ("caller", "0", "0")
    assert kinds.count(("helper", "1", "1")) >= 2


@pytest.mark.skipif(len(getattr(os, "sched_getaffinity", lambda _: [0])(0)) < 2, reason="this needs two CPUs to choose")
def test_helpers_keep_off_the_callers_cpu():
    """As long as there is another: a helper that wakes on the caller's leaves one idle (apart.h)."""
    program = PRODUCT + """
def helpers_with(cpus):
    os.sched_setaffinity(0, cpus)
    time.sleep(0.01)  # they sleep
    product(3)
    others = [int(t) for t in os.listdir("/proc/self/task") if int(t) != os.getpid()]
    return {frozenset(os.sched_getaffinity(t)) for t in others}

cpus = sorted(os.sched_getaffinity(0))
product(3)
for cpu in cpus:
    print(helpers_with([cpu]) == {frozenset([cpu])})
alternatives = {frozenset(cpus) - {cpu} for cpu in cpus}
print(len(helpers_with(cpus)) == 1 and helpers_with(cpus) <= alternatives)
"""
    environment = "import os; os.environ['OPENBLAS_NUM_THREADS'] = '1'\n"  # else its threads are counted with ours
    found = run_python(environment + program)
    assert found == ["True"] * len(found)


@needs_proc
def test_threads_that_the_system_refuses_are_done_without():
    program = PRODUCT + """
import resource
grad, param = np.ones(1 << 20, np.float32), np.zeros(1 << 20, np.float32)
used = int(open("/proc/self/statm").read().split()[0]) * resource.getpagesize()
resource.setrlimit(resource.RLIMIT_AS, (used + (64 << 20), resource.RLIM_INFINITY))
for _ in range(3):
    sgd_update(grad, 1.0, param, 100)
print((param == -3).all(), pool.n_workers() < 99)
"""
    assert run_python(program) == ["True", "True"]
