"""The optimizers against their formulas, written out here once more in float64."""
from __future__ import annotations

import numpy as np
import pytest

from fastconv.dispatch import backends, use
from fastconv.optimizers import OPTIMIZERS, SGD, AdaGrad, Adam, Momentum, Nesterov, RMSprop

SHAPES = {"W1": (3, 2, 5), "b1": (7,), "c": ()}
STEPS = 6


def sgd(p, grads):
    for g in grads:
        p = p - 0.1 * g
    return p


def momentum(p, grads):
    v = 0.0
    for g in grads:
        v = 0.8 * v - 0.1 * g
        p = p + v
    return p


def nesterov(p, grads):
    v = 0.0
    for g in grads:
        p = p + 0.8 * 0.8 * v - 1.8 * 0.1 * g
        v = 0.8 * v - 0.1 * g
    return p


def adagrad(p, grads):
    h = 0.0
    for g in grads:
        h = h + g * g
        p = p - 0.1 * g / (np.sqrt(h) + 1e-7)
    return p


def rmsprop(p, grads):
    h = 0.0
    for g in grads:
        h = 0.9 * h + 0.1 * g * g
        p = p - 0.1 * g / (np.sqrt(h) + 1e-7)
    return p


def adam(p, grads):
    m = v = 0.0
    for step, g in enumerate(grads, 1):
        m = 0.8 * m + 0.2 * g
        v = 0.95 * v + 0.05 * g * g
        p = p - 0.1 * np.sqrt(1 - 0.95 ** step) / (1 - 0.8 ** step) * m / (np.sqrt(v) + 1e-7)
    return p


RULES = {
    "SGD": (lambda: SGD(lr=0.1), sgd),
    "Momentum": (lambda: Momentum(lr=0.1, momentum=0.8), momentum),
    "Nesterov": (lambda: Nesterov(lr=0.1, momentum=0.8), nesterov),
    "AdaGrad": (lambda: AdaGrad(lr=0.1), adagrad),
    "RMSprop": (lambda: RMSprop(lr=0.1, decay_rate=0.9), rmsprop),
    "Adam": (lambda: Adam(lr=0.1, beta1=0.8, beta2=0.95), adam),
}


@pytest.fixture(params=backends(), autouse=True)
def backend(request):
    with use(request.param):
        yield


@pytest.fixture(params=RULES)
def rule(request):
    return RULES[request.param]


def some(dtype, seed=0):
    rng = np.random.default_rng(seed)
    return {key: np.asarray(rng.normal(0.5, 1, shape)).astype(dtype) for key, shape in SHAPES.items()}


@pytest.mark.parametrize("dtype, rtol", [(np.float64, 1e-12), (np.float32, 2e-5),
                                         (np.longdouble, 1e-12), (">f4", 2e-5)])
def test_follows_the_formula_in_place(rule, dtype, rtol):
    make, formula = rule
    optimizer, params = make(), some(dtype)
    arrays = dict(params)
    grads = [some(dtype, seed) for seed in range(1, STEPS + 1)]
    expected = {key: formula(np.float64(params[key]), [np.float64(g[key]) for g in grads]) for key in SHAPES}
    for g in grads:
        optimizer.update(params, g)
    for key in SHAPES:
        assert params[key] is arrays[key]
        np.testing.assert_allclose(np.float64(params[key]), expected[key], rtol, rtol)


def test_updates_python_floats(rule):
    make, formula = rule
    optimizer, params = make(), {"x": -7.0, "y": 2}
    for _ in range(STEPS):
        optimizer.update(params, {"x": 0.25, "y": -1})
    assert isinstance(params["x"], float) and isinstance(params["y"], float)
    np.testing.assert_allclose(params["x"], formula(-7.0, [0.25] * STEPS), 1e-12)
    np.testing.assert_allclose(params["y"], formula(2.0, [-1.0] * STEPS), 1e-12)


def test_keeps_the_type_of_numpy_scalars(rule):
    make, formula = rule
    optimizer, params = make(), {"x": np.float32(3)}
    optimizer.update(params, {"x": np.float32(0.5)})
    assert type(params["x"]) is np.float32
    np.testing.assert_allclose(params["x"], formula(3.0, [0.5]), 1e-6)


def test_float16_is_computed_in_float32(rule):
    make, formula = rule
    optimizer, params = make(), {"W": np.array([1.0, -2.0], np.float16)}
    array = params["W"]
    grad = np.array([0.5, 0.25], np.float16)
    optimizer.update(params, {"W": grad})
    assert params["W"] is array and array.dtype == np.float16
    expected = formula(np.array([1.0, -2.0]), [np.float64(grad)])
    np.testing.assert_array_equal(array, expected.astype(np.float16))


