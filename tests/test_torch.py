"""PyTorch as an oracle: an implementation by other people, layer by layer and over a whole training step."""
from __future__ import annotations

import numpy as np
import pytest

import fastconv

pytestmark = pytest.mark.torch

CONVOLUTIONS = [  # x shape, filters, kernel, stride, pad, dilation, groups
    ((2, 3, 9, 7), 5, (3, 3), (1, 1), (1, 1), (1, 1), 1),
    ((2, 1, 12, 11), 17, (5, 4), (2, 3), (2, 1), (1, 1), 1),
    ((1, 6, 13, 10), 4, (3, 2), (1, 2), (2, 0), (2, 3), 2),
    ((3, 5, 8, 8), 5, (3, 3), (2, 2), (1, 1), (1, 1), 5),
    ((2, 17, 6, 6), 33, (1, 1), (1, 1), (0, 0), (1, 1), 1),
    ((1, 3, 23, 23), 8, (11, 11), (4, 4), (2, 2), (1, 1), 1),
]


@pytest.fixture
def torch():
    return pytest.importorskip("torch")


@pytest.fixture(params=[np.float32, np.float64])
def dtype(request):
    return request.param


def close(ours, theirs, dtype):
    theirs = theirs.detach().numpy()
    scale = max(1.0, np.abs(theirs).max())
    assert ours.dtype == dtype
    np.testing.assert_allclose(ours, theirs, rtol=0, atol=scale * (1e-5 if dtype == np.float32 else 1e-12))


