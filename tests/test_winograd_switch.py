"""The switch for Winograd's method: it changes which kernels run, at the next call."""
import numpy as np
import pytest

import fastconv
from fastconv import dispatch
from fastconv.winograd import use_winograd, winograd_enabled

COMPILED = [name for name in dispatch.backends() if name != "reference"]
pytestmark = pytest.mark.skipif(not COMPILED, reason="there are no compiled kernels")


def results(backend):
    rng = np.random.default_rng(0)
    x = rng.standard_normal((3, 16, 13, 17), dtype=np.float32)
    W = rng.standard_normal((16, 16, 3, 3), dtype=np.float32)
    network = fastconv.Network()
    network.add(fastconv.Convolution(W, None, 1, 1))
    with dispatch.use(backend):
        return fastconv.Convolution(W, None, 1, 1).forward(x), network.predict(x)


def test_the_block_ends():
    before = winograd_enabled()
    with use_winograd(False):
        assert not winograd_enabled()
        with use_winograd(True):
            assert winograd_enabled()
        assert not winograd_enabled()
    assert winograd_enabled() == before


@pytest.mark.parametrize("backend", COMPILED)
def test_layers_and_networks_follow(backend):
    with use_winograd(True):
        layer, network = results(backend)
    with use_winograd(False):
        layer_defined, network_defined = results(backend)
    for fast, defined in ((layer, layer_defined), (network, network_defined)):
        assert not np.array_equal(fast, defined)  # other roundings
        assert np.abs(fast - defined).max() < 1e-4 * np.abs(defined).max()


def test_the_call_lasts():
    before = winograd_enabled()
    try:
        use_winograd(not before)
        assert winograd_enabled() != before
    finally:
        use_winograd(before)


def test_without_compiled_kernels(monkeypatch):
    monkeypatch.setattr(dispatch, "backends", lambda: ("reference",))
    with use_winograd(True):
        assert not winograd_enabled()
