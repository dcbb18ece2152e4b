"""Changes of a network whose plans are made already take effect at the next call; what can't be a plan runs anyway."""
from __future__ import annotations

import copy
import pickle
from types import MethodType

import numpy as np
import pytest
from engine.random_networks import layer_by_layer, only_plans

from fastconv import dispatch
from fastconv.engine import Network
from fastconv.engine.plan import Plan
from fastconv.layers import (
    LRN,
    Add,
    Affine,
    BatchNormalization,
    Convolution,
    Dropout,
    Pooling,
    Relu,
    Sigmoid,
    SoftmaxWithLoss,
)
from fastconv.winograd import use_winograd

DTYPES = [np.float64, np.float32]
native_only = pytest.mark.skipif(dispatch.plan(dispatch.backend()) is None, reason="this backend has no plans")


class Doubled:
    """A layer of a user's own."""

    def forward(self, x):
        return 2 * x

    def backward(self, dout):
        return 2 * dout


class Shifted(Convolution):
    """A subclass with a forward of its own."""

    def _shifted(self, x):
        return Convolution.forward(self, x) + 1

    forward = _shifted


class Halved(SoftmaxWithLoss):
    """Another loss."""

    def forward(self, x, t):
        self.loss = super().forward(x, t) / 2
        return self.loss

    def backward(self, dout=1):
        return super().backward(dout) / 2


def parameters(*shape, seed=0, dtype=np.float64):
    return np.random.default_rng(seed).normal(0, 0.3, shape).astype(dtype)


def make(dtype):
    """A fused block, a convolution for Winograd's method, and one layer of each other kind."""
    network = Network(dtype=dtype)
    network.add(Convolution(parameters(16, 2, 3, 3), parameters(16, seed=1), pad=1))
    network.add(Relu())
    network.add(Pooling(2, 2, stride=2))
    network.add(Convolution(parameters(16, 16, 3, 3, seed=2), parameters(16, seed=3), pad=1))
    network.add(BatchNormalization(1 + parameters(16, seed=4), parameters(16, seed=5)))
    network.add(Relu())
    network.add(Pooling(2, 2, stride=2, mode="average"))
    network.add(Affine(parameters(64, 9, seed=6), parameters(9, seed=7)))
    network.add(Dropout(0.3, rng=np.random.default_rng(8)))
    network.add(Affine(parameters(9, 4, seed=9), parameters(4, seed=10)))
    return network


def batch(dtype=np.float64):
    rng = np.random.default_rng(11)
    return rng.normal(size=(6, 2, 9, 9)).astype(dtype), rng.integers(0, 4, 6)


def use_everything(network):
    """Let the network make its plans."""
    x, t = batch(network.dtype)
    network.predict(x), network.predict(x), network.loss(x, t), network.gradient(x, t)


def check(network, x=None, rounding=None):
    """Assert that the network's results are those of its layers one by one."""
    twin = layer_by_layer(network)
    x, t = batch(network.dtype) if x is None else (x, batch()[1])
    rounding = rounding or {2: 0.1, 4: 1e-4, 8: 1e-9}[network.dtype.itemsize]

    def near(actual, expected):
        assert actual.shape == expected.shape and actual.dtype == expected.dtype
        assert np.abs(actual - expected).max() <= rounding * np.abs(expected).max()

    near(network.predict(x), twin.predict(x))
    near(np.array(network.loss(x, t)), np.array(twin.loss(x, t)))
    actual, expected = network.gradient(x, t), twin.gradient(x, t)
    assert list(actual) == list(expected)
    largest = max(np.abs(gradient).max() for gradient in expected.values())
    for key, gradient in expected.items():
        assert np.shape(actual[key]) == np.shape(gradient) and actual[key].dtype == gradient.dtype, key
        assert np.abs(actual[key] - gradient).max() <= rounding * largest, key
    near(network.predict(x), twin.predict(x))


def add_to_all(network):
    network.layers[3].W[...] += 0.1


def one_element(network):
    network.layers[3].W[7, 5, 1, 2] += 2


def last_element_of_affine(network):
    network.layers[7].W[-1, -1] -= 3


def only_a_bias(network):
    network.layers[0].b[3] += 1


