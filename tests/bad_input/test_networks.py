"""Networks, their models, preprocessing, images and data sets with what they cannot take."""
from __future__ import annotations

import numpy as np
import pytest
from bad_input.values import NO_NUMBERS, NO_SIZES, WORDS, images

from fastconv import Network, load_mnist, models
from fastconv.images import centre_crop, resize
from fastconv.layers import Affine, Convolution, Pooling, Relu
from fastconv.preprocessing import ChannelMean, MeanStd

x, t = np.ones((2, 3, 8, 8), np.float32), [0, 6]
every_backend = pytest.mark.usefixtures("backend")
wrong = pytest.mark.parametrize("value", NO_NUMBERS.values(), ids=NO_NUMBERS)


def network():
    made = Network()
    for layer in (Convolution(np.ones((4, 3, 3, 3)), np.zeros(4), pad=1), Relu(), Pooling(2, 2),
                  Affine(np.ones((64, 7)), np.zeros(7))):
        made.add(layer)
    return made


CALLS = {
    "predict": lambda v: network().predict(v),
    "loss x": lambda v: network().loss(v, t),
    "loss t": lambda v: network().loss(x, v),
    "gradient x": lambda v: network().gradient(v, t),
    "gradient t": lambda v: network().gradient(x, v),
    "gradient x by index": lambda v: network().gradient(v, t, np.array([1])),
    "gradient t by index": lambda v: network().gradient(x, v, np.array([1])),
    "accuracy x": lambda v: network().accuracy(v, t),
    "accuracy t": lambda v: network().accuracy(x, v),
    "numerical_gradient": lambda v: network().numerical_gradient(v, t),
    "MeanStd": MeanStd, "MeanStd()": MeanStd(), "ChannelMean fit": ChannelMean().fit, "ChannelMean()": ChannelMean([1]),
    "resize": lambda v: resize(v, 3), "MeanStd.from_state": MeanStd.from_state,
}


@wrong
@pytest.mark.parametrize("name", CALLS)
def test_no_numbers(name, value):
    with pytest.raises((TypeError, ValueError), match=rf"^(Network|\w+Mean|MeanStd|resize|\w+\.forward).*({WORDS})"):
        CALLS[name](value)


@every_backend
@pytest.mark.parametrize("call, words", [
    (lambda n: n.predict(np.ones((2, 4, 8, 8), np.float32)), "C = 3"),
    (lambda n: n.predict(np.ones((2, 3, 9, 9, 1), np.float32)), r"expected \(N, C, H, W\)"),
    (lambda n: n.predict(np.ones((2, 3, 1, 9), np.float32)), "does not fit|values a sample"),
    (lambda n: n.predict(np.float32(1)), "x is a scalar"),
    (lambda n: n.loss(x, [0]), r"expected integer labels of shape \(2,\)"),
    (lambda n: n.loss(x, [0, 7]), "expected 0 to 6"),
    (lambda n: n.loss(x, [0.0, 1.0]), "the labels are floating-point"),
    (lambda n: n.gradient(x, [-1, 0]), "expected 0 to 6"),
    (lambda n: n.gradient(x, [2**32, 0]), "expected 0 to 6"),
    (lambda n: n.gradient(x, t[:1], np.array([0])), "expected one label for each sample"),
    (lambda n: n.gradient(np.float32(1), t, np.array([0])), "expected one label for each sample"),
    (lambda n: n.gradient(x, t, np.array([2])), "index goes from 2 to 2, but x has 2 samples"),
    (lambda n: n.gradient(x, t, np.array([0.5])), r"expected \(M,\) of int"),
    (lambda n: n.gradient(x, t, np.array([2**63 + 1], np.uint64)), "but x has 2 samples"),
    (lambda n: n.accuracy(x[:0], t[:0]), "x has no samples"),
    (lambda n: n.accuracy(x, t, 0), "batch_size must be at least 1"),
    (lambda n: n.accuracy(x, t, 1.0), "batch_size must be an integer"),
    (lambda n: n.add(3), "expected an object with forward and backward"),
    (lambda n: n.add(Relu), "expected an object with forward and backward"),
    (lambda n: n.add(Relu(), inputs=4), "is no earlier node"),
    (lambda n: n.add(Relu(), inputs=0.0), "is no node"),
    (lambda n: n.add(Relu(), inputs=[None]), "is no node"),
    (lambda n: n.add(Relu(), inputs=()), "has no inputs"),
    (lambda n: n.auxiliary(1.0, 0.3), "is no node"),
    (lambda n: n.auxiliary(0, "0.3"), "weight must be a number"),
    (lambda n: n.seed("1"), "Network.seed: seed must be an integer"),
    (lambda n: n.seed(np.ones((2, 2)).view(np.matrix)), "Network.seed: seed must be an integer"),  # crashes NumPy
    (lambda n: n.seed(-1), "Network.seed: seed must be at least 0"),
    (lambda n: n.load_state([1]), "expected a mapping"),
    (lambda n: n.load_state({}), "W1 is missing"),
    (lambda n: n.summary((3, 8)), "expected"),
    (lambda n: n.summary((3, -8, 8)), "must be at least 1"),
    (lambda n: n.summary(3), "input_dim is 3"),
    (lambda n: n.summary(()), "expected"),
    (lambda n: Network(dtype=int), "expected a floating dtype"),
    (lambda n: Network(dtype="float33"), "expected a floating dtype"),
    (lambda n: Network(dtype=complex), "expected a floating dtype"),
    (lambda n: Network().predict(x), "no layers"),
])
def test_what_does_not_fit(call, words):
    with pytest.raises((TypeError, ValueError, IndexError), match=words):
        call(network())


