"""Networks take images as bytes, 0 to 255, and see them as load_mnist(normalize=True) would give them."""
from __future__ import annotations

import numpy as np
import pytest
from engine.toys import affine

from fastconv.datasets import load_mnist
from fastconv.engine import Network
from fastconv.layers import Convolution, Relu


class Seen:
    """Passes its input on and keeps it."""

    def forward(self, x):
        self.x = x
        return x


def convolutional(dtype):
    rng = np.random.default_rng(1)
    network = Network(dtype=dtype)
    network.add(Convolution(rng.normal(size=(3, 2, 3, 3)), rng.normal(size=3), pad=1))
    network.add(Relu())
    network.add(affine(3 * 4 * 5, 4, 2, dtype))
    return network


@pytest.fixture
def images():
    return np.random.default_rng(2).integers(0, 256, (7, 2, 4, 5), np.uint8)


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
def test_every_byte_becomes_its_255th_part(dtype):
    network, seen = Network(dtype=dtype), Seen()
    network.add(seen)
    images = np.arange(256, dtype=np.uint8).reshape(4, 1, 8, 8)
    images.flags.writeable = False
    network.predict(images)
    np.testing.assert_array_equal(seen.x, images.astype(dtype) / 255)
    assert seen.x.dtype == dtype and seen.x.max() == 1


@pytest.mark.parametrize("flatten", [False, True])
def test_images_are_seen_as_load_mnist_normalizes_them(flatten):
    network, seen = Network(), Seen()
    network.add(seen)
    (bytes_, _), _ = load_mnist(normalize=False, flatten=flatten, source="excerpt")
    (images, _), _ = load_mnist(flatten=flatten, source="excerpt")
    network.predict(bytes_[:100])
    np.testing.assert_array_equal(seen.x, images[:100])


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_predict_loss_accuracy_gradient(images, dtype):
    network, t = convolutional(dtype), np.array([0, 1, 2, 3, 0, 1, 2])
    x = images.astype(dtype) / 255
    np.testing.assert_array_equal(network.predict(images), network.predict(x))
    assert network.predict(images).dtype == dtype
    assert network.loss(images, t) == network.loss(x, t)
    assert network.accuracy(images, t, batch_size=3) == network.accuracy(x, t)
    found, expected = network.gradient(images, t), network.gradient(x, t)
    for key in expected:
        np.testing.assert_array_equal(found[key], expected[key])


def test_any_layout_and_an_empty_batch(images):
    network = convolutional(np.float32)
    expected = network.predict(images)
    for other in (np.asfortranarray(images), images[::-1].copy()[::-1],
                  np.ascontiguousarray(images.transpose(0, 2, 3, 1)).transpose(0, 3, 1, 2)):
        np.testing.assert_array_equal(network.predict(other), expected)
    assert network.predict(images[:0]).shape == (0, 4)


@pytest.mark.parametrize("dtype", [np.int8, np.int64, np.uint16, bool])
def test_other_integers_are_the_numbers_they_are(images, dtype):
    network, x = convolutional(np.float32), (images % 100).astype(dtype)
    np.testing.assert_array_equal(network.predict(x), network.predict(x.astype(np.float32)))


def test_layers_by_themselves_take_bytes_as_numbers(images):
    layer = convolutional(np.float32).layers[0]
    np.testing.assert_array_equal(layer.forward(images), layer.forward(images.astype(np.float32)))
