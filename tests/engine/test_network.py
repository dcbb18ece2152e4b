"""The book's protocol: predict, loss, accuracy, gradient, seed."""
from __future__ import annotations

import numpy as np
import pytest
from engine.toys import affine, two_affine

from fastconv.engine import Network
from fastconv.layers import Dropout


@pytest.fixture
def network():
    return two_affine()


@pytest.fixture
def batch():
    rng = np.random.default_rng(5)
    return rng.normal(size=(257, 4)), rng.integers(0, 3, 257)


def softmax(y):
    e = np.exp(y - y.max(axis=1, keepdims=True))
    return e / e.sum(axis=1, keepdims=True)


def test_loss_is_the_mean_cross_entropy(network, batch):
    x, t = batch
    expected = -np.log(softmax(network.predict(x))[np.arange(len(t)), t] + 1e-7).mean()
    np.testing.assert_allclose(network.loss(x, t), expected, 1e-12)
    np.testing.assert_allclose(network.loss(x, np.eye(3)[t]), expected, 1e-12)


def test_gradient_leaves_the_loss_in_the_last_layer(network, batch):
    expected = network.loss(*batch)
    network.last_layer.loss = None
    network.gradient(*batch)
    assert network.last_layer.loss == expected


def test_gradient_is_the_same_for_one_hot_labels(network, batch):
    x, t = batch
    numbers, rows = network.gradient(x, t), network.gradient(x, np.eye(3)[t])
    for key in network.params:
        np.testing.assert_array_equal(numbers[key], rows[key])


def test_gradients_of_two_calls_do_not_share_memory(network, batch):
    first = network.gradient(*batch)
    saved = {key: grad.copy() for key, grad in first.items()}
    network.gradient(batch[0] + 1, batch[1])
    for key in saved:
        np.testing.assert_array_equal(first[key], saved[key])


@pytest.mark.parametrize("batch_size", [1, 100, 128, 257, 1000])
@pytest.mark.parametrize("labels", ["numbers", "rows", "lists"])
def test_accuracy_counts_every_sample(network, batch, batch_size, labels):
    x, t = batch
    expected = np.mean(network.predict(x).argmax(axis=1) == t)
    assert 0 < expected < 1
    if labels == "rows":
        t = np.eye(3)[t]
    if labels == "lists":
        x, t = x.tolist(), t.tolist()
    accuracy = network.accuracy(x, t, batch_size)
    assert isinstance(accuracy, float) and accuracy == expected


def test_accuracy_of_only_the_last_partial_batch(network, batch):
    x, _ = batch
    right = network.predict(x).argmax(axis=1)
    right[-1] = (right[-1] + 1) % 3
    assert network.accuracy(x, right, batch_size=256) == 256 / 257


def test_accuracy_refuses_what_does_not_fit(network, batch):
    x, t = batch
    with pytest.raises(ValueError, match=r"x has shape \(257, 4\) and t has shape \(256,\)"):
        network.accuracy(x, t[:-1])
    with pytest.raises(ValueError, match="no samples"):
        network.accuracy(x[:0], t[:0])
    with pytest.raises(ValueError, match="Network.accuracy: batch_size must be at least 1, got 0"):
        network.accuracy(x, t, batch_size=0)
    with pytest.raises(TypeError, match="Network.accuracy: batch_size must be an integer, got 2.5"):
        network.accuracy(x, t, batch_size=2.5)
    with pytest.raises(ValueError, match=r"Network.accuracy: t has shape \(100, 1\)"):
        network.accuracy(x, t[:, None])
    with pytest.raises(ValueError, match="Network.accuracy: t has labels"):
        network.accuracy(x, t + 1)


def test_an_error_says_in_which_layer_and_for_which_input(network):
    with pytest.raises(ValueError, match="Affine.forward") as error:
        network.predict(np.zeros((2, 5)))
    assert error.value.__notes__ == ["in layers[0] of a network whose input has shape (2, 5)"]


def test_predict_takes_any_batch(network):
    assert network.predict(np.zeros((0, 4))).shape == (0, 3)
    assert network.predict(np.zeros((1, 4))).shape == (1, 3)
    assert network.predict([[0, 0, 0, 0], [1, 2, 3, 4]]).shape == (2, 3)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("x_dtype", [np.float64, np.float32, np.float16, np.uint8, ">f8", bool])
def test_the_networks_dtype_decides(dtype, x_dtype):
    network = two_affine(dtype)
    x = np.ones((2, 4)).astype(x_dtype)
    x.flags.writeable = False
    assert network.predict(x).dtype == dtype
    assert {grad.dtype for grad in network.gradient(x, [0, 1]).values()} == {np.dtype(dtype)}


def test_the_dtype_is_floating():
    with pytest.raises(TypeError, match="Network: dtype is int64, expected a floating dtype"):
        Network(dtype=np.int64)


def dropped(network, x):
    return network.predict(x, train_flg=True)


def test_seed_makes_dropout_repeatable():
    network, x = Network(dtype=np.float64), np.ones((3, 40))
    network.add(affine(40, 30, 0))
    network.add(Dropout(0.5))
    network.add(Dropout(0.3))
    network.seed(np.random.default_rng(7))
    first, second = dropped(network, x), dropped(network, x)
    assert (first != second).any()
    network.seed(7)
    np.random.seed(0)
    np.testing.assert_array_equal(dropped(network, x), first)
    np.testing.assert_array_equal(dropped(network, x), second)


def test_without_a_seed_dropout_uses_numpys_global_generator():
    network, x = Network(), np.ones((3, 40), np.float32)
    network.add(Dropout(0.5))
    np.random.seed(3)
    first, second = dropped(network, x), dropped(network, x)
    assert (first != second).any()
    np.random.seed(3)
    np.testing.assert_array_equal(dropped(network, x), first)
