"""Batches whose values would not fit into memory go through the layers in parts."""
from __future__ import annotations

import copy
import tracemalloc

import numpy as np
import pytest
from engine.random_networks import layer_by_layer

from fastconv.engine import Network, parts
from fastconv.layers import LRN, Affine, BatchNormalization, Convolution, Dropout, GlobalAveragePooling, Pooling, Relu

SHAPE = (3, 12, 9)


def make(dtype=np.float64, normalized=False, auxiliary=False):
    rng = np.random.default_rng(0)
    network = Network(dtype=dtype)
    network.add(Convolution(rng.normal(0, 0.3, (7, 3, 3, 3)), rng.normal(size=7), 1, 1))
    if normalized:
        network.add(BatchNormalization(np.ones(7), np.zeros(7)))
    stem = network.add(Relu())
    network.add(LRN())
    network.add(Pooling(2, 2, 2))
    network.add(Affine(rng.normal(0, 0.2, (7 * 6 * 4, 20)), rng.normal(size=20)))
    network.add(Relu())
    network.add(Dropout(0.0))
    network.add(Affine(rng.normal(0, 0.2, (20, 5)), rng.normal(size=5)))
    if auxiliary:
        network = aside(network, stem, rng)
    return layer_by_layer(network)


def aside(network, stem, rng):
    """Give the network another score, which is no part of its output."""
    other = Network(dtype=network.dtype)
    for node, (layer, sources) in enumerate(zip(network.layers, network._graph.inputs, strict=True)):
        other.add(layer, inputs=sources)
        if node == stem:
            last = node
    pool = other.add(GlobalAveragePooling(), inputs=last)
    score = other.add(Affine(rng.normal(size=(7, 5)), rng.normal(size=5)), inputs=pool)
    other.auxiliary(score, 0.3)
    other.add(Relu(), inputs=len(network.layers) - 1)
    return other


def batch(n, dtype=np.float64):
    rng = np.random.default_rng(n)
    return rng.normal(size=(n, *SHAPE)).astype(dtype), rng.integers(0, 5, n)


@pytest.fixture
def in_parts(monkeypatch):
    monkeypatch.setattr(parts, "PART_BYTES", 1)


@pytest.mark.parametrize("auxiliary", [False, True])
@pytest.mark.parametrize("labels", ["numbers", "rows"])
@pytest.mark.parametrize("n", [8, 9, 16, 30])
def test_gradients_and_loss_are_those_of_the_whole(n, labels, auxiliary, monkeypatch):
    x, t = batch(n)
    t = t if labels == "numbers" else np.eye(5)[t]
    whole, network = make(auxiliary=auxiliary), make(auxiliary=auxiliary)
    expected = whole.gradient(x, t)
    monkeypatch.setattr(parts, "PART_BYTES", 1)
    passes = []
    monkeypatch.setattr(network, "_pass", lambda *args: passes.append(len(args[0])) or Network._pass(network, *args))
    found = network.gradient(x, t)
    assert passes == [8] * (n // 8) + ([n % 8] if n % 8 else [])
    np.testing.assert_allclose(network.last_layer.loss, whole.last_layer.loss, rtol=1e-12)
    np.testing.assert_allclose(network.last_layer.y, whole.last_layer.y, rtol=1e-12)
    assert found.keys() == expected.keys()
    for key, value in expected.items():
        np.testing.assert_allclose(found[key], value, rtol=1e-9, atol=1e-12, err_msg=key)
        np.testing.assert_array_equal(found[key], network.params.gradients()[key])


def test_a_layer_that_needs_the_whole_batch_gets_it(in_parts):
    x, t = batch(20)
    network, twin = make(normalized=True), make(normalized=True)
    network.gradient(x, t)
    twin._pass(x, t, True)
    np.testing.assert_array_equal(network.layers[1].running_mean, twin.layers[1].running_mean)
    np.testing.assert_array_equal(network.params.gradients()["W1"], twin.params.gradients()["W1"])


def test_a_layer_of_ones_own_gets_the_whole_batch(in_parts):
    class Centred:
        def forward(self, x):
            return x - x.mean(axis=0)

        def backward(self, dout):
            return dout - dout.mean(axis=0)

    def network():
        made = Network(dtype=np.float64)
        made.add(Centred())
        made.add(Affine(np.eye(4), np.zeros(4)))
        return made

    x, t = np.random.default_rng(0).normal(size=(20, 4)), np.arange(20) % 4
    one, other = network(), network()
    one.gradient(x, t)
    other._pass(x, t, True)
    np.testing.assert_array_equal(one.params.gradients()["W1"], other.params.gradients()["W1"])


@pytest.mark.parametrize("t", [np.zeros(19, int), np.full(20, 7), np.zeros((20, 3))])
def test_wrong_labels_are_named_as_ever(in_parts, t):
    x, _ = batch(20)
    with pytest.raises(ValueError) as whole:
        make()._pass(x, t, True)
    with pytest.raises(ValueError) as found:
        make().gradient(x, t)
    assert "t" in str(found.value) and str(found.value).split(":")[0] == str(whole.value).split(":")[0]


def test_memory_does_not_grow_with_the_batch(monkeypatch):
    network = make(np.float32)
    values = sum(np.prod(s) for s in parts.output_shapes(network._graph, SHAPE).values())
    monkeypatch.setattr(parts, "PART_BYTES", 8 * 4 * int(values))

    def peak(n):
        one = copy.deepcopy(network)
        x, t = batch(n, np.float32)
        one.gradient(x, t)
        tracemalloc.start()
        one.gradient(x, t)
        size = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        return size

    assert peak(160) < 1.5 * peak(16)
