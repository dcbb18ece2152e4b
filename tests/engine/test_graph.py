"""Chains, branches, skips and fan-out: the right order, the right gradients, no work that nobody needs."""
from __future__ import annotations

import gc
import weakref

import numpy as np
import pytest
from engine.toys import Spy, affine, check_gradient, two_affine

from fastconv.engine import Network
from fastconv.layers import Add, Affine, BatchNormalization, Concat, Convolution, Dropout, Pooling, Relu


@pytest.fixture
def batch():
    rng = np.random.default_rng(5)
    return rng.normal(size=(6, 4)), np.array([0, 2, 1, 1, 0, 2])


def test_chain(batch):
    network = two_affine()
    x, _ = batch
    expected = (x @ network.params["W1"] + network.params["b1"]) @ network.params["W2"] + network.params["b2"]
    np.testing.assert_allclose(network.predict(x), expected, 1e-12)
    check_gradient(network, *batch)


def test_skip_connection(batch):
    network = Network(dtype=np.float64)
    stem = network.add(affine(4, 5, 0))
    network.add(Relu())
    network.add(affine(5, 5, 1))
    network.add(Add(), inputs=(stem, 2))
    network.add(affine(5, 3, 2))
    x, _ = batch
    p = network.params
    first = x @ p["W1"] + p["b1"]
    joined = first + np.maximum(first, 0) @ p["W2"] + p["b2"]
    np.testing.assert_allclose(network.predict(x), joined @ p["W3"] + p["b3"], 1e-12)
    check_gradient(network, *batch)


def test_fan_out_to_three_branches_that_join(batch):
    network = Network(dtype=np.float64)
    network.add(affine(4, 4, 0), name="stem")
    left = network.add(affine(4, 2, 1), inputs="stem")
    right = network.add(affine(4, 3, 2), inputs=["stem"])
    network.add(Concat(), inputs=(left, "stem", right, left))
    network.add(affine(11, 3, 3))
    check_gradient(network, *batch)


def test_one_node_read_twice_by_one_layer(batch):
    network = Network(dtype=np.float64)
    stem = network.add(affine(4, 3, 0))
    network.add(Add(), inputs=(stem, stem))
    x, _ = batch
    np.testing.assert_allclose(network.predict(x), 2 * (x @ network.params["W1"] + network.params["b1"]))
    check_gradient(network, *batch)


def test_the_input_can_be_read_anywhere(batch):
    network = Network(dtype=np.float64)
    network.add(affine(4, 4, 0))
    network.add(Add(), inputs=(0, "input"))
    network.add(Add(), inputs=(1, -1))
    network.add(affine(4, 3, 1))
    check_gradient(network, *batch)


def test_batch_normalization_in_a_skip():
    network = Network(dtype=np.float64)
    rng = np.random.default_rng(0)
    network.add(Convolution(rng.normal(0, 0.3, (3, 2, 3, 3)), rng.normal(size=3), pad=1))
    stem = network.add(Pooling(2, 2, stride=2))
    network.add(BatchNormalization(rng.normal(1, 0.1, size=3), rng.normal(size=3)))
    network.add(Relu())
    network.add(Convolution(rng.normal(size=(3, 3, 1, 1)), rng.normal(size=3)))
    network.add(Add(), inputs=(stem, 4))
    network.add(affine(12, 4, 1))
    assert list(network.params) == ["W1", "b1", "gamma1", "beta1", "W2", "b2", "W3", "b3"]
    check_gradient(network, rng.normal(0.2, 0.3, size=(5, 2, 4, 4)), np.array([0, 1, 2, 3, 1]))


