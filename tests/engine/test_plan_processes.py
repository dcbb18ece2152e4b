"""Networks in forks and worker processes, under joblib and in another library's threads: always the same bits."""
from __future__ import annotations

import multiprocessing
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import fastconv
from fastconv import dispatch

pytestmark = pytest.mark.skipif(dispatch.plan(dispatch.backend()) is None, reason="this backend has no plans")
needs_fork = pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork")

BEGIN = """
import os, sys, threading
import numpy as np
from fastconv import DeepConvNet, Trainer, set_num_threads

rng = np.random.default_rng(0)
images, labels = rng.integers(0, 256, (500, 1, 28, 28), np.uint8), rng.integers(0, 10, 500)

def results(network, n_threads=2):
    set_num_threads(n_threads)
    network.seed(3)
    found = network.gradient(images[:40], labels[:40])
    return [network.predict(images[:50]).tobytes(), *(array.tobytes() for array in found.values())]

def in_child(of):
    pid = os.fork()
    if pid == 0:
        os._exit(0 if of() else 1)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0
"""


def run_python(program, *arguments, **environment):
    environment = os.environ | {"PYTHONPATH": str(Path(fastconv.__file__).parents[1])} | environment
    source = [program] if isinstance(program, Path) else ["-c", program]
    done = subprocess.run([sys.executable, "-W", "ignore::DeprecationWarning", *source, *arguments], env=environment,
                          capture_output=True, text=True, timeout=600)
    assert done.returncode == 0, done.stderr
    return done.stdout.split()


@needs_fork
def test_child_of_a_fork_goes_on_with_the_network():
    program = BEGIN + """
network = DeepConvNet(seed=1)
right = results(network)
child = lambda: results(network) == right == results(DeepConvNet(seed=1))
print(in_child(child), in_child(lambda: child() and in_child(child)), results(network) == right)
"""
    assert run_python(program) == ["True"] * 3


@needs_fork
def test_fork_amid_another_threads_gradient():
    program = BEGIN + """
shared, busy = DeepConvNet(seed=1), DeepConvNet(seed=2)
right, other = results(shared), results(busy)
stop, wrong = threading.Event(), []

def loop():
    while not stop.is_set():
        if results(busy) != other:
            wrong.append(1)

thread = threading.Thread(target=loop)
thread.start()
print(all(in_child(lambda: results(shared) == right == results(DeepConvNet(seed=1))) for _ in range(20)))
stop.set()
thread.join()
print(not wrong)
"""
    assert run_python(program) == ["True", "True"]


@pytest.mark.parametrize("method", multiprocessing.get_all_start_methods())
def test_network_in_worker_processes(method, tmp_path):
    program = BEGIN + """
import multiprocessing
if __name__ == "__main__":
    network = DeepConvNet(seed=1)
    right = results(network)
    with multiprocessing.get_context(sys.argv[1]).Pool(2) as workers:
        print(workers.map(results, [network] * 4) == [right] * 4)
    print(results(network) == right)
"""
    (tmp_path / "program.py").write_text(program)  # spawn imports the file again
    assert run_python(tmp_path / "program.py", method) == ["True", "True"]


@pytest.mark.parametrize("method", multiprocessing.get_all_start_methods())
def test_training_goes_on_in_another_process(method, tmp_path):
    """A network with its optimizer, a layer and an array of a pass are the arguments of a process."""
    program = BEGIN + """
import multiprocessing
from fastconv import Adam, SmallResNet
from fastconv.layers import Convolution

photos = rng.normal(size=(9, 3, 16, 16)).astype(np.float32)

def train(network, optimizer, layer, dout):
    for i in range(3):
        optimizer.update(network.params, network.gradient(photos, labels[i:i + 9]))
    dx = layer.backward(dout)
    arrays = [*network.params.values(), network.predict(photos), dx, layer.dW, layer.db]
    return [array.tobytes() for array in arrays]

def child(queue, *arguments):
    queue.put(train(*arguments))

if __name__ == "__main__":
    network, optimizer = SmallResNet(8, (3, 16, 16)), Adam()
    optimizer.update(network.params, network.gradient(photos, labels[:9]))
    layer = Convolution(rng.normal(size=(5, 3, 3, 3)), np.ones(5), 2, 1)
    begun = network, optimizer, layer, layer.forward(photos)
    context = multiprocessing.get_context(sys.argv[1])
    queue = context.Queue()
    process = context.Process(target=child, args=(queue, *begun))
    process.start()
    found = queue.get()
    process.join()
    print(found == train(*begun), process.exitcode)
"""
    (tmp_path / "program.py").write_text(program)
    assert run_python(tmp_path / "program.py", method) == ["True", "0"]


