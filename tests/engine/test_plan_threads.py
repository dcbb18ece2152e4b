"""A plan's results have the same bits on any number of threads, in any process and in any cut of a batch."""
from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from engine.random_networks import RandomNetwork, only_plans

import fastconv
from fastconv import DeepConvNet, dispatch
from fastconv.threads import threads

pytestmark = pytest.mark.skipif(dispatch.plan(dispatch.backend()) is None, reason="this backend has no plans")

COUNTS = (1, 2, 3, 5, 8)
SEEDS = range(40)


def bits(network, x, t):
    """Return the bytes of predictions, loss and gradients; dropout begins anew."""
    network.seed(6)
    with only_plans(network):
        return [network.predict(x).tobytes(), network.predict(x, train_flg=True).tobytes(), network.loss(x, t).hex(),
                *(gradient.tobytes() for gradient in network.gradient(x, t).values()),
                network.last_layer.loss.hex(), network.last_layer.y.tobytes()]


def normalizations(network):
    return [layer for layer in network.layers if hasattr(layer, "running_mean")]


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("seed", SEEDS)
def test_random_networks(seed, dtype):
    x, t = RandomNetwork(seed, dtype).batch((19, 70)[seed % 2])
    found = []
    for n_threads in (*COUNTS, 1, 3):
        network = RandomNetwork(seed, dtype).network
        with threads(n_threads):
            first = bits(network, x, t)
            statistics = [array.tobytes() for layer in normalizations(network)
                          for array in (layer.running_mean, layer.running_var)]
            if not statistics:  # that move the predictions
                assert bits(network, x, t) == first
        found.append((first, statistics))
    assert all(other == found[0] for other in found[1:])


@pytest.mark.parametrize("n", [1, 2, 3, 100, 1100])
def test_deep_convnet(n):
    rng = np.random.default_rng(n)
    x, t = rng.integers(0, 256, (n, 1, 28, 28), np.uint8), rng.integers(0, 10, n)
    network = DeepConvNet(seed=1)
    found = []
    for n_threads in COUNTS if n <= 100 else (1, 2, 5):
        with threads(n_threads):
            found.append(bits(network, x, t))
    assert all(other == found[0] for other in found[1:])


PROGRAM = """
import hashlib
import numpy as np
from fastconv import DeepConvNet

rng = np.random.default_rng(0)
x, t = rng.integers(0, 256, (37, 1, 28, 28), np.uint8), rng.integers(0, 10, 37)
np.random.seed(5)
network = DeepConvNet(seed=1)
for _ in range(2):
    found = [network.predict(x), np.array(network.loss(x, t)), *network.gradient(x, t).values()]
    print(hashlib.sha256(b"".join(array.tobytes() for array in found)).hexdigest())
"""


def run_python(program, **variables):
    environment = os.environ | {"PYTHONPATH": str(Path(fastconv.__file__).parents[1])} | variables
    done = subprocess.run([sys.executable, "-c", program], env=environment, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    return done.stdout.split()


def test_processes():
    found = [run_python(PROGRAM, FASTCONV_NUM_THREADS=str(n_threads)) for n_threads in COUNTS]
    assert len(set(found[0])) == 2  # other masks in the second step
    assert all(other == found[0] for other in found)


# ---- cuts of a batch

@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("seed", SEEDS)
def test_images_are_predicted_as_if_each_were_alone(seed, dtype):
    made = RandomNetwork(seed, dtype)
    x, t = made.batch(70)
    made.network.gradient(x, t)  # running statistics
    with only_plans(made.network) as network:
        expected = network.predict(x)
        for size in (1, 2, 3, 7, 8, 9, 33, 69):
            cut = [network.predict(x[i:i + size]) for i in range(0, len(x), size)]
            np.testing.assert_array_equal(np.concatenate(cut), expected)
        order = np.random.default_rng(seed).permutation(len(x))
        np.testing.assert_array_equal(network.predict(x[order]), expected[order])


def test_images_of_deep_convnet_are_predicted_as_if_each_were_alone():
    x = np.random.default_rng(0).integers(0, 256, (1100, 1, 28, 28), np.uint8)
    network = DeepConvNet(seed=1)
    expected = network.predict(x)
    for size in (1, 2, 7, 16, 100):
        np.testing.assert_array_equal(np.concatenate([network.predict(x[i:i + size]) for i in range(0, 200, size)]),
                                      expected[:-(-200 // size) * size])