@pytest.mark.parametrize("shape, filters, kernel, stride, pad, dilation, groups", CONVOLUTIONS)
def test_convolution(torch, dtype, shape, filters, kernel, stride, pad, dilation, groups):
    rng = np.random.default_rng(0)
    x = rng.standard_normal(shape).astype(dtype)
    W = rng.standard_normal((filters, shape[1] // groups, *kernel)).astype(dtype)
    b = rng.standard_normal(filters).astype(dtype)
    tx, tW, tb = (torch.tensor(a, requires_grad=True) for a in (x, W, b))
    expected = torch.nn.functional.conv2d(tx, tW, tb, stride, pad, dilation, groups)
    layer = fastconv.Convolution(W, b, stride, pad, dilation=dilation, groups=groups)
    out = layer.forward(x)
    close(out, expected, dtype)
    dout = rng.standard_normal(out.shape).astype(dtype)
    expected.backward(torch.tensor(dout))
    close(layer.backward(dout), tx.grad, dtype)
    close(layer.dW, tW.grad, dtype)
    close(layer.db, tb.grad, dtype)


@pytest.mark.parametrize("window, stride, pad", [((2, 2), 2, 0), ((3, 3), 2, 1), ((3, 2), (1, 3), (1, 0)),
                                                 ((2, 2), (3, 2), 1)])
@pytest.mark.parametrize("mode", ["max", "average"])
@pytest.mark.parametrize("size", [(9, 8), (6, 10), (5, 4), (3, 7)])
@pytest.mark.parametrize("ceil_mode", [False, True])
def test_pooling(torch, dtype, mode, window, stride, pad, size, ceil_mode):
    rng = np.random.default_rng(1)
    x = rng.standard_normal((2, 5, *size)).astype(dtype)
    tx = torch.tensor(x, requires_grad=True)
    pool = torch.nn.functional.max_pool2d if mode == "max" else torch.nn.functional.avg_pool2d
    expected = pool(tx, window, stride, pad, ceil_mode=ceil_mode)
    layer = fastconv.Pooling(*window, stride, pad, mode=mode, ceil_mode=ceil_mode)
    out = layer.forward(x)
    close(out, expected, dtype)
    dout = rng.standard_normal(out.shape).astype(dtype)
    expected.backward(torch.tensor(dout))
    close(layer.backward(dout), tx.grad, dtype)


@pytest.mark.parametrize("n, k, alpha, beta, shape", [
    (5, 2.0, 1e-4, 0.75, (2, 17, 4, 3)), (4, 1.0, 0.7, 0.6, (1, 5, 3, 6)), (9, 1.5, 2.0, 0.75, (3, 3, 2, 5)),
    (1, 1.0, 1.0, 1.0, (2, 1, 3, 2))])
def test_lrn(torch, dtype, n, k, alpha, beta, shape):
    rng = np.random.default_rng(4)
    x = (0.5 + rng.standard_normal(shape)).astype(dtype)
    tx = torch.tensor(x, requires_grad=True)
    expected = torch.nn.LocalResponseNorm(n, alpha, beta, k)(tx)
    layer = fastconv.LRN(n, k, alpha, beta)
    close(layer.forward(x), expected, dtype)
    dout = rng.standard_normal(shape).astype(dtype)
    expected.backward(torch.tensor(dout))
    close(layer.backward(dout), tx.grad, dtype)


def test_global_average_pooling_and_flatten(torch, dtype):
    rng = np.random.default_rng(5)
    x = (3 + rng.standard_normal((2, 17, 7, 5))).astype(dtype)
    tx = torch.tensor(x, requires_grad=True)
    for layer, expected in ((fastconv.GlobalAveragePooling(), tx.mean((2, 3))), (fastconv.Flatten(), tx.flatten(1))):
        close(layer.forward(x), expected, dtype)
        dout = rng.standard_normal(expected.shape).astype(dtype)
        tx.grad = None
        expected.backward(torch.tensor(dout))
        close(layer.backward(dout), tx.grad, dtype)


def test_batch_normalization_per_channel(torch, dtype):
    rng = np.random.default_rng(2)
    x = (5 + rng.standard_normal((4, 3, 6, 5))).astype(dtype)
    gamma, beta = rng.standard_normal((2, 3)).astype(dtype)
    tx, tgamma, tbeta = (torch.tensor(a, requires_grad=True) for a in (x, gamma, beta))
    expected = torch.nn.functional.batch_norm(tx, None, None, tgamma, tbeta, training=True, eps=10e-7)
    layer = fastconv.BatchNormalization(gamma, beta)
    close(layer.forward(x), expected, dtype)
    dout = rng.standard_normal(x.shape).astype(dtype)
    expected.backward(torch.tensor(dout))
    close(layer.backward(dout), tx.grad, dtype)
    close(layer.dgamma, tgamma.grad, dtype)
    close(layer.dbeta, tbeta.grad, dtype)


@pytest.mark.parametrize("smoothing", [0.1, 0.9])
@pytest.mark.parametrize("soft", [False, True])
def test_label_smoothing(torch, dtype, smoothing, soft):
    rng = np.random.default_rng(6)
    x = (5 * rng.standard_normal((7, 11))).astype(dtype)
    t = rng.dirichlet(np.ones(11), 7).astype(dtype) if soft else rng.integers(0, 11, 7)
    tx = torch.tensor(x, requires_grad=True)
    expected = torch.nn.CrossEntropyLoss(label_smoothing=smoothing)(tx, torch.tensor(t))
    expected.backward()
    layer = fastconv.SoftmaxWithLoss(label_smoothing=smoothing)
    assert layer.forward(x, t) == pytest.approx(expected.item(), rel=1e-6 if dtype == np.float32 else 1e-12)
    close(layer.backward(), tx.grad, dtype)


def test_deep_convnet_gradients(torch, dtype):
    """Forward, loss and every gradient of the whole network, without dropout."""
    rng = np.random.default_rng(3)
    network = fastconv.DeepConvNet(dtype=dtype, seed=0)
    for layer in network.layers:
        if isinstance(layer, fastconv.Dropout):
            layer.dropout_ratio = -1.0  # every uniform number exceeds it: the mask keeps all
    x, t = rng.random((5, 1, 28, 28)).astype(dtype), rng.integers(0, 10, 5)
    p = {key: torch.tensor(np.array(value), requires_grad=True) for key, value in network.params.items()}
    a = torch.tensor(x)
    for i in range(1, 7):
        a = torch.relu(torch.nn.functional.conv2d(a, p[f"W{i}"], p[f"b{i}"], padding=2 if i == 4 else 1))
        if i % 2 == 0:
            a = torch.nn.functional.max_pool2d(a, 2)
    a = torch.relu(a.flatten(1) @ p["W7"] + p["b7"]) @ p["W8"] + p["b8"]
    loss = torch.nn.functional.cross_entropy(a, torch.tensor(t))
    loss.backward()
    grads = network.gradient(x, t)
    assert network.last_layer.loss == pytest.approx(loss.item(), rel=1e-5)  # the book adds 1e-7 inside the log
    for key, grad in grads.items():
        expected = p[key].grad.numpy()
        np.testing.assert_allclose(grad, expected, rtol=0, atol=np.abs(expected).max() * 1e-4)
