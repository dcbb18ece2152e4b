"""Replaced layers, functions and optimizers compute what the book's do, in its dtypes, with its attributes."""
from __future__ import annotations

import importlib
import pickle
from fractions import Fraction

import numpy as np
import pytest

import fastconv
from fastconv.datasets import load_mnist
from fastconv.dropin.report import report


@pytest.fixture
def both(load):
    """Return a module of the reader's folder twice: its own objects, and the replaced ones."""
    def modules(name):
        own = load(name)
        book = {key: getattr(own, key) for key in vars(own)}
        fastconv.install()
        return type("Book", (), {key: staticmethod(value) if callable(value) and not isinstance(value, type) else value
                                 for key, value in book.items()}), importlib.import_module(name)

    return modules


def images(rng, dtype=np.float64):
    return rng.normal(0.3, 1, (3, 2, 7, 6)).astype(dtype)


# name -> constructor arguments and input
CASES = {
    "Relu": lambda rng: ((), rng.normal(size=(4, 5))),
    "Sigmoid": lambda rng: ((), rng.normal(size=(4, 5))),
    "Affine": lambda rng: ((rng.normal(size=(84, 5)), rng.normal(size=5)), images(rng)),
    "BatchNormalization": lambda rng: ((rng.normal(size=84), rng.normal(size=84)), images(rng)),
    "Convolution": lambda rng: ((rng.normal(size=(4, 2, 3, 2)), rng.normal(size=4), 2, 1), images(rng)),
    "Pooling": lambda rng: ((3, 2, 2), images(rng)),
}
ATTRIBUTES = {
    "Relu": ("mask",), "Sigmoid": ("out",), "Affine": ("x", "original_x_shape", "dW", "db"),
    "BatchNormalization": ("input_shape", "batch_size", "xc", "xn", "std", "dgamma", "dbeta", "running_mean",
                           "running_var"),
    "Convolution": ("x", "col", "col_W", "dW", "db"), "Pooling": ("x", "arg_max"),
}


@pytest.mark.parametrize("name", CASES)
@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_results_and_attributes(both, name, dtype):
    book, ours = both("common.layers")
    arguments, x = CASES[name](np.random.default_rng(0))
    x = x.astype(dtype)
    layers = [getattr(module, name)(*arguments) for module in (book, ours)]
    for attribute in ATTRIBUTES[name]:
        if attribute not in ("running_mean", "running_var"):
            assert getattr(layers[1], attribute) is None
    expected, out = (layer.forward(x.copy()) for layer in layers)
    # weights are float64, so results are
    assert out.dtype == (np.float64 if arguments and name != "Pooling" else dtype)
    # the book's BatchNormalization sums float32 images in float32
    close = 1e-5 if dtype == np.float32 else 1e-7
    np.testing.assert_allclose(out, expected, close, close)
    dout = np.random.default_rng(1).normal(size=out.shape).astype(out.dtype)
    dx_expected, dx = (layer.backward(dout.copy()) for layer in layers)
    np.testing.assert_allclose(dx, dx_expected, close, close)
    for attribute in ATTRIBUTES[name]:
        np.testing.assert_allclose(getattr(layers[1], attribute), getattr(layers[0], attribute), close, close,
                                   err_msg=attribute)


@pytest.mark.parametrize("one_hot", [False, True])
def test_the_loss(both, one_hot):
    book, ours = both("common.layers")
    x, t = np.random.default_rng(0).normal(size=(4, 3)), np.array([2, 0, 1, 1])
    t = np.eye(3)[t] if one_hot else t
    layers = [module.SoftmaxWithLoss() for module in (book, ours)]
    losses = [layer.forward(x, t) for layer in layers]
    assert losses[1] == pytest.approx(losses[0], rel=1e-12)
    np.testing.assert_allclose(layers[1].backward(), layers[0].backward(), 1e-12)
    np.testing.assert_allclose(layers[1].y, layers[0].y, 1e-12)
    assert layers[1].t is t


