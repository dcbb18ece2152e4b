"""Inverted dropout in plans: a prediction does not touch the values, training scales them."""
from __future__ import annotations

import numpy as np
import pytest
from engine.toys import affine

from fastconv.engine import Network
from fastconv.engine.compile import Schedule
from fastconv.layers import Add, Convolution, Dropout, Relu


def network_of(dtype, inverted=True, ratio=0.4):
    """Dropout of images, then of rows; the images are read by a skip and a convolution too."""
    rng = np.random.default_rng(0)
    network = Network(dtype=dtype)
    network.add(Convolution(rng.normal(size=(17, 2, 3, 3)), rng.normal(size=17), 1, 1))
    network.add(Relu(), name="stem")
    network.add(Dropout(ratio, inverted=inverted))
    network.add(Convolution(rng.normal(0, 0.1, (17, 17, 3, 3)), None, 1, 1))
    network.add(Add(), inputs=("stem", 3))
    network.add(affine(17 * 5 * 4, 6, 1, dtype))
    network.add(Dropout(ratio, inverted=inverted))
    network.add(affine(6, 3, 2, dtype))
    network.add(Dropout(ratio, inverted=inverted))
    network.seed(5)
    return network


def steps(network, training):
    schedule = Schedule(network._graph, network.last_layer, (2, 5, 4), network.dtype, training=training, loss=training,
                        gradient=training, winograd=True)
    return [step["name"] for step in schedule.steps]


def batch(dtype, n=11):
    rng = np.random.default_rng(3)
    return rng.normal(size=(n, 2, 5, 4)).astype(dtype), rng.integers(0, 3, n)


@pytest.mark.parametrize("dtype, rtol", [(np.float32, 1e-4), (np.float64, 1e-10)])
def test_a_plan_does_what_the_layers_do(dtype, rtol):
    network, twin = network_of(dtype), network_of(dtype)
    x, t = batch(dtype)
    np.testing.assert_allclose(network.predict(x), twin._graph.forward(x, False), rtol, rtol)
    grads = network.gradient(x, t)
    twin.last_layer.forward(twin._graph.forward(x, True), t)
    twin._graph.backward(twin.last_layer.backward(1))
    assert network.last_layer.loss == pytest.approx(twin.last_layer.loss, rel=rtol)
    for key, expected in twin.params.gradients().items():
        np.testing.assert_allclose(grads[key], expected, rtol, rtol * np.abs(expected).max(), err_msg=key)


def test_a_prediction_has_no_step_for_it():
    assert steps(network_of(np.float32), False).count("scale") == 1  # the stem is read twice: its dropout is a copy
    assert steps(network_of(np.float32), True).count("scale") == 6
    assert steps(network_of(np.float32, inverted=False), True).count("scale") == 0
    assert steps(network_of(np.float32, inverted=False), False).count("scale") == 3


def test_predictions_do_not_depend_on_the_ratio():
    x, _ = batch(np.float32)
    np.testing.assert_array_equal(network_of(np.float32).predict(x), network_of(np.float32, ratio=0.9).predict(x))


def test_a_changed_setting_takes_effect():
    x, _ = batch(np.float32)
    network = network_of(np.float32)
    before = network.predict(x)
    network.layers[-1].inverted = False
    np.testing.assert_allclose(network.predict(x), before * np.float32(0.6), 1e-6)
