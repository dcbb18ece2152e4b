"""Networks in many Python threads: always the same bits."""
from __future__ import annotations

import copy
import pickle
import threading
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from engine.random_networks import layer_by_layer

from fastconv import Adam, DeepConvNet, Network, dispatch
from fastconv.engine import compile
from fastconv.engine.plan import KEPT
from fastconv.layers import Affine, BatchNormalization, Convolution, Dropout, Pooling, Relu
from fastconv.threads import threads

needs_plans = pytest.mark.skipif(dispatch.plan(dispatch.backend()) is None, reason="this backend has no plans")


def images(n, seed=0):
    return np.random.default_rng([seed, n]).integers(0, 256, (n, 1, 28, 28), np.uint8)


def labels(n):
    return np.random.default_rng(n).integers(0, 10, n)


def step(network, n=20, seed=3):
    """Return the bytes of a gradient; the dropout masks come from the seed."""
    network.seed(seed)
    return b"".join(array.tobytes() for array in network.gradient(images(n), labels(n)).values())


def small(seed=0):
    """A network with everything that has a state of its own, for images (3, 12, 10)."""
    rng = np.random.default_rng(seed)
    network = Network()
    network.add(Convolution(rng.normal(0, 0.3, (16, 3, 3, 3)), rng.normal(size=16), 1, 1))
    network.add(BatchNormalization(rng.uniform(0.5, 1, 16), rng.normal(size=16)))
    network.add(Relu())
    network.add(Pooling(2, 2, 2))
    network.add(Convolution(rng.normal(0, 0.1, (21, 16, 3, 3)), rng.normal(size=21), 1, 1))
    network.add(Relu())
    network.add(Affine(rng.normal(0, 0.1, (21 * 6 * 5, 33)), rng.normal(size=33)))
    network.add(Dropout(0.4))
    network.add(Affine(rng.normal(0, 0.1, (33, 10)), rng.normal(size=10)))
    network.seed(seed)
    return network


def samples(n, seed=0):
    return np.random.default_rng([seed, n]).normal(0.5, 1, (n, 3, 12, 10)).astype(np.float32)


def train(network, optimizer, steps, first=0):
    """Return the bytes of all parameters and of the losses."""
    losses = []
    for i in range(first, first + steps):
        optimizer.update(network.params, network.gradient(samples(13, i), labels(13)))
        losses.append(network.last_layer.loss)
    return [np.array(losses).tobytes(), *(array.tobytes() for array in network.params.values())]


@pytest.mark.parametrize("kind", ["plan", "shared", "layers"])
def test_batches_of_many_sizes_in_many_threads(kind, monkeypatch):
    """By lanes of images, by steps that all workers share, and by layers that the threads share."""
    if kind == "shared":
        monkeypatch.setattr(compile, "SHARED_WORK", 0)
    network = small()
    network.gradient(samples(30), labels(30))
    if kind == "layers":
        network = layer_by_layer(network)
    batches = [samples(n, seed) for seed, n in enumerate((1, 2, 3, 9, 17, 40))]
    expected = [network.predict(batch).tobytes() for batch in batches]

    def work(seed):
        rng = np.random.default_rng(seed)
        for i in rng.integers(0, len(batches), 25):
            with threads(int(rng.integers(1, 4))):
                if network.predict(batches[i]).tobytes() != expected[i]:
                    return False
        return True

    with ThreadPoolExecutor(6) as executor:
        assert all(executor.map(work, range(6)))


@needs_plans
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


@needs_plans
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


def test_a_parameter_that_another_thread_replaces_is_the_old_or_the_new_one():
    network, x = small(), samples(5)
    key = "W2"
    values = [network.params[key], network.params[key] * 2]
    expected = set()
    for value in values:
        network.params[key] = value
        expected.add(network.predict(x).tobytes())
    stop = threading.Event()

    def replace():
        while not stop.is_set():
            for value in values:
                network.params[key] = value

    thread = threading.Thread(target=replace)
    thread.start()
    with ThreadPoolExecutor(4) as executor:
        found = set(executor.map(lambda _: network.predict(x).tobytes(), range(300)))
    stop.set()
    thread.join()
    assert len(expected) == 2 and found <= expected


@pytest.mark.parametrize("kind", ["plan", "shared"])
def test_changes_in_place_during_predictions_are_over_in_the_next_one(kind, monkeypatch):
    """Also such as come back to the old values: what was packed meanwhile must not be taken for these."""
    if kind == "shared":
        monkeypatch.setattr(compile, "SHARED_WORK", 0)
    rng = np.random.default_rng(0)
    network = Network()
    network.add(Convolution(rng.normal(0, 0.1, (256, 16, 7, 7)), None, 1, 3))
    network.add(Relu())
    network.add(Convolution(rng.normal(0, 0.1, (8, 256, 3, 3)), None, 2, 1))
    x = rng.normal(size=(1, 16, 8, 8)).astype(np.float32)
    W = network.params["W1"]
    first, second = W.copy(), 2 * W
    expected = network.predict(x).tobytes()

    def change():
        for _ in range(10):
            W[...] = second
            W[...] = first

    for _ in range(40):
        changing = threading.Thread(target=change)
        changing.start()
        while changing.is_alive():
            network.predict(x)
        changing.join()
        assert network.predict(x).tobytes() == expected


def test_two_networks_are_trained_in_two_threads():
    expected = [train(small(seed), Adam(0.01), 12) for seed in range(2)]
    with ThreadPoolExecutor(2) as executor:
        assert list(executor.map(lambda seed: train(small(seed), Adam(0.01), 12), range(2))) == expected


@pytest.mark.parametrize("duplicate", [copy.deepcopy, lambda both: pickle.loads(pickle.dumps(both))])
def test_copies_go_on_where_the_original_stands_and_by_themselves(duplicate):
    original = small(), Adam(0.01)
    train(*original, 5)
    twin = duplicate(original)
    assert not any(np.shares_memory(a, b)
                   for a, b in zip(twin[0].params.values(), original[0].params.values(), strict=True))
    expected = train(*duplicate(original), 5, first=5)
    assert train(*twin, 5, first=5) == expected
    assert twin[0].predict(samples(7)).tobytes() != original[0].predict(samples(7)).tobytes()
    assert train(*original, 5, first=5) == expected


def test_copies_are_made_while_others_predict():
    network, x = small(), samples(5)
    expected = network.predict(x).tobytes()

    def work(i):
        return (copy.deepcopy(network) if i % 3 == 0 else network).predict(x).tobytes()

    with ThreadPoolExecutor(4) as executor:
        assert set(executor.map(work, range(60))) == {expected}


@needs_plans
def test_plans_that_many_threads_give_back_are_not_kept_forever():
    network = Network()
    network.add(Relu())
    with ThreadPoolExecutor(6) as executor:
        list(executor.map(lambda n: network.predict(np.ones((2, 1 + n % 23), np.float32)), range(300)))
    assert len(network._plans._plans) == KEPT


@needs_plans
def test_gradients_of_several_networks_in_python_threads():
    with threads(1):
        expected = [step(DeepConvNet(seed=seed)) for seed in range(4)]

    def work(seed):
        network = DeepConvNet(seed=seed)
        with threads(1 + seed % 3):
            return all(step(network) == expected[seed] for _ in range(10))

    with ThreadPoolExecutor(4) as executor:
        assert all(executor.map(work, range(4)))
