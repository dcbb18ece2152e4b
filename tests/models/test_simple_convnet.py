"""SimpleConvNet is the book's network: its layers, its shapes, its random numbers, its gradient."""
from __future__ import annotations

import inspect

import numpy as np
import pytest
from naive import convolution_forward, max_pooling_forward

from fastconv.layers import Affine, Convolution, Pooling, Relu, SoftmaxWithLoss
from fastconv.models import SimpleConvNet

MNIST_SHAPES = {"W1": (30, 1, 5, 5), "b1": (30,), "W2": (4320, 100), "b2": (100,), "W3": (100, 10), "b3": (10,)}


def conv(filter_num=3, filter_size=3, pad=0, stride=1):
    return {"filter_num": filter_num, "filter_size": filter_size, "pad": pad, "stride": stride}


def small(**changes):
    """Three filters for images of 2x8x7, in float64, with weights and biases that matter."""
    network = SimpleConvNet(**{"input_dim": (2, 8, 7), "conv_param": conv(), "hidden_size": 5, "output_size": 4,
                               "weight_init_std": 0.3, "dtype": np.float64, "seed": 0, **changes})
    rng = np.random.default_rng(1)
    for i in (1, 2, 3):
        network.params[f"b{i}"] = rng.uniform(-0.3, 0.3, network.params[f"b{i}"].shape)
    return network


def batch(n=4, input_dim=(2, 8, 7)):
    rng = np.random.default_rng(2)
    return rng.normal(0.2, 1, (n, *input_dim)), rng.integers(0, 4, n)


def scores(params, x, pad=0, stride=1):
    """What the network computes, with loops over the definitions of convolution and pooling."""
    x = convolution_forward(x.transpose(0, 2, 3, 1), params["W1"], params["b1"], 2 * (stride,), 2 * (pad,), (1, 1), 1)
    x = max_pooling_forward(np.maximum(x, 0), (2, 2), (2, 2), (0, 0))
    x = x.transpose(0, 3, 1, 2).reshape(len(x), -1)
    return np.maximum(x @ params["W2"] + params["b2"], 0) @ params["W3"] + params["b3"]


def test_the_books_layers_in_the_books_order():
    network = SimpleConvNet(conv_param=conv(4, 5, pad=2, stride=3))
    assert [type(layer) for layer in network.layers.values()] == [Convolution, Relu, Pooling, Affine, Relu, Affine]
    assert list(network.layers) == ["Conv1", "Relu1", "Pool1", "Affine1", "Relu2", "Affine2"]
    assert type(network.last_layer) is SoftmaxWithLoss
    for number, place in enumerate(("Conv1", "Affine1", "Affine2"), 1):
        assert network.layers[place].W is network.params[f"W{number}"]
        assert network.layers[place].b is network.params[f"b{number}"]
    assert (network.layers["Conv1"].stride, network.layers["Conv1"].pad) == (3, 2)
    pool = network.layers["Pool1"]
    assert (pool.pool_h, pool.pool_w, pool.stride, pool.pad) == (2, 2, 2, 0)


def test_the_books_arguments():
    arguments = [p for p in inspect.signature(SimpleConvNet).parameters.values() if p.kind is p.POSITIONAL_OR_KEYWORD]
    assert {p.name: p.default for p in arguments} == {
        "input_dim": (1, 28, 28), "conv_param": conv(30, 5), "hidden_size": 100, "output_size": 10,
        "weight_init_std": 0.01}
    assert [p.name for p in arguments] == ["input_dim", "conv_param", "hidden_size", "output_size", "weight_init_std"]


def test_the_defaults_cannot_be_changed():
    with pytest.raises(TypeError):
        inspect.signature(SimpleConvNet).parameters["conv_param"].default["filter_num"] = 8


def test_parameters_are_those_of_the_book():
    np.random.seed(11)
    network = SimpleConvNet()
    np.random.seed(11)
    assert list(network.params) == list(MNIST_SHAPES)
    for key, shape in MNIST_SHAPES.items():
        expected = 0.01 * np.random.randn(*shape) if key[0] == "W" else np.zeros(shape)
        np.testing.assert_array_equal(network.params[key], expected.astype(np.float32), strict=True)


def test_the_weights_have_the_std_that_is_asked_for():
    np.random.seed(11)
    network = SimpleConvNet(weight_init_std=0.3, dtype=np.float64)
    np.random.seed(11)
    for key in ("W1", "W2", "W3"):
        np.testing.assert_array_equal(network.params[key], 0.3 * np.random.randn(*MNIST_SHAPES[key]), strict=True)


@pytest.mark.parametrize("input_dim, conv_param, rows", [
    ((1, 28, 28), conv(30, 5), 30 * 12 * 12),
    ((3, 20, 28), conv(4, 5), 4 * 8 * 12),
    ((1, 9, 14), conv(4, 3, pad=1, stride=2), 4 * 2 * 3),
    ((1, 2, 3), conv(7, 1), 7 * 1 * 1),
])
def test_shapes_fit_for_any_arguments(input_dim, conv_param, rows):
    network = SimpleConvNet(input_dim, conv_param, hidden_size=6, output_size=3, seed=0)
    assert network.params["W1"].shape == (conv_param["filter_num"], input_dim[0], *2 * [conv_param["filter_size"]])
    assert network.params["W2"].shape == (rows, 6)
    y = network.predict(np.zeros((2, *input_dim), np.float32))
    assert y.shape == (2, 3) and y.dtype == np.float32


