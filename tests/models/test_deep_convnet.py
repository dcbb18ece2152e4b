"""DeepConvNet is the book's network: its layers, its shapes, its random numbers, its trained parameters."""
from __future__ import annotations

import inspect
import os
from pathlib import Path

import numpy as np
import pytest
from engine.toys import check_gradient

from fastconv.datasets import load_mnist
from fastconv.layers import Affine, Convolution, Dropout, Pooling, Relu, SoftmaxWithLoss
from fastconv.models import DeepConvNet

WEIGHTED = (0, 2, 5, 7, 10, 12, 15, 18)  # the book's places of W1 to W8

MNIST_SHAPES = {
    "W1": (16, 1, 3, 3), "W2": (16, 16, 3, 3), "W3": (32, 16, 3, 3), "W4": (32, 32, 3, 3),
    "W5": (64, 32, 3, 3), "W6": (64, 64, 3, 3), "W7": (1024, 50), "W8": (50, 10),
}


def conv(filter_num, filter_size=3, pad=1, stride=1):
    return {"filter_num": filter_num, "filter_size": filter_size, "pad": pad, "stride": stride}


def small(**changes):
    """Two or three filters a layer, for images of 8x8."""
    params = {f"conv_param_{i}": conv(n) for i, n in enumerate((2, 2, 3, 3, 2, 3), 1)}
    return DeepConvNet(**{"input_dim": (1, 8, 8), **params, "hidden_size": 6, "output_size": 4, "seed": 0,
                          "dtype": np.float64, **changes})


def test_the_books_layers_in_the_books_order():
    network = DeepConvNet()
    pair_of_convs = [Convolution, Relu, Convolution, Relu, Pooling]
    assert [type(layer) for layer in network.layers] == (
        3 * pair_of_convs + [Affine, Relu, Dropout, Affine, Dropout])
    assert type(network.last_layer) is SoftmaxWithLoss
    for number, place in enumerate(WEIGHTED, 1):
        assert network.layers[place].W is network.params[f"W{number}"]
        assert network.layers[place].b is network.params[f"b{number}"]
    assert [network.layers[i].pad for i in WEIGHTED[:6]] == [1, 1, 1, 2, 1, 1]
    assert {network.layers[i].stride for i in WEIGHTED[:6]} == {1}
    for pool in (network.layers[i] for i in (4, 9, 14)):
        assert (pool.pool_h, pool.pool_w, pool.stride, pool.pad) == (2, 2, 2, 0)
    assert {network.layers[i].dropout_ratio for i in (17, 19)} == {0.5}


def test_the_books_parameters():
    network = DeepConvNet()
    assert list(network.params) == [f"{kind}{i}" for i in range(1, 9) for kind in "Wb"]
    for key, value in network.params.items():
        assert value.dtype == np.float32
        number = key[1:]
        if key[0] == "W":
            assert value.shape == MNIST_SHAPES[key]
        else:
            assert value.shape == (MNIST_SHAPES["W" + number][0 if int(number) < 7 else 1],)
            np.testing.assert_array_equal(value, 0)


def test_the_books_arguments():
    defaults = {name: p.default for name, p in inspect.signature(DeepConvNet).parameters.items()}
    assert list(defaults) == ["input_dim", *(f"conv_param_{i}" for i in range(1, 7)), "hidden_size",
                              "output_size", "dtype", "seed"]
    assert defaults["input_dim"] == (1, 28, 28)
    filters = (16, 16, 32, 32, 64, 64)
    for i, (filter_num, pad) in enumerate(zip(filters, (1, 1, 1, 2, 1, 1), strict=True), 1):
        assert defaults[f"conv_param_{i}"] == conv(filter_num, pad=pad)
    assert (defaults["hidden_size"], defaults["output_size"]) == (50, 10)


def test_the_defaults_cannot_be_changed():
    with pytest.raises(TypeError):
        inspect.signature(DeepConvNet).parameters["conv_param_1"].default["filter_num"] = 8


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_random_numbers_are_those_of_the_book(dtype):
    np.random.seed(11)
    network = DeepConvNet(dtype=dtype)
    np.random.seed(11)
    for number, (key, shape) in enumerate(MNIST_SHAPES.items(), 1):
        fan_in = np.prod(shape[1:]) if number < 7 else shape[0]
        expected = np.sqrt(2.0 / fan_in) * np.random.randn(*shape)
        np.testing.assert_array_equal(network.params[key], expected.astype(dtype))


def test_fan_in_follows_the_shapes():
    network = DeepConvNet((3, 32, 32), conv_param_1=conv(400, 5), conv_param_2=conv(16, (1, 3)), seed=1)
    for key, fan_in in (("W1", 3 * 25), ("W2", 400 * 3)):
        np.testing.assert_allclose(network.params[key].std(), np.sqrt(2 / fan_in), rtol=0.03)


