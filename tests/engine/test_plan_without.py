"""Networks that cannot be compiled run layer by layer, and rightly."""
from __future__ import annotations

import numpy as np
import pytest
from engine.random_networks import layer_by_layer, only_plans
from engine.toys import Spy

from fastconv import dispatch
from fastconv.engine import Network
from fastconv.layers import Add, Affine, BatchNormalization, Convolution, Dropout, Relu, SoftmaxWithLoss

pytestmark = pytest.mark.skipif(dispatch.plan(dispatch.backend()) is None, reason="this backend has no plans")

SHAPE = (3, 6, 5)


def filled(*shape):
    return np.random.default_rng(shape).normal(0, 0.4, shape)


class Doubled(Convolution):
    """Twice the convolution."""

    def forward(self, x):
        return 2 * super().forward(x)

    def backward(self, dout, *, need_dx=True):
        return super().backward(2 * dout, need_dx=need_dx)


class Named(Relu):
    """A subclass that changes nothing."""


class OwnLoss(SoftmaxWithLoss):
    def backward(self, dout=1):
        return 3 * super().backward(dout)


def network_with(layer=None, *, dtype=np.float64, convolution=Convolution, bias=None, values=120, last=None):
    network = Network(dtype=dtype)
    network.add(convolution(filled(4, 3, 3, 3), filled(4) if bias is None else bias, 1, 1))
    network.add(layer or Relu())
    network.add(Affine(filled(values, 5), filled(5)))
    network.last_layer = last or network.last_layer
    return network


def overridden(network, name="forward"):
    """Give a layer object a method of its own."""
    layer = network.layers[1]
    original = getattr(layer, name)
    setattr(layer, name, lambda value: 3 * original(value))
    return network


NETWORKS = {
    "a layer of one's own": lambda: network_with(Spy()),
    "a subclass": lambda: network_with(Named()),
    "a subclass that computes something else": lambda: network_with(convolution=Doubled),
    "a loss of one's own": lambda: network_with(last=OwnLoss()),
    "half precision": lambda: network_with(dtype=np.float16),
    "a scalar bias": lambda: network_with(bias=np.array(0.3)),
    "an object's own forward": lambda: overridden(network_with()),
    "an object's own backward": lambda: overridden(network_with(), "backward"),
    "a scalar gamma": lambda: network_with(BatchNormalization(np.array(1.5), np.array(0.2))),
}


def batch(dtype, n=7):
    rng = np.random.default_rng(n)
    return rng.normal(size=(n, *SHAPE)).astype(dtype), rng.integers(0, 5, n)


def copied(name):
    """Another network of the same kind: copies of objects with methods of their own would share them."""
    twin = NETWORKS[name]()
    return layer_by_layer(twin) if not name.startswith("an object") else twin


@pytest.mark.parametrize("name", NETWORKS)
def test_as_the_layers_one_by_one(name):
    network, twin = NETWORKS[name](), copied(name)
    x, t = batch(network.dtype)
    if name != "a loss of one's own":  # which predictions can do without
        np.testing.assert_array_equal(network.predict(x), twin._graph.forward(x, False))
        np.testing.assert_array_equal(network.predict(x, train_flg=True), twin._graph.forward(x, True))
    assert network.loss(x, t) == twin.last_layer.forward(twin._graph.forward(x, True), t)
    found = network.gradient(x, t)
    twin.last_layer.forward(twin._graph.forward(x, True), t)
    twin._graph.backward(twin.last_layer.backward(1))
    for key, value in twin.params.gradients().items():
        np.testing.assert_array_equal(found[key], value)
        assert found[key].dtype == network.dtype


@pytest.mark.parametrize("name", set(NETWORKS) - {"a loss of one's own"})
def test_no_plan_is_kept(name):
    network = NETWORKS[name]()
    x, t = batch(network.dtype)
    network.predict(x)
    network.gradient(x, t)
    with pytest.raises(AssertionError, match="did not run as a plan"), only_plans(network):
        network.predict(x)


def test_a_loss_of_ones_own_takes_part():
    x, t = batch(np.float64)
    network, usual = network_with(last=OwnLoss()), network_with()
    for key, value in usual.gradient(x, t).items():
        np.testing.assert_allclose(network.gradient(x, t)[key], 3 * value, 1e-9, 1e-12)
    with only_plans(network):  # which need no loss
        np.testing.assert_allclose(network.predict(x), usual.predict(x), 1e-9)


def test_methods_that_come_and_go():
    network, (x, t) = network_with(), batch(np.float64)
    first = network.predict(x)
    overridden(network)
    assert np.abs(network.predict(x) - first).max() > 0.1
    del network.layers[1].forward
    with only_plans(network):
        np.testing.assert_array_equal(network.predict(x), first)
    network.gradient(x, t)


def test_scores_that_are_images_have_no_loss():
    network, (x, t) = Network(dtype=np.float64), batch(np.float64)
    network.add(Convolution(filled(5, 3, 3, 3), None))
    with only_plans(network):
        y = network.predict(x)
    np.testing.assert_allclose(y, layer_by_layer(network).predict(x), 1e-9, 1e-12)
    assert y.shape == (7, 5, 4, 3)
    with pytest.raises(ValueError, match=r"SoftmaxWithLoss.forward: x has shape \(7, 5, 4, 3\)"):
        network.gradient(x, t)


def test_a_node_that_nobody_reads():
    network, (x, t) = Network(dtype=np.float64), batch(np.float64)
    stem = network.add(Convolution(filled(4, 3, 3, 3), None, 1, 1))
    network.add(Convolution(filled(4, 4, 1, 1), None), name="unread")
    network.add(Affine(filled(120, 5), filled(5)), inputs=stem)
    np.testing.assert_allclose(network.predict(x), layer_by_layer(network).predict(x), 1e-9, 1e-12)
    assert network.loss(x, t) == pytest.approx(layer_by_layer(network).loss(x, t), 1e-9)
    with pytest.raises(ValueError, match=r"no later layer reads the output of layers\[1\]"):
        network.gradient(x, t)


def test_arrays_of_different_shapes_that_are_added():
    network, (x, _) = Network(dtype=np.float64), batch(np.float64)
    network.add(Convolution(filled(1, 3, 1, 1), None))
    network.add(Add(), inputs=(0, "input"))
    with pytest.raises(ValueError) as expected:
        layer_by_layer(network).predict(x)
    with pytest.raises(ValueError) as error:
        network.predict(x)
    assert str(error.value) == str(expected.value)


def test_networks_without_parameters():
    network, (x, t) = Network(dtype=np.float64), (filled(6, 8), np.arange(6))
    network.add(Dropout(0.2))
    network.add(Relu())
    np.testing.assert_array_equal(network.predict(x), np.maximum(0.8 * x, 0))
    network.seed(1)
    loss = network.loss(x, t)
    network.seed(1)
    assert network.gradient(x, t) == {} and network.last_layer.loss == loss
