"""Scores with a loss of their own: they count in training, and predictions do not run them."""
from __future__ import annotations

import numpy as np
import pytest
from engine.toys import Spy, affine, numerical_gradient

from fastconv.engine import Network
from fastconv.engine.compile import NotCompiled, Schedule
from fastconv.layers import BatchNormalization, Relu

X = np.random.default_rng(5).normal(size=(6, 4))
T = np.array([0, 2, 1, 1, 0, 2])


def two_headed(dtype=np.float64, weight=0.3):
    """A stem, auxiliary scores from it, and the scores."""
    network = Network(dtype=dtype)
    network.add(affine(4, 5, 0, dtype))
    stem = network.add(Relu(), name="stem")
    network.add(affine(5, 3, 1, dtype), name="aux")
    network.add(affine(5, 4, 2, dtype), inputs=stem)
    network.add(affine(4, 3, 3, dtype))
    network.auxiliary("aux", weight)
    return network


def head(network, number):
    """The same stem with one of the two heads alone."""
    twin = Network(dtype=network.dtype)
    for layer in network.layers[:2] + (network.layers[2:3] if number == 0 else network.layers[3:]):
        twin.add(layer)
    return twin


def test_the_loss_is_the_weighted_sum():
    network = two_headed()
    expected = head(network, 1).loss(X, T) + 0.3 * head(network, 0).loss(X, T)
    assert network.loss(X, T) == pytest.approx(expected, rel=1e-12)
    assert network.last_layer.loss == pytest.approx(expected, rel=1e-12)
    network.gradient(X, T)
    assert network.last_layer.loss == pytest.approx(expected, rel=1e-12)


def test_gradients_are_those_of_the_sum():
    network = two_headed()
    grads = network.gradient(X, T)
    assert all(np.abs(grad).max() > 0 for grad in grads.values())
    first, second = head(network, 0), head(network, 1)
    for key, grad in grads.items():
        value = network.params[key]
        expected = np.zeros_like(value)
        for twin, weight in ((first, 0.3), (second, 1)):
            for own in twin.params:
                if twin.params[own] is value:
                    expected += weight * numerical_gradient(twin, X, T, own)
        np.testing.assert_allclose(grad, expected, 1e-6, 1e-8, err_msg=key)


def test_numerical_gradient_counts_them_too():
    network = two_headed()
    grads = network.gradient(X, T)
    for key, grad in network.numerical_gradient(X, T).items():
        np.testing.assert_allclose(grads[key], grad, 1e-4, 1e-6)


def test_penalty_and_index():
    network = two_headed()
    network.weight_decay_lambda = 0.5
    assert network.loss(X, T) == pytest.approx(network.last_layer.loss + network.penalty)
    index = np.array([4, 1, -1])
    by_index, by_copy = network.gradient(X, T, index), network.gradient(X[index], T[index])
    for key in by_copy:
        np.testing.assert_array_equal(by_index[key], by_copy[key])


@pytest.mark.parametrize("train_flg", [False, True])
def test_predictions_do_not_run_auxiliary_nodes(train_flg):
    network, spy = Network(dtype=np.float64), Spy()
    network.add(affine(4, 3, 0))
    network.add(spy, name="spy")
    network.add(affine(3, 3, 1), name="aux")
    network.add(affine(3, 3, 2), inputs=0)
    network.auxiliary("aux", 1)
    network.predict(X, train_flg)
    assert spy.calls == []
    network.gradient(X, T)
    assert spy.calls == ["forward", "backward"]


def test_a_node_of_the_main_path_can_be_scored():
    network = Network(dtype=np.float64)
    network.add(affine(4, 3, 0), name="first")
    network.add(affine(3, 3, 1))
    before = network.gradient(X, T)
    network.auxiliary("first", 0.5)
    network.predict(X)
    grads = network.gradient(X, T)
    single = Network(dtype=np.float64)
    single.add(network.layers[0])
    alone = single.gradient(X, T)
    np.testing.assert_allclose(grads["W1"], before["W1"] + 0.5 * alone["W1"], 1e-12)
    np.testing.assert_allclose(grads["W2"], before["W2"], 1e-12)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_predictions_have_a_plan_and_are_the_layers_(dtype):
    network, twin = two_headed(dtype), two_headed(dtype)
    x = X.astype(dtype)
    schedule = Schedule(network._graph, network.last_layer, (4,), network.dtype, training=False, loss=False,
                        gradient=False, winograd=True)
    assert len(schedule.filters) == 3  # not the auxiliary one
    with pytest.raises(NotCompiled, match="auxiliary"):
        Schedule(network._graph, network.last_layer, (4,), network.dtype, training=True, loss=True, gradient=True,
                 winograd=True)
    np.testing.assert_allclose(network.predict(x), twin._graph.forward(x, False), 1e-5)


def test_statistics_of_auxiliary_nodes_stay_in_predictions():
    network = Network()
    network.add(affine(4, 3, 0))
    network.add(BatchNormalization(np.ones(3), np.zeros(3)), name="aux")
    network.add(affine(3, 3, 1), inputs=0)
    network.auxiliary("aux", 1)
    network.predict(X, train_flg=True)
    assert network.layers[1].running_mean is None
    network.loss(X, T)
    assert network.layers[1].running_mean.any()


def test_a_plan_made_before_is_not_taken():
    """The second gradient counts the auxiliary scores, also where the first one ran as a plan."""
    network = Network()
    network.add(affine(4, 3, 0), name="first")
    network.add(affine(3, 3, 1))
    first = network.gradient(X, T)["W1"]
    network.auxiliary("first", 1)
    assert not np.allclose(network.gradient(X, T)["W1"], first)


def test_wrong_arguments():
    network = two_headed()
    with pytest.raises(ValueError, match="Network.auxiliary: no node is called 'axu'; names: input, stem, aux"):
        network.auxiliary("axu", 0.3)
    with pytest.raises(ValueError, match="Network.auxiliary: 5 is no earlier node"):
        network.auxiliary(5, 0.3)
    with pytest.raises(ValueError, match="Network.auxiliary: node is the network's input"):
        network.auxiliary("input", 0.3)
    with pytest.raises(TypeError, match="Network.auxiliary: weight must be a number, got 'much'"):
        network.auxiliary("aux", "much")


def test_dead_ends_without_a_score_are_not_run():
    network, spy = Network(dtype=np.float64), Spy()
    network.add(spy)
    network.add(affine(4, 3, 0), inputs="input")
    network.predict(X)
    network.gradient(X, T)
    assert spy.calls == []
