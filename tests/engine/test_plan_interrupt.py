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
from fastconv.layers import BatchNormalization, Convolution

MANY = 200_000  # images of a run that takes seconds on any machine, on two threads
signal.signal(signal.SIGINT, signal.default_int_handler)  # also where the tests run in a shell's background
rng = np.random.default_rng(0)
images = rng.integers(0, 256, (1000, 1, 28, 28), np.uint8)
labels = rng.integers(0, 10, 1000)
repeated = np.arange(MANY) % 1000

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
    found = network.gradient(images[:300], labels[:300])
    return [network.last_layer.loss, network.predict(images[:300]).tobytes(),
            *(array.tobytes() for array in found.values())]

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
of = {"deep": deep, "normalized": normalized}[sys.argv[1]]
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


def test_a_handler_that_does_not_raise_may_use_the_network():
    assert run_python(HANDLED) == ["False False True", "True"]


def test_trainer_ends_after_the_running_step():
    assert run_python(TRAINER) == ["False False", "True 1 1 None", "True"]