@every_backend
@pytest.mark.parametrize("value", ["0.1", None, [0.1, 0.2], 1j, np.ones(3)], ids=repr)
def test_a_weight_decay_that_is_no_number(value):
    made = network()
    made.weight_decay_lambda = value
    for call in (made.loss, made.gradient):
        with pytest.raises(TypeError, match="weight_decay_lambda must be a number"):
            call(x, t)


@every_backend
def test_empty_batches():
    made = network()
    assert made.predict(x[:0]).shape == (0, 7)
    assert made.loss(x[:0], []) == 0
    assert not any(gradient.any() for gradient in made.gradient(x[:0], np.ones(0, int)).values())


@every_backend
@pytest.mark.parametrize("pad", [2**20, 2**31 - 1])
def test_a_network_of_more_than_any_memory(pad):
    made = Network()
    made.add(Convolution(np.ones((4, 3, 3, 3)), None, 1, pad))
    made.add(Affine(np.ones((4, 7)), None))
    with pytest.raises((MemoryError, ValueError), match="memory|Unable to allocate|values a sample"):
        made.predict(x)


@every_backend
def test_a_stride_beyond_the_image_in_a_network():
    grads = []
    for stride in (10, 2**31 - 1):
        made = Network()
        made.add(Convolution(np.ones((3, 3, 1, 1)), None))
        made.add(Convolution(np.ones((4, 3, 3, 3)), None, stride))
        made.add(Affine(np.ones((4, 7)), None))
        grads.append((made.predict(x), made.gradient(x, t)))
    np.testing.assert_array_equal(grads[0][0], grads[1][0])
    for key, gradient in grads[0][1].items():
        np.testing.assert_array_equal(gradient, grads[1][1][key])


MODELS = {
    "SimpleConvNet": (models.SimpleConvNet, {"hidden_size": 4, "output_size": 3}),
    "DeepConvNet": (models.DeepConvNet, {"hidden_size": 4, "output_size": 3}),
    "TwoLayerNet": (models.TwoLayerNet, {"input_size": 4, "hidden_size": 3, "output_size": 2}),
    "MultiLayerNet": (models.MultiLayerNet, {"input_size": 4, "hidden_size_list": [3], "output_size": 2}),
    "MultiLayerNetExtend": (models.MultiLayerNetExtend, {"input_size": 4, "hidden_size_list": [3], "output_size": 2}),
    "VGG": (models.VGG.small, {"num_classes": 3, "hidden_size": 4}),
    "AlexNet": (models.AlexNet, {"num_classes": 3}),
    "GoogLeNet": (models.GoogLeNet, {"num_classes": 3}),
    "ResNet": (models.ResNet, {"num_classes": 3}),
    "SmallResNet": (models.SmallResNet, {"num_classes": 3, "depth": 8}),
}
SETTINGS = [(name, key) for name, (_, settings) in MODELS.items() for key in settings
            if key != "hidden_size_list"]


@pytest.mark.parametrize("name, key", SETTINGS)
@pytest.mark.parametrize("n", [*NO_SIZES, 0, -1, 2**63, 10**30], ids=repr)
def test_sizes_of_models(name, key, n):
    model, settings = MODELS[name]
    with pytest.raises((TypeError, ValueError), match=f"{name}: .*(must be|expected)"):
        model(**settings | {key: n})


@pytest.mark.parametrize("sizes", [3, None, "3", [0], [3.0], [True], [[3]], [3, -1], 1.5], ids=repr)
@pytest.mark.parametrize("name", ["MultiLayerNet", "MultiLayerNetExtend"])
def test_hidden_sizes(name, sizes):
    with pytest.raises((TypeError, ValueError), match=f"{name}: (each of )?hidden_size_list"):
        MODELS[name][0](4, sizes, 2)