def test_strict_dropout_has_the_books_masks(load):
    own = load("common.layers").Dropout
    fastconv.install(strict_book=True)
    ours = importlib.import_module("common.layers").Dropout
    assert ours is not own
    x, results = np.random.default_rng(0).normal(size=(50, 40)), []
    for kind in (own, ours):
        np.random.seed(5)
        layer = kind(0.3)
        results.append((layer.forward(x), layer.mask, layer.backward(x), layer.forward(x, False), np.random.rand()))
    for expected, got in zip(*results, strict=True):
        np.testing.assert_array_equal(got, expected)


def test_defaults_are_those_of_the_readers_edition(both, folder):
    _, ours = both("common.layers")
    assert ours.Pooling(2, 2).stride == 1 and fastconv.Pooling(2, 2).stride == 2
    assert ours.Pooling(2, 2, pad=1).stride == 1 and ours.Pooling(2, 2, stride=2).stride == 2
    assert ours.Dropout().dropout_ratio == 0.5


def test_parameters_are_read_by_reference(both):
    _, ours = both("common.layers")
    W = np.eye(3)
    layer = ours.Affine(W, np.zeros(3))
    W *= 2
    np.testing.assert_array_equal(layer.forward(np.ones((1, 3))), [[2, 2, 2]])
    layer.W = np.eye(3)
    np.testing.assert_array_equal(layer.forward(np.ones((1, 3))), [[1, 1, 1]])


def test_what_fastconv_does_not_compute_is_left_to_the_book(both):
    _, ours = both("common.layers")
    report.clear()
    W = np.array([[Fraction(1, 3)], [Fraction(1, 2)]])
    layer = ours.Affine(W, np.array([Fraction(1, 6)]))
    x = np.array([[Fraction(1), Fraction(2)]])
    np.testing.assert_array_equal(layer.forward(x), [[Fraction(3, 2)]])
    np.testing.assert_array_equal(layer.backward(np.array([[Fraction(6)]])), [[2, 3]])
    np.testing.assert_array_equal(layer.dW, [[6], [12]])
    sigmoid = ours.Sigmoid()
    np.testing.assert_allclose(sigmoid.forward(np.array([1j])), 1 / (1 + np.exp(-1j)))
    assert sorted(name for name, _ in report.fallbacks) == ["Affine.forward", "Sigmoid.forward"]
    assert all("expected real numbers" in reason for _, reason in report.fallbacks)
    # and the next call is ours again
    assert sigmoid.forward(np.zeros(2)).tolist() == [0.5, 0.5]
    np.testing.assert_array_equal(sigmoid.backward(np.ones(2)), [0.25, 0.25])


def test_a_single_row_of_scores_is_left_to_the_book(both):
    book, ours = both("common.layers")
    x, t = np.array([1.0, 2.0, 0.5]), np.array([0.0, 1.0, 0.0])
    assert ours.SoftmaxWithLoss().forward(x, t) == pytest.approx(book.SoftmaxWithLoss().forward(x, t))


@pytest.mark.parametrize("call, words", [
    (lambda m: m.Convolution(np.zeros((1, 1, 2, 2)), np.zeros(1)).forward(np.zeros((1, 1, 4, 4), complex)), "complex"),
    (lambda m: m.Pooling(2, 2).forward(np.zeros((4, 4))), r"expected \(N, C, H, W\)"),
    (lambda m: m.SoftmaxWithLoss().forward(np.zeros((2, 3)), np.array([[0], [1]])), "drop the second axis"),
    (lambda m: m.SoftmaxWithLoss().forward(np.zeros((2, 3)), np.array([0, -1])), "expected 0 to 2"),
    (lambda m: m.Affine(np.zeros((3, 2)), np.zeros(2)).forward(np.zeros((2, 4))), "4 values a sample, expected 3"),
    (lambda m: m.Convolution(np.zeros((1, 1, 2, 2)), np.zeros(1), stride=0), "at least 1"),
    (lambda m: m.Relu().forward(np.array(["a"])), "dtype <U1"),
])
def test_what_the_book_would_get_wrong_is_an_error_in_clear_words(both, call, words):
    _, ours = both("common.layers")
    report.clear()
    with pytest.raises((TypeError, ValueError), match=words):
        call(ours)
    assert not report.fallbacks


def test_layers_can_be_pickled(both):
    _, ours = both("common.layers")
    layer = pickle.loads(pickle.dumps(ours.Affine(np.eye(2), np.zeros(2))))
    assert type(layer) is ours.Affine
    np.testing.assert_array_equal(layer.forward(np.ones((1, 2))), [[1, 1]])


