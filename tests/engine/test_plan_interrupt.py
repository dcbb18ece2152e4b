"""Ctrl-C in the middle of a plan: the run stops, the layers are as they were, the network goes on working.

A thread sends the signal once the run has written its first scores, so nothing is timed; scores that are still nan
afterwards show that the run did not go to its end.
"""
from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

import fastconv
from fastconv import dispatch

pytestmark = [
    pytest.mark.skipif(dispatch.plan(dispatch.backend()) is None, reason="this backend has no plans"),
    pytest.mark.skipif(os.name != "posix" or not hasattr(signal, "pthread_kill"), reason="needs POSIX signals"),
]

BEGIN = """
import os, signal, sys, threading, time
import numpy as np
from fastconv import Affine, DeepConvNet, Network, Relu, Trainer
from fastconv.engine.plan import Plan
from fastconv.layers import BatchNormalization, Convolution, Pooling

MANY = 200_000  # images of a run that takes seconds on any machine, on two threads
signal.signal(signal.SIGINT, signal.default_int_handler)  # also where the tests run in a shell's background
rng = np.random.default_rng(0)
images = rng.integers(0, 256, (1000, 1, 28, 28), np.uint8)
labels = rng.integers(0, 10, 1000)
repeated = np.arange(MANY) % 1000

few = 9 if sys.argv[1:2] == ["photographs"] or "layered" in sys.argv else 300

def deep():
    return DeepConvNet(seed=1)

def normalized():
    rng = np.random.default_rng(2)
    network = Network()
    network.add(Convolution(rng.normal(0, 0.1, (32, 1, 3, 3)), np.zeros(32), 2, 1))
    network.add(BatchNormalization(np.ones(32), np.zeros(32)))
    network.add(Relu())
    for _ in range(3):
        network.add(Convolution(rng.normal(0, 0.1, (32, 32, 3, 3)), np.zeros(32), 1, 1))
        network.add(Relu())
    network.add(Affine(rng.normal(0, 0.1, (32 * 14 * 14, 10)), np.zeros(10)))
    return network

def left(network):
    # what a pass leaves in the layers, as objects: the arrays themselves, and their bytes
    found = [getattr(layer, name) for layer in network.layers for name in ("dW", "db", "dgamma", "dbeta")
             if hasattr(layer, name)]
    return [(id(array), None if array is None else array.tobytes()) for array in found]

def result(network):
    network.seed(3)
    found = network.gradient(images[:few], labels[:few])
    return [network.last_layer.loss, network.predict(images[:few]).tobytes(),
            *(array.tobytes() for array in found.values())]

def photographs():
    # 340 million multiply-adds an image: each step of a prediction is shared among all workers
    rng = np.random.default_rng(2)
    network = Network()
    network.add(Convolution(rng.normal(0, 0.1, (32, 1, 3, 3)), np.zeros(32), 1, 1))
    network.add(Relu())
    for _ in range(4):
        network.add(Convolution(rng.normal(0, 0.1, (96, network.layers[-2].W.shape[0], 3, 3)), None, 1, 1))
        network.add(Relu())
    for _ in range(3):
        network.add(Pooling(2, 2, 2, 1))
    network.add(Affine(rng.normal(0, 0.1, (96 * 5 * 5, 10)), np.zeros(10)))
    return network

def layered():
    # a layer of the user's own: there is no plan
    class Same(Relu):
        pass
    network = photographs()
    network.add(Same())
    return network

scores = []
execute = Plan._execute

def watched(self, x, y, **arrays):
    y.fill(np.nan)
    scores.append(y)
    execute(self, x, y, **arrays)

def send_when_begun():
    while not scores or np.isnan(scores[-1][0]).any():
        time.sleep(0.001)
    os.kill(os.getpid(), signal.SIGINT)

def interrupted(run):
    # return whether the run raised, and before its end
    Plan._execute, scores[:] = watched, []
    thread = threading.Thread(target=send_when_begun)
    thread.start()
    try:
        run()
    except KeyboardInterrupt:
        raised = True
    else:
        raised = False
    thread.join()
    Plan._execute = execute
    return raised, bool(np.isnan(scores[-1]).any())
"""

RUN = BEGIN + """
of = {"deep": deep, "normalized": normalized, "photographs": photographs}[sys.argv[1]]
runs = {
    "gradient": lambda: network.gradient(images, labels, repeated),
    "loss": lambda: network.loss(np.broadcast_to(images[:1], (MANY, 1, 28, 28)), labels[repeated]),
    "predict": lambda: network.predict(np.broadcast_to(images[:1], (MANY, 1, 28, 28))),
}
network, fresh = of(), of()
if sys.argv[3] == "used":
    for either in (network, fresh):
        result(either)
before, loss = left(network), network.last_layer.loss
print(*interrupted(runs[sys.argv[2]]))
print(left(network) == before, network.last_layer.loss == loss)
print(result(network) == result(fresh))
"""