@pytest.mark.parametrize("pad, stride, input_dim", [(0, 1, (2, 8, 7)), (2, 1, (2, 5, 8)), (1, 2, (1, 9, 14))])
def test_predict_and_loss_are_those_of_the_definitions(pad, stride, input_dim):
    network = small(input_dim=input_dim, conv_param=conv(pad=pad, stride=stride))
    x, t = batch(input_dim=input_dim)
    y = scores(network.params, x, pad, stride)
    np.testing.assert_allclose(network.predict(x), y, 1e-10)
    e = np.exp(y)
    expected = -np.log((e / e.sum(axis=1, keepdims=True))[np.arange(len(t)), t] + 1e-7).mean()
    np.testing.assert_allclose(network.loss(x, t), expected, 1e-10)


@pytest.mark.parametrize("decay", [0, 0.3])
@pytest.mark.parametrize("pad, stride", [(0, 1), (2, 1), (1, 2)])
def test_gradient_is_the_numerical_one(pad, stride, decay):
    network, (x, t) = small(conv_param=conv(pad=pad, stride=stride), weight_init_std=0.2), batch()
    network.weight_decay_lambda = decay
    grads, expected = network.gradient(x, t), network.numerical_gradient(x, t)
    assert list(grads) == list(expected) == list(network.params)
    for key in grads:  # the numerical one includes the 1e-7 of the book's loss, 1e-7 / y of it
        np.testing.assert_allclose(grads[key], expected[key], 1e-6, 5e-7, err_msg=key)


def test_weight_decay_is_in_the_loss():
    network, (x, t) = small(), batch()
    plain = network.loss(x, t)
    network.weight_decay_lambda = 0.3
    squares = sum((network.params[key] ** 2).sum() for key in ("W1", "W2", "W3"))
    np.testing.assert_allclose(network.loss(x, t), plain + 0.15 * squares, 1e-12)


def test_accuracy_is_the_share_of_right_predictions():
    network, (x, t) = small(), batch(40)
    expected = np.mean(scores(network.params, x).argmax(axis=1) == t)
    assert 0 < expected < 1
    assert network.accuracy(x, t) == expected


def test_parameters_go_to_a_file_and_back(tmp_path):
    network, other = small(), small(seed=1)
    network.save_params(tmp_path / "params.npz")
    assert not np.array_equal(other.params["W1"], network.params["W1"])
    other.load_params(tmp_path / "params.npz")
    x, _ = batch()
    np.testing.assert_array_equal(other.predict(x), network.predict(x))
    for key, value in network.params.items():
        np.testing.assert_array_equal(other.params[key], value)


def test_same_seed_same_network():
    for first, other, equal in ((3, 3, True), (3, np.random.default_rng(3), True), (3, 4, False)):
        a, b = small(seed=first), small(seed=other)
        assert all(np.array_equal(a.params[key], b.params[key]) for key in ("W1", "W2", "W3")) == equal


def test_a_seed_leaves_numpys_global_generator_alone():
    np.random.seed(5)
    small(seed=0)
    drawn = np.random.rand()
    np.random.seed(5)
    assert drawn == np.random.rand()


@pytest.mark.parametrize("arguments, error, words", [
    ({"input_dim": (28, 28)}, ValueError, r"input_dim is \(28, 28\), expected \(channels, height, width\)"),
    ({"input_dim": (0, 28, 28)}, ValueError, "each of input_dim must be at least 1, got 0"),
    ({"input_dim": (1, 28, 4)}, ValueError, "the images are too small: .* a window of 5 does not fit an input of 4"),
    ({"input_dim": (1, 5, 28)}, ValueError, "the images are too small: .* a window of 2 does not fit an input of 1"),
    ({"conv_param": {"filter_num": 30, "filter_size": 5}}, ValueError, "conv_param has no pad, stride"),
    ({"conv_param": conv(filter_num=0)}, ValueError, r"conv_param\['filter_num'\] must be at least 1, got 0"),
    ({"conv_param": conv(filter_size=(3, 3))}, TypeError,
     r"conv_param\['filter_size'\] must be an integer, got \(3, 3\)"),
    ({"conv_param": conv(stride=0)}, ValueError, r"conv_param\['stride'\] must be at least 1, got 0"),
    ({"conv_param": conv(pad=-1)}, ValueError, r"conv_param\['pad'\] must be at least 0, got -1"),
    ({"hidden_size": 0}, ValueError, "hidden_size must be at least 1, got 0"),
    ({"output_size": 2.5}, TypeError, "output_size must be an integer, got 2.5"),
    ({"weight_init_std": "he"}, TypeError, "weight_init_std must be a number, got 'he'"),
])
def test_wrong_arguments_are_named(arguments, error, words):
    with pytest.raises(error, match="SimpleConvNet: " + words):
        SimpleConvNet(**arguments)