def test_help_teaches(both):
    _, ours = both("common.layers")
    assert "the cross-correlation that the book calls convolution" in " ".join(ours.Convolution.__doc__.split())
    assert "Return the convolution" in ours.Convolution.forward.__doc__


X = np.array([[-1.5, 0.25, 3.0], [2.0, 0.0, -0.5]])
FUNCTIONS = {
    "identity_function": (X,), "step_function": (X,), "sigmoid": (X,), "sigmoid_grad": (X,), "relu": (X,),
    "relu_grad": (X,), "softmax": (X,), "sum_squared_error": (X, X[::-1]),
    "cross_entropy_error": (np.abs(X) / 5, np.array([1, 2])), "softmax_loss": (X, np.array([1, 2])),
}


@pytest.mark.parametrize("name", FUNCTIONS)
@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_functions(both, name, dtype):
    book, ours = both("common.functions")
    x, *others = FUNCTIONS[name]
    arguments = x.astype(dtype), *others
    expected, got = getattr(book, name)(*arguments), getattr(ours, name)(*arguments)
    np.testing.assert_allclose(got, expected, 1e-6 if dtype == np.float32 else 1e-12)
    assert np.asarray(got).dtype == np.asarray(expected).dtype or np.ndim(got) == 0


def test_functions_of_integers_and_complex_numbers_are_numpys(both):
    book, ours = both("common.functions")
    report.clear()
    for x in (np.arange(3), np.array([1 + 1j])):
        assert ours.sigmoid(x).dtype == book.sigmoid(x).dtype
        np.testing.assert_allclose(ours.sigmoid(x), book.sigmoid(x), 1e-14)
    assert [name for name, _ in report.fallbacks] == ["sigmoid"]


def test_helpers(both):
    book, ours = both("common.util")
    x = images(np.random.default_rng(0))
    col = ours.im2col(x, 3, 2, 2, 1)
    np.testing.assert_array_equal(col, book.im2col(x, 3, 2, 2, 1))
    np.testing.assert_allclose(ours.col2im(col, x.shape, 3, 2, 2, 1), book.col2im(col, x.shape, 3, 2, 2, 1), 1e-12)
    curve = np.random.default_rng(0).normal(size=50)
    np.testing.assert_allclose(ours.smooth_curve(curve), book.smooth_curve(curve), 1e-12)
    assert ours.conv_output_size(7, 3, 2, 1) == 4 and isinstance(ours.conv_output_size(7, 3), int)
    shuffled = []
    for module in (book, ours):
        np.random.seed(1)
        shuffled.append(module.shuffle_dataset(x, np.arange(3)))
    for expected, got in zip(*shuffled, strict=True):
        np.testing.assert_array_equal(got, expected)


@pytest.mark.parametrize("name", ["SGD", "Momentum", "AdaGrad", "RMSprop", "Adam"])
def test_optimizers(both, name):
    book, ours = both("common.optimizer")
    found = []
    for module in (book, ours):
        rng = np.random.default_rng(0)
        params = {"W": rng.normal(size=(3, 4)), "b": np.float64(0.5)}
        optimizer = getattr(module, name)(lr=0.05)
        for _ in range(5):
            optimizer.update(params, {"W": rng.normal(size=(3, 4)), "b": rng.normal()})
        found.append(params)
    for key in found[0]:
        np.testing.assert_allclose(found[1][key], found[0][key], 1e-10)


def test_an_optimizer_leaves_complex_parameters_to_the_book(both):
    _, ours = both("common.optimizer")
    report.clear()
    params, optimizer = {"z": np.array([1 + 1j])}, ours.Momentum(lr=0.5, momentum=0.5)
    for _ in range(2):
        optimizer.update(params, {"z": np.array([1j])})
    np.testing.assert_allclose(params["z"], [1 - 0.25j])
    assert [name for name, _ in report.fallbacks] == ["Momentum.update"]