def bias_of_the_last_layer(network):
    network.params["b4"][...] += [1, 2, 3, 4]


def params_item(network):
    network.params["W1"] = 2 * network.params["W1"]


def params_augmented(network):
    network.params["W3"] *= 2


def params_gamma(network):
    network.params["gamma1"] = 2 + network.params["gamma1"]


def beta_in_place(network):
    network.layers[4].beta[2] += 1


def running_mean(network):
    network.layers[4].running_mean = np.ones(16, network.dtype)


def momentum(network):
    network.layers[4].momentum = 0.3


def gamma_of_every_feature(network):
    layer = network.layers[4]
    layer.gamma, layer.beta = (parameters(256, seed=s, dtype=network.dtype) + 1 for s in (1, 2))
    layer.running_mean = layer.running_var = None


def new_weight(network):
    network.layers[3].W = parameters(16, 16, 3, 3, seed=20, dtype=network.dtype)


def new_weight_in_fortran_order(network):
    network.layers[7].W = np.asfortranarray(parameters(64, 9, seed=21, dtype=network.dtype))


def new_weight_as_a_view(network):
    network.layers[3].W = parameters(16, 16, 6, 3, seed=22, dtype=network.dtype)[:, :, ::-2]


def other_window(network):
    layer = network.layers[3]
    layer.W, layer.pad = parameters(16, 16, 5, 1, seed=23, dtype=network.dtype), (2, 0)


def more_filters(network):
    for number, shape in ((0, (32, 2, 3, 3)), (3, (16, 32, 3, 3))):
        network.layers[number].W = parameters(*shape, seed=24, dtype=network.dtype)
    network.layers[0].b = parameters(32, seed=25, dtype=network.dtype)


def more_features(network):
    network.layers[7].W = parameters(64, 5, seed=26, dtype=network.dtype)
    network.layers[7].b = parameters(5, seed=27, dtype=network.dtype)
    network.layers[9].W = parameters(5, 4, seed=28, dtype=network.dtype)


def other_dtype(network):
    network.layers[3].W = network.layers[3].W.astype({4: np.float64, 8: np.float32}[network.dtype.itemsize]) * 2


def other_byte_order(network):
    network.layers[7].W = network.layers[7].W.astype(network.dtype.newbyteorder()) * 2


def bias_of_other_dtype(network):
    network.layers[0].b = np.arange(16)


def gamma_of_other_dtype(network):
    network.layers[4].gamma = network.layers[4].gamma.astype({4: np.float64, 8: np.float32}[network.dtype.itemsize])


def weight_as_lists(network):
    network.layers[9].W = (2 * network.layers[9].W).tolist()


def scalar_bias(network):
    network.layers[0].b = network.dtype.type(0.5)


def scalar_gamma(network):
    network.layers[4].gamma, network.layers[4].beta = (network.dtype.type(v) for v in (1.5, 0.5))
    network.layers[4].running_mean = network.layers[4].running_var = None


def no_bias(network):
    for number in (0, 3, 7, 9):
        network.layers[number].b = None


def stride(network):
    network.layers[0].stride, network.layers[0].pad = (2, 1), (5, 1)


def pad(network):
    network.layers[0].pad, network.layers[3].pad = (0, 1), (2, 1)


def dilation_and_pad(network):
    network.layers[3].dilation = network.layers[3].pad = 2


def groups(network):
    layer = network.layers[3]
    layer.groups, layer.W = 4, parameters(16, 4, 3, 3, seed=29, dtype=network.dtype)


def pool_size(network):
    network.layers[2].pool_h = network.layers[2].pool_w = 3


def pool_mode(network):
    network.layers[2].mode, network.layers[6].mode = "average", "max"


def ceil_mode(network):
    network.layers[2].ceil_mode = True


def eps(network):
    network.layers[4].eps = 0.5


def unbiased(network):
    network.layers[4].unbiased = True


def label_smoothing(network):
    network.last_layer.label_smoothing = 0.3


def dropout_ratio(network):
    network.layers[8].dropout_ratio = 0.6


def seeded(network):
    network.seed(5)


def added(network):
    network.add(Affine(parameters(4, 4, seed=30), parameters(4, seed=31)))


