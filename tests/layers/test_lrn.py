from __future__ import annotations

import gradient_check
import naive
import numpy as np
import pytest

from fastconv.engine import Network
from fastconv.layers import LRN

# x, n, k, alpha, beta
CASES = {
    "as in AlexNet": ((2, 17, 3, 5), 5, 2.0, 1e-4, 0.75),
    "a strong one": ((2, 5, 4, 3), 5, 1.0, 3.0, 0.75),
    "an even window": ((1, 6, 2, 3), 4, 0.5, 2.0, 0.6),
    "more channels than there are": ((3, 3, 2, 2), 9, 1.0, 1.0, 1.5),
    "one channel": ((2, 1, 3, 2), 5, 1.0, 1.0, 0.75),
    "one pixel": ((1, 7, 1, 1), 3, 1.0, 1.0, 0.75),
}
every_case = pytest.mark.parametrize("case", CASES.values(), ids=CASES)


def nhwc(x):
    return x.transpose(0, 2, 3, 1)


@every_case
def test_results_are_those_of_the_definition(rng, case):
    shape, *settings = case
    x, layer = rng.normal(0.5, 1, shape), LRN(*settings)
    dout = rng.normal(0.5, 1, shape)
    np.testing.assert_allclose(nhwc(layer.forward(x)), naive.lrn_forward(nhwc(x), *settings), rtol=1e-13)
    dexpected = naive.lrn_backward(nhwc(dout), nhwc(x), *settings)
    np.testing.assert_allclose(nhwc(layer.backward(dout)), dexpected, rtol=0, atol=1e-13 * abs(dexpected).max())


@every_case
def test_gradients(rng, case):
    shape, *settings = case
    gradient_check.check(LRN(*settings), rng.normal(0.5, 1, shape))


def test_the_default_is_n_5_k_2_alpha_1e_4_beta_075(rng):
    x = rng.normal(0, 30, (2, 8, 3, 2))
    np.testing.assert_array_equal(LRN().forward(x), LRN(5, 2.0, 1e-4, 0.75).forward(x))
    assert repr(LRN()) == "LRN(n=5, k=2.0, alpha=0.0001, beta=0.75)"


def test_backward_belongs_to_the_settings_of_the_last_forward(rng):
    x, layer = rng.normal(size=(2, 4, 3, 2)), LRN(3, 1.0, 1.0)
    out = layer.forward(x)
    expected = layer.backward(out)
    layer.n, layer.exponent = 5, 0.5
    np.testing.assert_array_equal(layer.backward(out), expected)
    assert np.abs(layer.forward(x) - out).max() > 1e-3


def test_a_network_does_not_train_it():
    network = Network()
    network.add(LRN())
    assert not network.params


@pytest.mark.parametrize("settings, error, words", [
    ((0,), ValueError, "LRN: n must be at least 1, got 0"),
    ((5.0,), TypeError, "LRN: n must be an integer, got 5.0"),
    ((5, "2"), TypeError, "LRN: k must be a number, got '2'"),
    ((5, 2, None), TypeError, "LRN: alpha must be a number, got None"),
    ((5, 2, 1, []), TypeError, r"LRN: beta must be a number, got \[\]"),
])
def test_a_wrong_setting_is_refused_when_it_is_made(settings, error, words):
    with pytest.raises(error, match=words):
        LRN(*settings)


def test_a_wrong_x_is_refused():
    with pytest.raises(ValueError, match=r"LRN.forward: x has shape \(4, 28, 28\), .*: x\[:, None\]"):
        LRN().forward(np.ones((4, 28, 28)))
