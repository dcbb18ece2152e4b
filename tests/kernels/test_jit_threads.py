"""Threads, forks, the cache on disk and the uncompiled mode of the Numba backend, each in a process of its own."""
from __future__ import annotations

import importlib
import multiprocessing
import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

numba = pytest.importorskip("numba")

ROOT = Path(__file__).parents[2]
JIT = ROOT / "fastconv" / "kernels" / "jit"
LAYERS = ["workqueue", "omp", "tbb"]

WORK = """
import os
import numpy as np
import numba
from fastconv.cli.warmup_cases import calls
from fastconv.dispatch import kernel

def work(n_threads):
    "Return the bytes of what several kernels make of arrays large enough to be shared."
    rng = np.random.default_rng(0)
    a, b = (rng.standard_normal((300, 301), np.float32) for _ in range(2))
    x, weight = rng.standard_normal((8, 30, 31, 32), np.float32), rng.standard_normal((32, 32, 3, 3), np.float32)
    row, summed = rng.standard_normal(300_001), np.empty(67)
    product, out, dweight, dbias = np.empty((300, 300), np.float32), x.copy(), weight.copy(), np.empty(32, np.float32)
    tall, squashed = rng.standard_normal((6000, 67)), np.empty_like(row)
    geometry = (1, 1), (1, 1), (1, 1), 1
    run = lambda op, *arguments: kernel(op, "numba")(*arguments, n_threads)
    run("gemm", a, b.T, None, product)
    run("convolution_forward", x, weight, None, *geometry, out)
    run("convolution_backward_weight", x, out, *geometry, dweight, dbias)
    run("bias_backward", tall, summed)
    run("sigmoid_forward", row, squashed)
    return b"".join(array.tobytes() for array in (product, out, dweight, dbias, summed, squashed))
"""


def run_python(program, **environment):
    """Run the program after WORK; return the lines it prints."""
    done = subprocess.run([sys.executable, "-c", WORK + program], capture_output=True, text=True, timeout=500, cwd=ROOT,
                          env={name: value for name, value in (
                              os.environ | {"NUMBA_NUM_THREADS": "4", "NUMBA_DISABLE_JIT": "0"} | environment).items()
                              if value is not None})
    assert done.returncode == 0, done.stderr
    return done.stdout.split()


@pytest.fixture(params=LAYERS)
def layer(request):
    """A threading layer that can be loaded here."""
    name = {"omp": "omppool", "tbb": "tbbpool"}.get(request.param, "workqueue")
    try:
        importlib.import_module(f"numba.np.ufunc.{name}")
    except ImportError as error:
        pytest.skip(f"no threading layer {request.param}: {error}")
    return request.param


def test_every_layer_gives_the_same_bits_as_one_thread(layer):
    program = "print(work(1) == work(2) == work(3) == work(4), numba.threading_layer())"
    assert run_python(program, NUMBA_THREADING_LAYER=layer) == ["True", layer]


def test_python_threads_side_by_side(layer):
    """Numba's workqueue ends a process that runs two loops at once."""
    program = """
import threading
expected, right = work(1), []
def repeat():
    right.extend(work(3) == expected for _ in range(15))
callers = [threading.Thread(target=repeat) for _ in range(3)]
for caller in callers:
    caller.start()
for caller in callers:
    caller.join()
print(sum(right), numba.threading_layer())
"""
    assert run_python(program, NUMBA_THREADING_LAYER=layer) == ["45", layer]


@pytest.mark.skipif("fork" not in multiprocessing.get_all_start_methods(), reason="this system has no fork")
def test_child_of_a_fork_computes_alone(layer):
    """GNU OpenMP ends a child that goes on sharing loops; the child of a parent that shared none may share."""
    program = """
from fastconv.kernels.jit.compile import threads
def child(n_threads, expected, shares):
    pid = os.fork()
    if pid == 0:
        threads._used = False
        right = work(n_threads) == expected and threads._used == shares
        os._exit(0 if right else 3)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
expected = work(1)
print(child(4, expected, True))
work(4)
print(child(4, expected, False), work(4) == expected)
"""
    assert run_python(program, NUMBA_THREADING_LAYER=layer) == ["0", "0", "True"]


def test_a_loop_that_fails_leaves_numba_as_it_was():
    """Before its threads have started, and when an argument is wrong."""
    program = """
from unittest import mock
from fastconv.kernels.jit.compile import threads
expected = work(1)
with mock.patch.object(numba, "get_num_threads", side_effect=KeyboardInterrupt):
    try:
        work(2)
    except KeyboardInterrupt:
        print("interrupted")
print(work(2) == expected, threads.active, numba.get_num_threads())
a = np.ones((300, 300))
try:
    kernel("gemm", "numba")(a, a, None, a.astype(np.float32), 3)
except TypeError:
    print("refused", threads.active, numba.get_num_threads())
"""
    assert run_python(program) == ["interrupted", "True", "False", "4", "refused", "False", "4"]


def test_numbas_threads_start_with_short_waits():
    """Before the first shared loop is compiled, for that starts them, too."""
    program = """
from numba import prange
from numba.np.ufunc import parallel
from fastconv.kernels.jit.arguments import Row
from fastconv.kernels.jit.compile import Loop
launch, found = parallel._launch_threads, []
def watched():
    found.append(os.environ.get("GOMP_SPINCOUNT"))
    launch()
parallel._launch_threads = watched
@Loop
def double(workers: int, x: Row):
    for i in prange(x.size):
        x[i] = 2 * x[i]
x = np.ones(5)
double.on(2, x.dtype)(x)
print(found[0], x.sum(), os.environ.get("GOMP_SPINCOUNT"))
"""
    environment = dict.fromkeys(("GOMP_SPINCOUNT", "OMP_WAIT_POLICY"))
    assert run_python(program, **environment) == ["15000", "10.0", "None"]


