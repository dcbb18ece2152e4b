"""Optimizers: parameters, gradients, states and rates that are none; nothing has changed then."""
from __future__ import annotations

import numpy as np
import pytest
from bad_input.values import NO_NUMBERS

from fastconv.optimizers import SGD, AdaGrad, Adam, Momentum, Nesterov, RMSprop

pytestmark = pytest.mark.usefixtures("backend")
RULES = [SGD, Momentum, Nesterov, AdaGrad, RMSprop, Adam]
every_rule = pytest.mark.parametrize("rule", RULES)
wrong = pytest.mark.parametrize("value", NO_NUMBERS.values(), ids=NO_NUMBERS)


def refuse(optimizer, params, grads, words):
    before = params["first"].copy() if isinstance(params, dict) else None
    with pytest.raises((TypeError, ValueError, KeyError), match=rf"{type(optimizer).__name__}.update: .*({words})"):
        optimizer.update(params, grads)
    if before is not None:
        np.testing.assert_array_equal(params["first"], before)


@every_rule
@wrong
def test_parameters_and_gradients(rule, value):
    ones = np.ones((2, 3, 8, 8))
    refuse(rule(), {"first": ones, "other": value}, {"first": ones, "other": ones}, "expected|makes no array")
    refuse(rule(), {"first": ones, "other": ones}, {"first": ones, "other": value}, "expected|makes no array")


@every_rule
@pytest.mark.parametrize("shape", [(), (2,), (3, 1), (1, 3), (0,)])
def test_a_gradient_of_another_shape(rule, shape):
    refuse(rule(), {"first": np.ones(3), "other": np.ones((1, 1, 3))}, {"first": np.ones(3), "other": np.ones(shape)},
           "expected the parameter's shape")


@every_rule
@pytest.mark.parametrize("value", [None, 1.0, [1], np.ones(3), "ab"], ids=repr)
def test_what_is_no_dict(rule, value):
    refuse(rule(), value, {}, "params is a .*, expected a dict")
    refuse(rule(), {"first": np.ones(3)}, value, "grads is a .*, expected a dict")


@wrong
@pytest.mark.parametrize("rule, rate", [(SGD, "lr"), (Momentum, "momentum"), (Nesterov, "momentum"), (AdaGrad, "lr"),
                                        (RMSprop, "decay_rate"), (Adam, "beta1"), (Adam, "beta2"), (Adam, "lr")])
def test_rates(rule, rate, value):
    refuse(rule(**{rate: value}), {"first": np.ones(3)}, {"first": np.ones(3)}, f"{rate} must be a number")


@pytest.mark.parametrize("beta", [1.0, 1.5, -0.1, float("nan")])
@pytest.mark.parametrize("which", ["beta1", "beta2"])
def test_adam_s_averages_must_fade(which, beta):
    optimizer = Adam(**{which: beta})
    refuse(optimizer, {"first": np.ones(3)}, {"first": np.ones(3)}, "expected numbers of at least 0 and below 1")
    assert optimizer.iter == 0


def test_a_missing_gradient():
    refuse(SGD(), {"first": np.ones(3), "other": np.ones(3)}, {"first": np.ones(3)}, "no gradient for 'other'")


def test_nothing_to_do():
    SGD().update({}, {})
    params = {"empty": np.ones((0, 3))}
    Adam().update(params, {"empty": np.ones((0, 3))})
    assert params["empty"].shape == (0, 3)