def test_branches_of_images_that_join():
    """Three branches of an inception module, a skip over it."""
    network = Network(dtype=np.float64)
    rng = np.random.default_rng(0)
    stem = network.add(Convolution(rng.normal(0, 0.4, (6, 2, 3, 3)), rng.normal(size=6), pad=1))
    branches = []
    for filters, window in ((1, 1), (2, 3), (3, 1)):
        W = rng.normal(0, 0.4, (filters, 6, window, window))
        network.add(Convolution(W, rng.normal(size=filters), pad=window // 2), inputs=stem)
        branches.append(network.add(Relu()))
    joined = network.add(Concat(), inputs=branches)
    network.add(Add(), inputs=(stem, joined, stem))
    network.add(Pooling(2, 2, stride=2))
    network.add(affine(6 * 2 * 2, 4, 1))
    check_gradient(network, rng.normal(0.2, 0.3, size=(3, 2, 4, 4)), np.array([0, 3, 1]))


def test_layers_below_the_first_parameter_do_not_run_backwards(batch):
    network = Network(dtype=np.float64)
    spies = Spy(), Spy()
    network.add(spies[0])
    network.add(affine(4, 3, 0))
    network.add(spies[1])
    network.gradient(*batch)
    assert spies[0].calls == ["forward"]
    assert spies[1].calls == ["forward", "backward"]


def test_the_first_weighted_layer_is_asked_for_no_data_gradient(batch, monkeypatch):
    asked = []

    class Watched(Affine):
        def backward(self, dout, *, need_dx=True):
            asked.append(need_dx)
            return super().backward(dout, need_dx=need_dx)

    network = Network(dtype=np.float64)
    network.add(Watched(np.ones((4, 4)), np.zeros(4)))
    network.add(Watched(np.ones((4, 3)), np.zeros(3)))
    network.gradient(*batch)
    assert asked == [True, False]


def test_train_flg_reaches_the_layers_that_take_it():
    network = Network()
    network.add(Dropout(0.5))
    x = np.ones((1, 1000), np.float32)
    np.testing.assert_array_equal(network.predict(x), 0.5)
    assert set(np.unique(network.predict(x, train_flg=True))) == {0, 1}


def test_intermediate_results_are_freed_when_read():
    alive = []

    class Fresh:
        def forward(self, x):
            alive.append(sum(r() is not None for r in outputs))
            out = x + 1
            outputs.append(weakref.ref(out))
            return out

    outputs = []
    network = Network()
    for _ in range(5):
        network.add(Fresh())
    gc.disable()
    try:
        network.predict(np.zeros((2, 3), np.float32))
    finally:
        gc.enable()
    assert max(alive) <= 1


def test_a_replaced_layer_takes_effect(batch):
    network = two_affine()
    x, _ = batch
    network.layers[1] = affine(5, 3, 9)
    expected = (x @ network.params["W1"] + network.params["b1"]) @ network.layers[1].W + network.layers[1].b
    np.testing.assert_allclose(network.predict(x), expected, 1e-12)
    assert network.params["W2"] is network.layers[1].W


def test_wrong_graphs_are_refused(batch):
    network = Network()
    with pytest.raises(ValueError, match="no layers yet"):
        network.predict(batch[0])
    layer = affine(4, 4, 0)
    network.add(layer, name="first")
    with pytest.raises(ValueError, match="this Affine is in the network already"):
        network.add(layer)
    with pytest.raises(ValueError, match="the name 'first' is taken"):
        network.add(Relu(), name="first")
    with pytest.raises(ValueError, match="the name 'input' is taken"):
        network.add(Relu(), name="input")
    with pytest.raises(ValueError, match="no node is called 'frist'; names: input, first"):
        network.add(Relu(), inputs="frist")
    with pytest.raises(ValueError, match="1 is no earlier node"):
        network.add(Relu(), inputs=1)
    with pytest.raises(ValueError, match="-2 is no earlier node"):
        network.add(Relu(), inputs=-2)
    with pytest.raises(ValueError, match="this Add has no inputs"):
        network.add(Add(), inputs=())
    assert len(network.layers) == 1
    network.layers.append(Relu())
    with pytest.raises(ValueError, match="1 layers were added but `layers` has 2; use Network.add"):
        network.predict(batch[0])


def test_a_dead_end_with_parameters_is_refused(batch):
    network = Network(dtype=np.float64)
    network.add(affine(4, 3, 0))
    network.add(affine(4, 3, 1), inputs="input")
    with pytest.raises(ValueError, match=r"no later layer reads the output of layers\[0\], a Affine"):
        network.gradient(*batch)