@pytest.mark.parametrize("name", [name for name, (_, settings) in MODELS.items() if "input_size" not in settings])
@pytest.mark.parametrize("dim", [None, 3, (28, 28), (1, 28.0, 28), (0, 28, 28), (1, (1, 2), 28), (1, -1, 28),
                                 (1, 2**63, 2), "abc"], ids=repr)
def test_sizes_of_images(name, dim):
    model, settings = MODELS[name]
    with pytest.raises((TypeError, ValueError), match=f"{name}: .*(must be|expected)"):
        model(**settings, input_dim=dim)


@pytest.mark.parametrize("name", ["SimpleConvNet", "AlexNet", "VGG"])
def test_images_that_are_too_small(name):
    model = models.VGG if name == "VGG" else MODELS[name][0]
    with pytest.raises(ValueError, match=f"{name}: .*too small"):
        model(input_dim=(1, 3, 3))


@pytest.mark.parametrize("name", MODELS)
@pytest.mark.parametrize("seed", ["1", 1.5, -1, [1], np.ones((2, 2))], ids=repr)
def test_seeds_of_models(name, seed):
    model, settings = MODELS[name]
    settings = settings | ({"width": 0.05} if name in ("VGG", "AlexNet", "GoogLeNet", "ResNet", "SmallResNet") else {})
    with pytest.raises((TypeError, ValueError), match=f"{name}: seed must be"):
        model(**settings, seed=seed)


@pytest.mark.parametrize("width", [0, -1, float("nan"), float("inf"), 1e30, "1", None])
def test_widths_of_models(width):
    with pytest.raises((TypeError, ValueError), match="ResNet: width"):
        models.ResNet(width=width)


@pytest.mark.parametrize("depth", [7, 9, 2**31, 10**12])
def test_depths(depth):
    with pytest.raises(ValueError, match="SmallResNet: depth"):
        models.SmallResNet(depth)


@pytest.mark.parametrize("call, words", [
    (lambda: load_mnist(normalize="no"), "normalize must be True or False"),
    (lambda: load_mnist(flatten=np.ones(3)), "flatten must be True or False"),
    (lambda: load_mnist(one_hot_label=None), "one_hot_label must be True or False"),
    (lambda: load_mnist(source="else"), "source must be"),
    (lambda: load_mnist(source=np.array(["excerpt", "mnist"])), "source must be"),
    (lambda: load_mnist(data_dir=b"here"), "data_dir must be a path"),
    (lambda: load_mnist(data_dir=3), "data_dir must be a path"),
    (lambda: load_mnist(data_dir="here", source="excerpt"), "exclude each other"),
    (lambda: resize(np.ones((3, 5, 5)), 3), "expected uint8"),
    (lambda: resize(np.ones((2, 5, 5), np.uint8), 3), "image has shape"),
    (lambda: resize(np.ones((3, 5, 5), np.uint8), 0), "shorter must be at least 1"),
    (lambda: resize(np.ones((3, 5, 5), np.uint8), 3.0), "shorter must be an integer"),
    (lambda: resize(np.ones((3, 5, 5), np.uint8), 2**40), "too large"),
    (lambda: centre_crop("abc", 3), "expected an array"),
    (lambda: centre_crop(np.ones(5), 3), "image has shape"),
    (lambda: centre_crop(images(3, 5, 5), True), "size must be an integer"),
    (lambda: centre_crop(images(3, 5, 5), (0, 5)), "size must be at least 1"),
    (lambda: centre_crop(images(3, 5, 5), 2**40), "size must be at most"),
    (lambda: centre_crop(images(3, 5, 5), 2**31 - 1), "more than any memory"),
    (lambda: MeanStd([1, 2], [1]), "mean has 2 numbers and std 1"),
    (lambda: MeanStd([1], [0]), "expected numbers above 0"),
    (lambda: MeanStd([float("nan")], [1]), "finite"),
    (lambda: MeanStd()(images(2, 4, 8, 8)), "4 channels, expected 3"),
    (lambda: MeanStd()(images(3, 8, 8)), r"expected \(N, C, H, W\)"),
    (lambda: ChannelMean().fit(images(0, 3, 8, 8)), "nothing to take the mean of"),
    (lambda: ChannelMean()(images(2, 3, 8, 8)), "call fit"),
])
def test_data(call, words):
    with pytest.raises((TypeError, ValueError, MemoryError), match=words):
        call()
