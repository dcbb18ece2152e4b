"""Networks in PyTorch and ONNX: the same scores, gradients and running statistics as ours."""
from __future__ import annotations

import numpy as np
import pytest

from benchmarks.measure import compare
from benchmarks.table.networks import nothing_dropped
from benchmarks.table.photographs import unsettle
from fastconv import (
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
)
from fastconv.engine import Network
from fastconv.models import VGG, AlexNet, GoogLeNet, ResNet, SmallResNet
from fastconv.models.image_network import ImageNetwork

SIZE = (3, 37, 29)


def every_layer(size, classes, dtype, seed):
    """Return a network of all layers, with the settings that the models do not use."""
    network = ImageNetwork(size, classes, 1, dtype)
    network.add(Convolution(np.zeros((6, 3, 3, 2)), None, (2, 1), (1, 0), dilation=(1, 2)))
    network.bn("bn")
    stem = network.relu()
    network.add(Relu(), inputs="input")
    network.add(Convolution(np.zeros((6, 3, 3, 3)), np.zeros(6), (2, 1), (1, 0)))
    other = network.add(LRN(3, 1.5, 0.1, 0.6))
    network.add(Add(), inputs=(stem, other, stem))
    pooled = network.add(Pooling(3, 2, 2, (1, 0), ceil_mode=True))
    average = network.add(Pooling(3, 3, 1, 1, mode="average"))
    network.add(Concat(), inputs=(pooled, average))
    network.add(Convolution(np.zeros((9, 4, 1, 1)), np.zeros(9), groups=3))
    adaptive = network.add(AdaptiveAveragePooling(4, 5))
    network.add(Pooling(3, 2, 2, mode="average", ceil_mode=True))
    flat = network.add(Flatten())
    network.add(GlobalAveragePooling(), inputs=adaptive)
    network.auxiliary(network.affine("aux", classes), 0.25)
    network.add(Concat(), inputs=(flat, network.add(GlobalAveragePooling(), inputs=adaptive)))
    network.dropout(0.3)
    network.add(Affine(np.zeros((network.shape()[0], classes)), None))
    network.initialize(seed)
    return network


MAKERS = {
    "every-layer": every_layer,
    "vgg": lambda size, classes, dtype, seed: VGG.small("A", size, classes, batch_norm=False, width=0.05, dtype=dtype,
                                                        seed=seed),
    "resnet18": lambda size, classes, dtype, seed: ResNet(18, size, classes, width=0.05, dtype=dtype, seed=seed),
    "resnet50": lambda size, classes, dtype, seed: ResNet(50, size, classes, width=0.03, dtype=dtype, seed=seed),
    "resnet20": lambda size, classes, dtype, seed: SmallResNet(20, size, classes, width=0.3, dtype=dtype, seed=seed),
    **{f"googlenet-{variant}": lambda size, classes, dtype, seed, variant=variant: GoogLeNet.small(
        size, classes, variant=variant, width=0.06, dtype=dtype, seed=seed) for variant in ("paper", "batch_norm")},
    **{f"alexnet-{variant}": lambda size, classes, dtype, seed, variant=variant: AlexNet.small(
        size, classes, variant=variant, width=0.02, dtype=dtype, seed=seed) for variant in ("paper", "one-tower")},
}


def case(name, dtype):
    """Return a network with parameters and statistics that are not the first ones, images and labels."""
    rng = np.random.default_rng(5)
    network = MAKERS[name](SIZE, 7, dtype, 0)
    unsettle(network, rng)
    return network, rng.standard_normal((3, *SIZE)).astype(dtype), rng.integers(0, 7, 3)


@pytest.mark.torch
@pytest.mark.parametrize("layout", ["torch", "torch-nhwc"])
@pytest.mark.parametrize("name", MAKERS)
def test_torch_predicts_as_we_do(name, layout):
    import torch

    from benchmarks.graph_peers.in_torch import TorchGraph
    network, x, _ = case(name, np.float64)
    module = TorchGraph(network, layout).eval()
    before = x.copy()
    with torch.inference_mode():
        compare([module(module.images(x)).numpy()], [network.predict(x)], 1e-10)
    np.testing.assert_array_equal(x, before)


@pytest.mark.torch
@pytest.mark.parametrize("layout", ["torch", "torch-nhwc"])
@pytest.mark.parametrize("name", MAKERS)
def test_torch_learns_as_we_do(name, layout):
    import torch

    from benchmarks.graph_peers.in_torch import TorchGraph
    network, x, t = case(name, np.float64)
    module = TorchGraph(network, layout).train()
    module.keeps_all = True
    module.loss(module.images(x), torch.from_numpy(t)).backward()
    with nothing_dropped(network.layers, Dropout):
        ours = network.gradient(x, t)
    theirs = module.gradients()
    assert theirs.keys() == ours.keys()
    compare([theirs[key] for key in ours], list(ours.values()), 1e-9)
    normalizations = [layer for layer in network.layers if isinstance(layer, BatchNormalization)]
    for number, layer in enumerate(normalizations, 1):
        np.testing.assert_allclose(module.get_buffer(f"running_mean_gamma{number}"), layer.running_mean, atol=1e-12)
        np.testing.assert_allclose(module.get_buffer(f"running_var_gamma{number}"), layer.running_var, rtol=1e-10)


@pytest.mark.torch
def test_torch_drops_in_training_only():
    import torch

    from benchmarks.graph_peers.in_torch import TorchGraph
    network = Network()
    network.add(Dropout(0.25, inverted=True))
    module, x = TorchGraph(network), torch.ones(10, 1000)
    assert module.train()(x).unique().tolist() == pytest.approx([0, 4 / 3])
    assert (module.eval()(x) == 1).all()
    module.train().keeps_all = True
    assert (module(x) == 1).all()


@pytest.mark.torch
def test_torch_has_copies_in_its_layout():
    import torch

    from benchmarks.graph_peers.in_torch import TorchGraph
    network, x, _ = case("vgg", np.float32)
    module = TorchGraph(network, "torch-nhwc")
    assert module.W2.is_contiguous(memory_format=torch.channels_last)
    assert module.images(x).is_contiguous(memory_format=torch.channels_last)
    with torch.no_grad():
        module.W1.zero_()
    assert network.params["W1"].any()


@pytest.mark.parametrize("name", MAKERS)
def test_onnx_predicts_as_we_do(name):
    pytest.importorskip("onnx")
    onnxruntime = pytest.importorskip("onnxruntime")
    from benchmarks.graph_peers.in_onnx import onnx_model
    network, x, _ = case(name, np.float32)
    session = onnxruntime.InferenceSession(onnx_model(network, x.shape), providers=["CPUExecutionProvider"])
    compare(session.run(None, {"x": x}), [network.predict(x)], 1e-5)


def test_onnx_has_no_lrn_over_an_even_number():
    pytest.importorskip("onnx")
    from benchmarks.graph_peers.in_onnx import onnx_model
    network = Network()
    network.add(LRN(4))
    with pytest.raises(ValueError, match="LRN has n=4, expected an odd n"):
        onnx_model(network, (1, 5, 3, 3))