@pytest.mark.parametrize("arguments, rows", [
    ({"input_dim": (1, 28, 28)}, 64 * 4 * 4),
    ({"input_dim": (3, 32, 32)}, 64 * 4 * 4),
    ({"input_dim": (1, 28, 20)}, 64 * 4 * 3),
    ({"conv_param_1": conv(8, 5)}, 64 * 3 * 3),
    ({"conv_param_6": conv(7, 3, pad=2)}, 7 * 5 * 5),
    ({"conv_param_2": conv(8, 3, stride=2)}, 64 * 2 * 2),
    ({"hidden_size": 20, "output_size": 3}, 1024),
])
def test_shapes_fit_for_any_arguments(arguments, rows):
    network = DeepConvNet(**arguments, seed=0)
    assert network.params["W7"].shape == (rows, arguments.get("hidden_size", 50))
    images = np.zeros((2, *arguments.get("input_dim", (1, 28, 28))), np.float32)
    assert network.predict(images).shape == (2, arguments.get("output_size", 10))


def test_too_small_images_say_where_nothing_is_left():
    with pytest.raises(ValueError, match=r"nothing is left at layers\[9\], a Pooling .* on a map of 1x1"):
        DeepConvNet((1, 3, 3), conv_param_4=conv(32))
    with pytest.raises(ValueError, match=r"layers\[2\], a Convolution with a window of 7x7 on a map of 4x4"):
        DeepConvNet((1, 4, 4), conv_param_2=conv(16, 7))
    with pytest.raises(ValueError, match=r"input_dim is \(28, 28\), expected \(channels, height, width\)"):
        DeepConvNet((28, 28))


def test_wrong_conv_params_are_named():
    with pytest.raises(ValueError, match="conv_param_3 has no pad, stride"):
        DeepConvNet(conv_param_3={"filter_num": 32, "filter_size": 3})
    with pytest.raises(ValueError, match=r"conv_param_2\['stride'\] must be at least 1"):
        DeepConvNet(conv_param_2=conv(8, stride=0))
    with pytest.raises(ValueError, match=r"conv_param_4\['filter_num'\] must be at least 1, got 0"):
        DeepConvNet(conv_param_4=conv(0))


@pytest.mark.parametrize("arguments, error, words", [
    ({"input_dim": 28}, ValueError, r"input_dim is 28, expected \(channels, height, width\)"),
    ({"input_dim": (0, 28, 28)}, ValueError, "each of input_dim must be at least 1, got 0"),
    ({"hidden_size": 0}, ValueError, "hidden_size must be at least 1, got 0"),
    ({"output_size": 2.5}, TypeError, "output_size must be an integer, got 2.5"),
])
def test_wrong_sizes_are_named(arguments, error, words):
    with pytest.raises(error, match="DeepConvNet: " + words):
        DeepConvNet(**arguments)


def test_same_seed_same_network():
    for first, other, equal in ((3, 3, True), (3, np.random.default_rng(3), True), (3, 4, False)):
        a, b = small(seed=first), small(seed=other)
        assert all(np.array_equal(a.params[key], b.params[key]) for key in a.params if key[0] == "W") == equal
        x = np.random.default_rng(0).normal(size=(5, 1, 8, 8))
        assert np.array_equal(a.predict(x, train_flg=True), b.predict(x, train_flg=True)) == equal


def test_gradient_with_fixed_dropout_masks():
    network = small()
    rng = np.random.default_rng(2)
    x, t = rng.normal(size=(5, 1, 8, 8)), rng.integers(0, 4, 5)

    class SameMasks:
        """Draws the same key each time, so that the loss is a function."""

        def integers(self, high, dtype):
            return 9

    for layer in network.layers:
        if isinstance(layer, Dropout):
            layer.rng = SameMasks()
    check_gradient(network, x, t)


def test_gradient_without_dropout():
    network = small(input_dim=(2, 9, 10), seed=3)
    for layer in network.layers:
        if isinstance(layer, Dropout):
            layer.dropout_ratio = 0
    rng = np.random.default_rng(3)
    check_gradient(network, rng.normal(size=(4, 2, 9, 10)), rng.integers(0, 4, 4))


def test_prediction_scales_by_the_dropout_ratio():
    network = small()
    x = np.random.default_rng(0).normal(size=(3, 1, 8, 8))
    y = network.predict(x)
    for layer in network.layers:
        if isinstance(layer, Dropout):
            layer.dropout_ratio = 0
    p = network.params
    full = network.predict(x)
    np.testing.assert_allclose(y, 0.25 * (full - p["b8"]) + 0.5 * p["b8"], 1e-12)


@pytest.mark.skipif("FASTCONV_BOOK_PARAMS" not in os.environ or "FASTCONV_DATA_DIR" not in os.environ,
                    reason="needs FASTCONV_BOOK_PARAMS (the book's deep_convnet_params.pkl) and "
                           "FASTCONV_DATA_DIR (a folder with the four MNIST files)")
def test_the_books_parameters_give_the_books_accuracy():
    _, (x_test, t_test) = load_mnist(flatten=False, data_dir=os.environ["FASTCONV_DATA_DIR"])
    network = DeepConvNet()
    network.load_params(Path(os.environ["FASTCONV_BOOK_PARAMS"]).absolute())
    assert len(x_test) == 10_000
    assert network.accuracy(x_test, t_test) == 0.9935