def added_branch(network):
    network.add(Affine(parameters(9, 4, seed=30), None), inputs=8, name="branch")
    network.add(Add(), inputs=(9, "branch"))


def same_layer_anew(network):
    network.layers[3] = Convolution(parameters(16, 16, 3, 3, seed=32, dtype=network.dtype), None, pad=1)


def sigmoid_for_relu(network):
    network.layers[1], network.layers[5] = Sigmoid(), Sigmoid()


def users_layer(network):
    network.layers[5] = Doubled()


def subclass(network):
    layer = network.layers[0]
    network.layers[0] = Shifted(layer.W, layer.b, pad=1)


def forward_of_an_object(network):
    network.layers[0].forward = MethodType(Shifted._shifted, network.layers[0])  # deepcopy rebinds it


def other_loss(network):
    network.last_layer = Halved()


def same_loss_anew(network):
    network.last_layer = SoftmaxWithLoss()


CHANGES = [
    add_to_all, one_element, last_element_of_affine, only_a_bias, bias_of_the_last_layer, params_item, params_augmented,
    params_gamma, beta_in_place, running_mean, momentum, gamma_of_every_feature, new_weight,
    new_weight_in_fortran_order, new_weight_as_a_view, other_window, more_filters, more_features, other_dtype,
    other_byte_order, bias_of_other_dtype, gamma_of_other_dtype, weight_as_lists, scalar_bias, scalar_gamma, no_bias,
    stride, pad, dilation_and_pad, groups, pool_size, pool_mode, ceil_mode, eps, unbiased, label_smoothing,
    dropout_ratio, seeded, added, added_branch,
    same_layer_anew, sigmoid_for_relu, users_layer, subclass, forward_of_an_object, other_loss, same_loss_anew]

NO_PLAN = {other_dtype, other_byte_order, bias_of_other_dtype, gamma_of_other_dtype, weight_as_lists, scalar_bias,
           users_layer, subclass, forward_of_an_object, other_loss, scalar_gamma}
WITHOUT_EFFECT = {momentum, unbiased, label_smoothing, seeded, other_loss, same_loss_anew,  # on predictions
                  gamma_of_other_dtype}


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("change", CHANGES)
def test_a_change_takes_effect(change, dtype):
    network = make(dtype)
    use_everything(network)
    before = network.predict(batch(dtype)[0])
    change(network)
    if change in NO_PLAN:
        check(network, rounding=1e-4)  # float32 takes part
    else:
        with only_plans(network):
            check(network)
    after = network.predict(batch(dtype)[0])
    # BatchNormalization's statistics have moved by two batches, so predictions change anyhow; those of `fresh` have not
    fresh = make(dtype)
    use_everything(fresh)
    change(fresh)
    assert after.shape == before.shape
    if change not in WITHOUT_EFFECT:
        assert not np.allclose(fresh.predict(batch(dtype)[0]), before, rtol=1e-3)


@pytest.mark.parametrize("change", CHANGES)
def test_the_first_prediction_after_a_change_sees_it(change):
    network = make(np.float64)
    use_everything(network)
    change(network)
    x, _ = batch()
    expected = layer_by_layer(network).predict(x)
    np.testing.assert_allclose(network.predict(x), expected, 1e-4 if change in NO_PLAN else 1e-9, 1e-9)


@pytest.mark.parametrize("change", [one_element, only_a_bias, stride, dropout_ratio, pool_mode])
def test_a_change_and_back(change):
    network = make(np.float64)
    use_everything(network)
    x, _ = batch()
    before, saved = network.predict(x), copy.deepcopy(network)
    change(network)
    network.predict(x)
    for layer, old in zip(network.layers, saved.layers, strict=True):
        for name in ("W", "b", "stride", "pad", "dropout_ratio", "mode"):
            if hasattr(layer, name):
                setattr(layer, name, getattr(old, name))
    np.testing.assert_array_equal(network.predict(x), before)


def test_what_no_longer_fits_is_refused_as_by_the_layers():
    network = make(np.float64)
    use_everything(network)
    network.layers[7].W = parameters(65, 9)
    x, t = batch()
    for call in (lambda: network.predict(x), lambda: network.loss(x, t), lambda: network.gradient(x, t)):
        with pytest.raises(ValueError, match="Affine.forward") as error:
            call()
        assert "in layers[7]" in error.value.__notes__[0]
    network.layers[7].W = parameters(64, 9)
    check(network)