LAYERED = BEGIN + """
network, fresh = layered(), layered()
layers, done = network.layers, []
forward, backward = Convolution.forward, Convolution.backward

def watched(method):
    def call(self, *arguments, **more):
        done.append(method.__name__)
        if len(done) == int(sys.argv[1]):
            threading.Thread(target=os.kill, args=(os.getpid(), signal.SIGINT)).start()
        return method(self, *arguments, **more)
    return call

Convolution.forward, Convolution.backward = watched(forward), watched(backward)
try:
    network.gradient(images[:100], labels[:100])
except KeyboardInterrupt:
    print(*done)
Convolution.forward, Convolution.backward = forward, backward
print(result(network) == result(fresh))
"""

HANDLED = BEGIN + """
network, pressed = deep(), []
result(network)

def handler(*_):
    # a handler of the program's own may use the network that it interrupts
    pressed.append(result(network) == expected)

expected = result(deep())
signal.signal(signal.SIGINT, handler)
print(*interrupted(lambda: network.predict(np.broadcast_to(images[:1], (20_000, 1, 28, 28)))), *pressed)
print(result(network) == expected)
"""

TRAINER = BEGIN + """
def trainer_of(network):
    few = repeated[:20_000]
    return Trainer(network, images[few], labels[few], images[:100], labels[:100], epochs=3, mini_batch_size=5000,
                   evaluate_sample_num_per_epoch=100, verbose=False, seed=4)

network, other = deep(), deep()
trainer = trainer_of(network)
print(*interrupted(trainer.train))
print(trainer.interrupted, trainer.current_iter, len(trainer.train_loss_list), trainer.final_test_acc)
trainer_of(other).train_step()
print(all(array.tobytes() == other.params[key].tobytes() for key, array in network.params.items()))
"""


def run_python(program, *arguments):
    environment = os.environ | {"PYTHONPATH": str(Path(fastconv.__file__).parents[1]), "FASTCONV_NUM_THREADS": "2"}
    done = subprocess.run([sys.executable, "-c", program, *arguments], env=environment, capture_output=True, text=True,
                          timeout=300)
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()


@pytest.mark.parametrize("state", ["new", "used"])
@pytest.mark.parametrize("run", ["gradient", "loss", "predict"])
def test_ctrl_c_stops_a_run(run, state):
    raised, layers, after = run_python(RUN, "deep", run, state)
    assert raised == "True True"  # a KeyboardInterrupt, and scores that were not computed
    assert layers == "True True"  # gradients and loss are those before the call
    assert after == "True"        # and the same bits come out as of a network that was never interrupted


def test_ctrl_c_stops_a_run_in_segments():
    assert run_python(RUN, "normalized", "predict", "used") == ["True True", "True True", "True"]


@pytest.mark.parametrize("run", ["gradient", "predict"])
def test_ctrl_c_stops_a_run_with_much_work_for_each_image(run):
    """Which is cut into pieces of time by the work, not by the images."""
    assert run_python(RUN, "photographs", run, "new") == ["True True", "True True", "True"]


@pytest.mark.parametrize("call", [2, 7])
def test_ctrl_c_stops_layers_that_run_one_by_one(call):
    """Forwards or backwards: the layer that is running ends, and at most one more where the signal came late."""
    passes, after = run_python(LAYERED, str(call), "layered")
    found = passes.split()
    assert call <= len(found) <= call + 1 and found == (["forward"] * 5 + ["backward"] * 5)[:len(found)]
    assert after == "True"


def test_rounds_of_the_numba_plan_are_small_and_leave_nothing_out():
    pytest.importorskip("numba")
    from fastconv.kernels.jit import plan as jit

    class Rounds(jit.Plan):
        def __init__(self, work):
            self._work = work

    class Cut:
        def __init__(self, images, lanes, most):
            self.images, self.lanes, self.most = images, lanes, most

    for work in (0, 1, 10**6, 10**8, 10**10, 10**12):
        for cut in (Cut(0, 0, 8), Cut(1, 1, 8), Cut(100, 16, 8), Cut(5000, 32, 8), Cut(5000, 5000, 1), Cut(999, 32, 3)):
            images = -(-cut.images // max(cut.lanes, 1))
            chunks = -(-images // cut.most)
            for workers in (1, 2, 7):
                done = []
                for lane, last_lane, chunk, last_chunk in Rounds(work)._rounds(cut, workers):
                    part = [(i, j) for i in range(lane, last_lane) for j in range(chunk, min(last_chunk, chunks))]
                    assert work * cut.most * len(part) <= max(jit.ROUND_WORK, work * cut.most * workers)
                    done += part
                assert sorted(done) == [(i, j) for i in range(cut.lanes) for j in range(chunks)]


def test_a_handler_that_does_not_raise_may_use_the_network():
    assert run_python(HANDLED) == ["False False True", "True"]


def test_trainer_ends_after_the_running_step():
    assert run_python(TRAINER) == ["False False", "True 1 1 None", "True"]
