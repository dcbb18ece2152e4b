"""Layers and networks on arrays that lie in memory in any way: the bits of contiguous ones, and none is written to."""
from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from layers.zoo import LAYERS, make, results
from properties.strategies import arrays, every_backend, layouts

from fastconv import Network, dispatch
from fastconv.layers import Affine, BatchNormalization, Convolution, Pooling, Relu


def assert_same(found, expected):
    assert found.keys() == expected.keys()
    for key in expected:
        np.testing.assert_array_equal(found[key], expected[key], err_msg=key)
        assert found[key].dtype == expected[key].dtype, key


@every_backend
@pytest.mark.parametrize("name", LAYERS)
@given(dtype=st.sampled_from([np.float32, np.float64, np.float16]), data=st.data())
def test_layers(backend, name, dtype, data):
    with dispatch.use(backend):
        layer, example = make(name, dtype)
        x = data.draw(arrays(*example.shape, dtype=dtype))
        dout = data.draw(arrays(*np.shape(layer.forward(x)), dtype=np.float32).map(lambda a: a.astype(dtype)))
        expected = results(make(name, dtype)[0], x, dout)
        x_there, dout_there = data.draw(layouts(x)), data.draw(layouts(dout))
        before = x_there.tobytes(), dout_there.tobytes()
        assert_same(results(make(name, dtype)[0], x_there, dout_there), expected)
        assert (x_there.tobytes(), dout_there.tobytes()) == before


def network(dtype, layer_by_layer):
    rng = np.random.default_rng(0)
    made = Network(dtype=dtype)
    made.add(Convolution(rng.normal(0, 0.3, (8, 2, 3, 3)), rng.normal(size=8), pad=1))
    if layer_by_layer:
        made.add(Unknown())
    for layer in (BatchNormalization(np.ones(8), np.zeros(8)), Relu(), Pooling(2, 2),
                  Affine(rng.normal(0, 0.3, (8 * 3 * 2, 5)), np.zeros(5))):
        made.add(layer)
    return made


class Unknown(Relu):
    """A layer without steps in plans."""


@every_backend
@pytest.mark.parametrize("layer_by_layer", [False, True])
@given(dtype=st.sampled_from([np.float32, np.float64]), N=st.integers(0, 9), data=st.data())
def test_networks(backend, layer_by_layer, dtype, N, data):
    x = data.draw(arrays(N, 2, 6, 5, dtype=data.draw(st.sampled_from([np.float32, np.float64, np.float16]))))
    if data.draw(st.booleans()):
        x = (np.abs(x) * 60).clip(0, 255).astype(np.uint8)
    t = np.random.default_rng(N).integers(0, 5, N)
    t = np.eye(5)[t] if data.draw(st.booleans()) else t
    index = np.random.default_rng(N).permutation(N)[: N // 2 + 1]
    there = [data.draw(layouts(a)) for a in (x, t, index)]
    before = [a.tobytes() for a in there]
    with dispatch.use(backend):
        one, other = network(dtype, layer_by_layer), network(dtype, layer_by_layer)
        np.testing.assert_array_equal(other.predict(there[0]), one.predict(x))
        assert_same(other.gradient(*there), one.gradient(x, t, index))
        assert other.loss(*there[:2]) == one.loss(x, t)
    assert [a.tobytes() for a in there] == before