@native_only
@pytest.mark.parametrize("dtype", DTYPES)
def test_another_backend_and_back(dtype):
    network = make(dtype)
    use_everything(network)
    x, _ = batch(dtype)
    before = network.predict(x)
    with dispatch.use("reference"):
        reference = network.predict(x)
        check(network)
        one_element(network)
        changed = network.predict(x)
    assert np.abs(reference - before).max() <= 1e-4 * np.abs(before).max()
    with only_plans(network):
        assert np.abs(network.predict(x) - changed).max() <= 1e-4 * np.abs(changed).max()
        check(network)


def test_winograd_off_and_on_again():
    network = make(np.float32)
    x, _ = batch(np.float32)
    predictions = {True: [], False: []}
    for enabled in (True, False, True, False):
        with use_winograd(enabled), only_plans(network):
            predictions[enabled].append(network.predict(x))
    for same in predictions.values():
        np.testing.assert_array_equal(*same)
    for enabled in (True, False, True):
        with use_winograd(enabled):
            check(network)
    with use_winograd(False):
        one_element(network)
        check(network)
    with use_winograd(True):
        check(network)


@pytest.mark.parametrize("change", [None, users_layer, subclass, other_loss])
def test_float16_runs_layer_by_layer(change):
    network = make(np.float16)
    if change:
        change(network)
    use_everything(network)
    assert not any(isinstance(plan, Plan) for plan in network._plans._plans.values())
    check(network)


def test_a_small_and_a_large_batch_after_each_other():
    network = make(np.float64)
    x, _ = batch()
    many = np.concatenate([x] * 20)
    for samples in (x, many, x[:1], many, x):
        with only_plans(network):
            np.testing.assert_allclose(network.predict(samples), layer_by_layer(network).predict(samples), 1e-9)


def test_more_shapes_than_plans_are_kept():
    network = Network(dtype=np.float64)
    network.add(Convolution(parameters(3, 2, 3, 3), parameters(3), pad=1))
    network.add(Relu())
    for _ in range(2):
        for size in range(4, 16):
            x = parameters(2, 2, size, size, seed=size)
            with only_plans(network):
                np.testing.assert_allclose(network.predict(x), layer_by_layer(network).predict(x), 1e-9, 1e-12)


@pytest.mark.parametrize("duplicate", [copy.deepcopy, lambda network: pickle.loads(pickle.dumps(network))],
                         ids=["deepcopy", "pickle"])
@pytest.mark.parametrize("dtype", DTYPES)
def test_copies_of_a_network_with_plans(dtype, duplicate):
    network = make(dtype)
    use_everything(network)
    x, t = batch(dtype)
    twin = duplicate(network)
    with only_plans(network), only_plans(twin):
        np.testing.assert_array_equal(twin.predict(x), network.predict(x))
        actual, expected = twin.gradient(x, t), network.gradient(x, t)
        for key in expected:
            np.testing.assert_array_equal(actual[key], expected[key])
        before = network.predict(x)
        twin.layers[3].W[...] += 1
        assert (twin.predict(x) != before).any()
        np.testing.assert_array_equal(network.predict(x), before)
    check(twin)


@pytest.mark.parametrize("dtype", DTYPES)
def test_a_shallow_copy_shares_layers_and_is_right(dtype):
    network = make(dtype)
    use_everything(network)
    twin = copy.copy(network)
    one_element(twin)
    check(twin)
    check(network)


@pytest.mark.parametrize("setting, value", [("n", 2), ("k", 3.0), ("alpha", 0.1), ("exponent", 0.5)])
def test_a_change_of_lrn_takes_effect(setting, value):
    network = Network(dtype=np.float64)
    network.add(Convolution(parameters(5, 2, 3, 3), None))
    network.add(LRN(5, 1.0, 2.0))
    network.add(Affine(parameters(245, 4), parameters(4)))
    use_everything(network)
    before = network.predict(batch()[0])
    setattr(network.layers[1], setting, value)
    with only_plans(network):
        check(network)
    assert not np.allclose(network.predict(batch()[0]), before, rtol=1e-3)