@pytest.mark.parametrize("backend", ["loky", "threading", "multiprocessing"])
def test_joblib(backend, tmp_path):
    pytest.importorskip("joblib")
    (tmp_path / "work.py").write_text(BEGIN)  # what loky's workers import
    program = """
import joblib
from work import *
network = DeepConvNet(seed=1)

def predict(network, n):
    return network.predict(images[:n]).tobytes()

expected = [predict(network, n) for n in (1, 7, 50)] * 3
with joblib.parallel_config(sys.argv[1], n_jobs=3):
    found = joblib.Parallel()(joblib.delayed(predict)(network, n) for n in (1, 7, 50) * 3)
print(found == expected, [predict(network, n) for n in (1, 7, 50)] * 3 == expected)
"""
    paths = os.pathsep.join([str(tmp_path), str(Path(fastconv.__file__).parents[1])])
    assert run_python(program, backend, PYTHONPATH=paths) == ["True", "True"]


REGION = """
#include <omp.h>
int region(int threads, int calls, void (*call)(int)) {
    int team = 0;
    #pragma omp parallel num_threads(threads)
    {
        #pragma omp single
        team = omp_get_num_threads();
        #pragma omp for schedule(static, 1)
        for (int i = 0; i < calls; i++) call(i);
    }
    return team;
}
"""


@pytest.mark.skipif(shutil.which("gcc") is None, reason="this system has no gcc")
def test_within_a_parallel_region_of_another_program(tmp_path):
    """Each thread of an OpenMP team predicts, and trains a network of its own."""
    (tmp_path / "region.c").write_text(REGION)
    library = tmp_path / "region.so"
    made = subprocess.run(["gcc", "-O1", "-shared", "-fPIC", "-fopenmp", tmp_path / "region.c", "-o", library],
                          capture_output=True, text=True)
    if made.returncode:
        pytest.skip(f"no OpenMP program can be built here: {made.stderr}")
    program = BEGIN + """
import ctypes
shared = DeepConvNet(seed=1)
right, others = results(shared), [results(DeepConvNet(seed=seed)) for seed in range(8)]
found = [None] * 8

@ctypes.CFUNCTYPE(None, ctypes.c_int)
def call(i):
    found[i] = shared.predict(images[:50]).tobytes(), results(DeepConvNet(seed=i))

for _ in range(2):
    team = ctypes.CDLL(sys.argv[1]).region(3, 8, call)
    print(team, found == [(right[0], other) for other in others], results(shared) == right)
"""
    assert run_python(program, str(library)) == ["3", "True", "True"] * 2


def test_training_has_the_same_bits_on_any_number_of_threads():
    program = BEGIN + """
import hashlib
network = DeepConvNet(seed=1)
trainer = Trainer(network, images, labels, images[:10], labels[:10], 1, 100, "Adam", {"lr": 0.001},
                  evaluate_sample_num_per_epoch=10, verbose=False, seed=7)
trainer.train()
found = hashlib.sha256(b"".join(array.tobytes() for array in network.params.values()))
print(trainer.current_iter, found.hexdigest(), *map(float.hex, trainer.train_loss_list))
"""
    found = [run_python(program, FASTCONV_NUM_THREADS=str(n)) for n in (1, 2, 3)]
    assert found[0][0] == "5" and found[0] == found[1] == found[2]
