"""Plans in Python threads, forks and worker processes: always the same bits."""
from __future__ import annotations

import multiprocessing
import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

import fastconv
from fastconv import DeepConvNet, dispatch
from fastconv.threads import threads

pytestmark = pytest.mark.skipif(dispatch.plan(dispatch.backend()) is None, reason="this backend has no plans")
needs_fork = pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork")


def images(n, seed=0):
    return np.random.default_rng([seed, n]).integers(0, 256, (n, 1, 28, 28), np.uint8)


def labels(n):
    return np.random.default_rng(n).integers(0, 10, n)


def step(network, n=20, seed=3):
    """Return the bytes of a gradient; the dropout masks come from the seed."""
    network.seed(seed)
    return b"".join(array.tobytes() for array in network.gradient(images(n), labels(n)).values())


def test_one_network_predicts_in_many_python_threads():
    network = DeepConvNet(seed=1)
    batches = [images(n, seed) for seed, n in enumerate((1, 2, 3, 7, 16, 33, 50, 100))]
    with threads(1):
        expected = [network.predict(batch).tobytes() for batch in batches]

    def work(seed):
        rng = np.random.default_rng(seed)
        for i in rng.integers(0, len(batches), 25):
            with threads(int(rng.integers(1, 4))):
                if network.predict(batches[i]).tobytes() != expected[i]:
                    return False
        return True

    with ThreadPoolExecutor(8) as executor:
        assert all(executor.map(work, range(8)))


def test_parameters_that_change_between_predictions_of_many_threads():
    """Each plan notices by itself that the weights it has packed are old ones."""
    network, batch = DeepConvNet(seed=1), images(9)
    first = network.params["W1"].copy()
    expected = []
    for scale in (1, 2):
        network.params["W1"][...] = scale * first
        expected.append(network.predict(batch).tobytes())
    with ThreadPoolExecutor(8) as executor:
        for i in range(20):
            network.params["W1"][...] = (1 + i % 2) * first
            assert set(executor.map(lambda _: network.predict(batch).tobytes(), range(8))) == {expected[i % 2]}


def test_gradients_of_several_networks_in_python_threads():
    with threads(1):
        expected = [step(DeepConvNet(seed=seed)) for seed in range(4)]

    def work(seed):
        network = DeepConvNet(seed=seed)
        with threads(1 + seed % 3):
            return all(step(network) == expected[seed] for _ in range(10))

    with ThreadPoolExecutor(4) as executor:
        assert all(executor.map(work, range(4)))


# ---- processes

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
                          capture_output=True, text=True, timeout=300)
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
