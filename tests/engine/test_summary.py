"""The table of a network's layers."""
from __future__ import annotations

import numpy as np
import pytest

from fastconv.engine import Network
from fastconv.engine.graph import Graph
from fastconv.engine.output_shapes import output_shapes
from fastconv.layers import (
    LRN,
    AdaptiveAveragePooling,
    Add,
    Affine,
    BatchNormalization,
    Concat,
    Convolution,
    Dropout,
    Flatten,
    GlobalAveragePooling,
    Pooling,
    Relu,
    Sigmoid,
)
from fastconv.models import DeepConvNet, SimpleConvNet, TwoLayerNet


def branched():
    network = Network()
    stem = network.add(Convolution(np.ones((4, 1, 3, 5)), np.ones(4), (2, 1), 1, groups=1), name="stem")
    left = network.add(Convolution(np.ones((6, 2, 1, 1)), None, groups=2))
    right = network.add(Pooling(3, 3, 1, 1, mode="average"), inputs=stem)
    joined = network.add(Concat(), inputs=(left, right), name="joined")
    network.add(Affine(np.ones((10 * 5 * 7, 3)), np.ones(3)))
    network.add(Affine(np.ones((10 * 5 * 7, 2)), None), inputs=joined, name="scores")
    network.auxiliary(4, 0.25)
    return network


def test_the_table():
    assert branched().summary((1, 9, 9)) == """\
node  name    layer                       reads        output  parameters  multiply-adds
----------------------------------------------------------------------------------------
      input                                            9x9x1
   0  stem    Convolution 3x5/2x1         input        5x7x4           64          2,100
   1          Convolution 1x1/1 groups 2               5x7x6           12            420
   2          average Pooling 3x3/1       0            5x7x4
   3  joined  Concat                      1, 2         5x7x10
   4          Affine                      loss x 0.25  3            1,053          1,050
   5  scores  Affine                      3            2              700            700
----------------------------------------------------------------------------------------
predictions: 776 parameters, 0.000 G multiply-adds
training: 1,829 parameters, 0.000 G multiply-adds"""


def test_multiply_adds_are_counted_one_by_one():
    """Against a count of the products of a padded loop nest."""
    text = branched().summary((1, 9, 9)).splitlines()
    assert 5 * 7 * 4 * (1 * 3 * 5) == 2100 and "2,100" in text[3]
    assert 5 * 7 * 6 * 2 == 420 and "420" in text[4]


def test_deep_convnet_knows_its_input():
    text = DeepConvNet(seed=0).summary()
    assert "28x28x16" in text and "4x4x64" in text
    assert text.splitlines()[-1] == "in all: 123,552 parameters, 0.009 G multiply-adds"
    assert "in all" in SimpleConvNet().summary() and "100" in TwoLayerNet(784, 100, 10).summary()


def test_the_input_may_be_another():
    assert "14x6x16" in DeepConvNet((1, 28, 12), seed=0).summary()
    network = Network()
    network.add(Convolution(np.ones((2, 1, 3, 3)), None, pad=1))
    assert "7x5x2" in network.summary((1, 7, 5)) and "8x9x2" in network.summary((1, 8, 9))


def test_what_does_not_fit():
    network = branched()
    with pytest.raises(TypeError, match="Network.summary: input_dim is missing"):
        network.summary()
    with pytest.raises(ValueError, match="Affine: samples have shape") as error:
        network.summary((1, 11, 9))
    assert error.value.__notes__ == ["in layers[4] of a network for samples of shape (1, 11, 9)"]
    with pytest.raises(ValueError, match="no layers yet"):
        Network().summary((1, 2, 3))


class Twice:
    """A layer of one's own."""

    def forward(self, x, train_flg=True):
        assert not train_flg
        self.x = x
        return np.concatenate([x, x], axis=1)


LAYERS = [
    Convolution(np.ones((6, 2, 3, 2)), None, (1, 2), (2, 0), dilation=(2, 3), groups=2),
    Pooling(3, 2, (1, 3), (1, 0)), Pooling(3, 2, 2, 1, ceil_mode=True), Pooling(2, 3, 3, mode="average"),
    Affine(np.ones((4 * 9 * 10, 7)), None), Relu(), Sigmoid(), Dropout(), LRN(), GlobalAveragePooling(), Flatten(),
    BatchNormalization(np.ones(4), np.ones(4)), AdaptiveAveragePooling(4, 3), Twice(),
]


@pytest.mark.parametrize("layer", LAYERS, ids=lambda layer: type(layer).__name__)
def test_shapes_are_those_of_running(layer):
    graph = Graph()
    graph.add(layer)
    shape = output_shapes(graph, (4, 9, 10))[0]
    assert getattr(layer, "x", None) is None
    more = {"train_flg": False} if isinstance(layer, Twice) else {}
    assert layer.forward(np.ones((2, 4, 9, 10), np.float32), **more).shape == (2, *shape)


def test_shapes_where_branches_meet():
    graph = Graph()
    graph.add(Convolution(np.ones((3, 4, 1, 1)), None))
    graph.add(Concat(), inputs=(-1, 0))
    graph.add(Add(), inputs=(1, 1))
    assert output_shapes(graph, (4, 5, 6)) == {-1: (4, 5, 6), 0: (3, 5, 6), 1: (7, 5, 6), 2: (7, 5, 6)}
    graph.add(Add(), inputs=(0, 1))
    with pytest.raises(ValueError, match=r"Add: samples have shapes \(3, 5, 6\), \(7, 5, 6\), expected one shape"):
        output_shapes(graph, (4, 5, 6))
    graph.layers.pop(), graph.inputs.pop()
    graph.add(Pooling(2, 2))
    graph.add(Concat(), inputs=(0, 3))
    with pytest.raises(ValueError, match="Concat: samples have shapes"):
        output_shapes(graph, (4, 5, 6))