@pytest.mark.parametrize("name", ["SGD", "Momentum", "Adam"])
def test_an_optimizer_hands_its_settings_and_its_state_over(both, name):
    """A whole number as the rate, and a parameter that becomes complex on the way."""
    book, ours = both("common.optimizer")
    found = []
    for module in (book, ours):
        params, optimizer = {"z": np.array([1.0])}, getattr(module, name)(lr=1)
        for gradient in (1.0, 2.0):
            optimizer.update(params, {"z": np.array([gradient])})
        params["z"] = params["z"] + 0j
        optimizer.update(params, {"z": np.array([0.5])})
        found.append(params["z"])
    np.testing.assert_allclose(found[1], found[0], 1e-12)


def test_numerical_gradient(both):
    book, ours = both("common.gradient")
    x = np.random.default_rng(0).normal(size=(2, 3, 2))
    found = [module.numerical_gradient(lambda x: (x ** 2).sum(), x) for module in (book, ours)]
    np.testing.assert_allclose(found[1], found[0], 1e-9)


@pytest.mark.parametrize("name, more", [("MultiLayerNet", {}), ("MultiLayerNet", {"weight_decay_lambda": 0.1}),
                                        ("MultiLayerNetExtend", {"use_batchnorm": True, "weight_decay_lambda": 0.1})])
@pytest.mark.parametrize("activation", ["relu", "sigmoid"])
def test_networks(both, name, more, activation):
    module = {"MultiLayerNet": "common.multi_layer_net", "MultiLayerNetExtend": "common.multi_layer_net_extend"}[name]
    book, ours = both(module)
    rng = np.random.default_rng(0)
    x, t = rng.random((20, 8), np.float32), rng.integers(0, 4, 20)
    networks = []
    for kind in (getattr(book, name), getattr(ours, name)):
        np.random.seed(2)
        networks.append(kind(8, [6, 5], 4, activation=activation, weight_init_std=0.3, **more))
    assert type(networks[1]).__module__ == module and isinstance(networks[1], fastconv.Network)
    grads = [network.gradient(x, t) for network in networks]
    assert set(grads[1]) == set(grads[0])
    for key in grads[0]:
        assert networks[1].params[key].dtype == grads[1][key].dtype == np.float64
        np.testing.assert_array_equal(networks[1].params[key], networks[0].params[key])
        np.testing.assert_allclose(grads[1][key], grads[0][key], 1e-7, 1e-9, err_msg=key)
    assert networks[1].loss(x, t) == pytest.approx(networks[0].loss(x, t), rel=1e-7)
    assert networks[1].accuracy(x, t) == networks[0].accuracy(x, t)
    assert list(networks[1].layers) == list(networks[0].layers)


def test_first_step_of_a_deep_network(both):
    """MNIST's background is zero and so are the first biases: where rounding left more, a ReLU would pass gradients."""
    (x, t), _ = load_mnist(flatten=False, source="excerpt")
    x, t = x[:30].astype(np.float64), t[:30]
    channels, pads = (1, 16, 16, 32, 32, 64, 64), (1, 1, 1, 2, 1, 1)

    def gradients(kinds):
        rng = np.random.default_rng(0)

        def weight(*shape, inputs):
            return rng.normal(size=shape) * np.sqrt(2 / inputs)

        layers = []
        for i, pad in enumerate(pads):
            W = weight(channels[i + 1], channels[i], 3, 3, inputs=9 * channels[i])
            layers += [kinds.Convolution(W, np.zeros(len(W)), 1, pad), kinds.Relu()]
            if i % 2:
                layers.append(kinds.Pooling(2, 2, 2))
        layers += [kinds.Affine(weight(1024, 50, inputs=1024), np.zeros(50)), kinds.Relu(),
                   kinds.Affine(weight(50, 10, inputs=50), np.zeros(10))]
        loss, out = kinds.SoftmaxWithLoss(), x
        for layer in layers:
            out = layer.forward(out)
        found = [np.array(loss.forward(out, t))]
        dout = loss.backward()
        for layer in reversed(layers):
            dout = layer.backward(dout)
        return found + [value for layer in layers if hasattr(layer, "dW") for value in (layer.dW, layer.db)]

    expected, found = map(gradients, both("common.layers"))
    assert len(found) == 17
    for ours, books in zip(found, expected, strict=True):
        np.testing.assert_allclose(ours, books, rtol=0, atol=1e-7 * np.abs(books).max())
