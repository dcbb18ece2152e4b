"""nan and inf are numbers: they reach what depends on them and nothing else, and no layer hides them."""
from __future__ import annotations

import numpy as np
import pytest
from layers.zoo import LAYERS, make

from fastconv import DeepConvNet, dispatch
from fastconv.functions import cross_entropy_error, relu, sigmoid, softmax, softmax_loss, sum_squared_error
from fastconv.layers import BatchNormalization, Pooling, Relu, Sigmoid, SoftmaxWithLoss
from fastconv.optimizers import OPTIMIZERS

pytestmark = [pytest.mark.usefixtures("backend"), pytest.mark.filterwarnings("ignore::RuntimeWarning")]
ALONE = [name for name in LAYERS if "BatchNormalization" not in name and name != "SoftmaxWithLoss"]
special = pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])


@special
@pytest.mark.parametrize("name", ALONE)
def test_a_sample_alone(name, value):
    """The others' results keep their bits; its own are those of the reference."""
    layer, x = make(name)
    clean = layer.forward(x)
    clean_dx = layer.backward(np.ones_like(clean))
    x = x.copy()
    x[1].flat[x[1].size // 2] = value
    layer, _ = make(name)
    out = layer.forward(x)
    dx = layer.backward(np.ones_like(out))
    with dispatch.use("reference"):
        layer, _ = make(name)
        expected = layer.forward(x)
        expected_dx = layer.backward(np.ones_like(out))
    assert not np.array_equal(out, clean) or name.startswith(("Relu", "Dropout", "inverted", "Pooling"))
    for found, wanted, others in ((out, expected, clean), (dx, expected_dx, clean_dx)):
        np.testing.assert_array_equal(np.delete(found, 1, 0), np.delete(others, 1, 0))
        np.testing.assert_allclose(found, wanted, rtol=1e-4, atol=1e-5)


def test_values_by_hand():
    x = np.array([[np.nan, np.inf, -np.inf, -0.0, 2.0]], np.float32)
    np.testing.assert_array_equal(Relu().forward(x), [[np.nan, np.inf, 0, 0, 2]])
    np.testing.assert_array_equal(relu(x), [[np.nan, np.inf, 0, 0, 2]])
    for f in (sigmoid, Sigmoid().forward):
        np.testing.assert_allclose(f(x), [[np.nan, 1, 0, 0.5, 1 / (1 + np.exp(-2.0))]], rtol=1e-6)
    np.testing.assert_array_equal(softmax([[1, -np.inf, 1]]), [[0.5, 0, 0.5]])
    assert np.isnan(softmax([[1, np.nan, 1], [np.inf, 0, 0], [-np.inf] * 3])).all()
    image = np.array([[np.nan, 1], [2, np.inf]], np.float32).reshape(1, 1, 2, 2)
    assert np.isnan(Pooling(2, 2).forward(image)).all() and np.isnan(Pooling(2, 2, mode="average").forward(image)).all()
    assert Pooling(2, 2).forward(np.full((1, 1, 2, 2), -np.inf, np.float32)) == -np.inf
    assert np.isnan(sum_squared_error([np.nan], [0.0])) and sum_squared_error([np.inf], [0.0]) == np.inf
    assert np.isnan(cross_entropy_error([[np.nan, 0.5]], [0]))


@special
def test_a_loss_is_not_hidden(value):
    rows = np.zeros((3, 4), np.float32)
    rows[1, 2] = value
    layer = SoftmaxWithLoss()
    loss = layer.forward(rows, [0, 1, 2])
    assert np.isnan(loss) == (value != -np.inf)
    assert np.isnan(layer.backward()[1]).all() == (value != -np.inf)
    assert np.isfinite(layer.backward()[[0, 2]]).all()


@special
@pytest.mark.parametrize("train_flg", [True, False])
def test_batch_normalization_of_a_column(value, train_flg):
    x = np.random.default_rng(0).normal(size=(6, 5)).astype(np.float32)
    x[2, 3] = value
    out = BatchNormalization(np.ones(5), np.zeros(5), 0.9, np.zeros(5), np.ones(5)).forward(x, train_flg)
    assert np.isfinite(np.delete(out, 3, 1)).all()
    if train_flg:
        assert np.isnan(out[:, 3]).all()
    else:
        np.testing.assert_array_equal(out[2, 3], value)
        assert np.isfinite(np.delete(out[:, 3], 2)).all()


@special
@pytest.mark.parametrize("name", ["sgd", "momentum", "nesterov", "adagrad", "rmsprop", "adam"])
def test_a_step_of_one_parameter(name, value):
    grad = np.ones(40, np.float32)
    grad[7] = value
    found, clean = {"p": np.ones(40, np.float32)}, {"p": np.ones(40, np.float32)}
    OPTIMIZERS[name]().update(found, {"p": grad})
    OPTIMIZERS[name]().update(clean, {"p": np.ones(40, np.float32)})
    assert not np.isfinite(found["p"][7])
    np.testing.assert_array_equal(np.delete(found["p"], 7), np.delete(clean["p"], 7))


@special
@pytest.mark.parametrize("row", [[3], [3, 7], range(10)], ids=repr)
def test_labels_are_not_hidden(value, row):
    """One value of a one-hot row, two or all: loss and accuracy are nan, gradients of that sample are not finite."""
    x = np.random.default_rng(0).random((4, 1, 12, 12)).astype(np.float32)
    t = np.eye(10)[[1, 2, 3, 4]]
    network = DeepConvNet((1, 12, 12), seed=0)
    assert np.isfinite(network.loss(x, t)) and np.isfinite(network.accuracy(x, t))
    t[1, row] = value
    scores = network.predict(x)
    layer = SoftmaxWithLoss()
    for loss in (network.loss(x, t), layer.forward(scores, t), softmax_loss(scores, t),
                 cross_entropy_error(softmax(scores), t), network.accuracy(x, t)):
        assert np.isnan(loss)
    np.testing.assert_array_equal(np.isfinite(layer.backward()), np.isfinite(t))
    gradients = network.gradient(x, t)
    assert np.isnan(network.last_layer.loss) and not np.isfinite(gradients["b8"]).all()
    network.gradient(np.concatenate([x, x]), np.concatenate([np.eye(10)[:4], t]), np.arange(4))
    assert np.isfinite(network.last_layer.loss)  # the others' rows do not count