def test_what_a_signal_leaves_does_not_keep_its_thread_from_sharing():
    """It may raise right after the lock is taken; the thread's next loop has the threads again, others work alone."""
    program = """
import threading
from fastconv.kernels.jit.compile import threads
expected = work(1)
print(threads.take(2))  # and never given back
print(work(2) == expected, threads.take(3))
found = []
other = threading.Thread(target=lambda: found.extend([threads.take(2), work(2) == expected]))
other.start()
other.join()
print(*found)
threads.active = True  # as a handler of signals finds it, which interrupts a loop
print(threads.take(2), work(2) == expected)
"""
    assert run_python(program) == ["2", "True", "3", "0", "True", "0", "True"]


def test_threads_that_others_start_are_left_alone():
    """While a loop is compiled, or runs for the first time; only its own helpers are kept off the caller's CPU."""
    program = """
import threading
from fastconv.kernels.jit.compile import _Entries, threads
stop, entries = threading.Event(), _Entries.__missing__
others = []
def compile_slowly(self, dtype):
    others.append(threading.Thread(target=stop.wait))
    others[-1].start()
    return entries(self, dtype)
_Entries.__missing__ = compile_slowly
work(2)
helpers = threads._apart._helpers
print(len(others) > 3, any(other.native_id in helpers for other in others))
stop.set()
"""
    assert run_python(program) == ["True", "False"]


def test_without_compiling_the_results_are_the_same(tmp_path):
    program = """
from fastconv.dispatch import OPERATIONS
def depthwise(dtype):
    x, weight = np.random.default_rng(0).standard_normal((2, 5, 6, 20)), np.linspace(-2, 1, 180).reshape(20, 1, 3, 3)
    x, weight, geometry = x.astype(dtype), weight.astype(dtype), ((1, 1), (1, 1), (1, 1), 20)
    yield "convolution_forward", (x, weight, x[0, 0, 0], *geometry), [x.copy()]
    yield "convolution_backward_data", (x, weight, *geometry), [x.copy()]
    yield "convolution_backward_weight", (x, x, *geometry), [weight.copy(), x[0, 0, 0].copy()]
done = {}
for dtype in ("float32", "float64"):
    for i, (op, arguments, outputs) in enumerate((*calls(np.dtype(dtype)), *depthwise(dtype))):
        if sum(a.size for a in outputs) < 5000:
            kernel(op, "numba")(*arguments, *outputs, 2)
            done |= {f"{op} {dtype} {i} {j}": np.asarray(a) for j, a in enumerate(outputs)}
assert {name.split()[0] for name in done} == set(OPERATIONS)
np.savez(os.environ["RESULT"], **done)
"""
    found = []
    for disabled in "01":
        run_python(program, NUMBA_DISABLE_JIT=disabled, RESULT=str(tmp_path / f"{disabled}.npz"))
        found.append(np.load(tmp_path / f"{disabled}.npz"))
    assert list(found[0]) == list(found[1])
    for name in found[0]:
        compiled, plain = found[0][name], found[1][name]
        assert compiled.dtype == plain.dtype
        eps = np.finfo(name.split()[1]).eps
        np.testing.assert_allclose(plain.astype(float), compiled.astype(float), 50 * eps, 100 * eps, err_msg=name)


KERNEL = """
from numba import prange
from .compile import Loop
from .part import factor

@Loop
def times(workers, x, out):
    for i in prange(x.size):
        out[i] = x[i] * factor(x)
"""
PART = """
from .compile import inner

@inner
def factor(x):
    return {factor}
"""


def test_the_cache_forgets_a_kernel_when_any_file_of_the_folder_changes(tmp_path):
    """Numba itself looks at the file of the kernel only."""
    package = tmp_path / "copied"
    package.mkdir()
    for name in ("apart.py", "arguments.py", "compile.py", "memory.py"):
        shutil.copy(JIT / name, package)
    (package / "__init__.py").touch()
    (package / "kernel.py").write_text(KERNEL)
    program = """
import numpy as np
from copied.kernel import times
from copied.compile import SOURCES
out = np.empty(3)
for n_threads in (1, 2):
    times(n_threads, np.ones(3), out)
print(out[0], *(sum(count.values()) for loop in (times.alone, times.shared)
                for count in (loop.stats.cache_hits, loop.stats.cache_misses)), len(SOURCES))
"""
    environment = {"PYTHONPATH": os.pathsep.join([str(tmp_path), str(ROOT)]), "NUMBA_CACHE_DIR": str(tmp_path / "c")}
    for factor, hits, misses in ((2, 0, 1), (2, 1, 0), (3, 0, 1), (3, 1, 0)):
        text = PART.format(factor=factor)
        if not (package / "part.py").exists() or (package / "part.py").read_text() != text:
            (package / "part.py").write_text(text)
        found = run_python(program, **environment)
        assert found == [f"{factor}.0", *map(str, (hits, misses) * 2), "7"]


def test_the_attribute_that_the_cache_is_told_by_exists():
    from fastconv.kernels.jit.compile import SOURCES, Loop

    @Loop
    def nothing(workers, x):
        pass

    for variant in (nothing.alone, nothing.shared):
        assert variant._cache._cache_file._source_stamp == SOURCES
    assert {name for name, *_ in SOURCES} == {file.name for file in JIT.glob("*.py")}