@pytest.mark.parametrize("view", ["transposed", "strided", "reversed"])
def test_updates_views_in_place(rule, view):
    make, formula = rule
    base = np.random.default_rng(3).normal(size=(6, 8))
    param = {"transposed": base.T, "strided": base[::2, 1::3], "reversed": base[::-1]}[view]
    grad = np.random.default_rng(4).normal(size=param.shape[::-1]).T
    expected = formula(param.copy(), [grad, grad])
    untouched = base.copy()
    optimizer, params = make(), {"W": param}
    optimizer.update(params, {"W": grad})
    optimizer.update(params, {"W": grad})
    np.testing.assert_allclose(param, expected, 1e-12)
    if view == "strided":
        np.testing.assert_array_equal(base[1::2], untouched[1::2])


def test_converts_gradients_and_leaves_them_alone(rule):
    make, formula = rule
    params = {"W": np.ones((4, 3), np.float32)}
    grad = np.arange(12.0).reshape(3, 4).T  # float64, Fortran order
    before = grad.copy()
    make().update(params, {"W": grad})
    np.testing.assert_allclose(params["W"], formula(np.ones((4, 3)), [grad]), 1e-5, 1e-6)
    np.testing.assert_array_equal(grad, before)


def test_wrong_shape_names_the_key_and_changes_nothing(rule):
    make, _ = rule
    optimizer, params = make(), {"W1": np.ones(3), "b1": np.ones((2, 2))}
    with pytest.raises(ValueError, match=r"the gradient of 'b1' has shape \(2, 1\), expected .* \(2, 2\)"):
        optimizer.update(params, {"W1": np.ones(3), "b1": np.ones((2, 1))})
    np.testing.assert_array_equal(params["W1"], np.ones(3))


def test_missing_gradient_names_the_key(rule):
    make, _ = rule
    with pytest.raises(KeyError, match="no gradient for 'b1'; grads has W1"):
        make().update({"W1": np.ones(3), "b1": np.ones(2)}, {"W1": np.ones(3)})


@pytest.mark.parametrize("param", [np.ones(3, int), np.ones(3, complex), [1.0, 2.0, 3.0], "123", 1j])
def test_refuses_what_is_not_floating(param):
    with pytest.raises(TypeError, match="SGD.update: the parameter 'W'"):
        SGD().update({"W": param}, {"W": np.ones(3)})


@pytest.mark.parametrize("grad", [np.ones(3, complex), np.array(["1", "2", "3"]), None])
def test_refuses_gradients_that_are_no_real_numbers(grad):
    param = np.ones(3)
    with pytest.raises(TypeError, match="SGD.update: the gradient of 'W' has dtype .*, expected real numbers"):
        SGD().update({"W": param}, {"W": grad})
    np.testing.assert_array_equal(param, np.ones(3))


def test_refuses_read_only_parameters():
    param = np.ones(3)
    param.flags.writeable = False
    with pytest.raises(ValueError, match="'W' is read-only"):
        SGD().update({"W": param}, {"W": np.ones(3)})
    np.testing.assert_array_equal(param, np.ones(3))


def test_state_starts_when_a_key_appears():
    optimizer, params = Momentum(lr=0.1), {"a": np.zeros(2)}
    optimizer.update(params, {"a": np.ones(2)})
    params["b"] = np.zeros(3)
    optimizer.update(params, {"a": np.ones(2), "b": np.ones(3)})
    np.testing.assert_allclose(optimizer.v["a"], -0.19)
    np.testing.assert_allclose(optimizer.v["b"], -0.1)


def test_state_can_be_restored_and_is_checked():
    optimizer = AdaGrad(lr=1.0)
    optimizer.h = {"a": np.full(2, 8.0, np.float32)}
    params = {"a": np.zeros(2)}
    optimizer.update(params, {"a": np.ones(2)})
    np.testing.assert_allclose(params["a"], -1 / 3, 1e-6)
    optimizer.h = {"a": np.zeros(3)}
    with pytest.raises(ValueError, match=r"h\['a'\] has shape \(3,\)"):
        optimizer.update(params, {"a": np.ones(2)})


def test_the_learning_rate_can_change_between_steps():
    optimizer, params = SGD(lr=0.1), {"a": np.zeros(1)}
    optimizer.update(params, {"a": np.ones(1)})
    optimizer.lr = 0.5
    optimizer.update(params, {"a": np.ones(1)})
    np.testing.assert_allclose(params["a"], -0.6)


def test_adam_counts_its_steps():
    optimizer = Adam()
    for _ in range(3):
        optimizer.update({"a": np.ones(1)}, {"a": np.ones(1)})
    assert optimizer.iter == 3


def test_the_books_defaults_and_names():
    assert vars(SGD()) == {"lr": 0.01}
    assert vars(Momentum()) == vars(Nesterov()) == {"lr": 0.01, "momentum": 0.9, "v": {}}
    assert vars(AdaGrad()) == {"lr": 0.01, "h": {}}
    assert vars(RMSprop()) == {"lr": 0.01, "decay_rate": 0.99, "h": {}}
    assert vars(Adam()) == {"lr": 0.001, "beta1": 0.9, "beta2": 0.999, "iter": 0, "m": {}, "v": {}}
    assert set(OPTIMIZERS) == {"sgd", "momentum", "nesterov", "adagrad", "rmsprop", "rmsprpo", "adam"}
