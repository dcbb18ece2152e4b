"""A network of fastconv against one of PyTorch with the same weights."""
from __future__ import annotations

import numpy as np
import pytest

from fastconv.engine import state
from fastconv.layers import Dropout

TOLERANCE = {np.float32: 1e-4, np.float64: 1e-9}
ANOTHER_WAY = 0.05  # of a gradient, by root mean square, where a maximum or a ReLU is decided by rounding
CASES = [(np.float64, 1), (np.float64, 2), (np.float64, 5), (np.float32, 1), (np.float32, 2), (np.float32, 5)]
cases = pytest.mark.parametrize("dtype, batch", CASES, ids=[f"{dtype.__name__}-{n}" for dtype, n in CASES])


def random_parameters(network, seed):
    """Give biases, gamma, beta and running statistics values of their own.

    A deep network turns one ReLU that opens by rounding into gradients that are off by percents: PyTorch's own float32
    is that far from its float64. So in float32 normalized values stay away from the ReLUs' edge, those of a channel all
    above it or all below; the latter not where a skip is added to them.
    """
    rng = np.random.default_rng(seed)
    arrays, decided = network.state(), network.dtype == np.float32
    for name, value in arrays.items():
        if name.endswith("running_var"):
            arrays[name] = rng.uniform(0.5, 1.5, value.shape)
        elif name.endswith("running_mean"):
            arrays[name] = rng.normal(0, 0.1, value.shape)
        elif value.ndim == 1 and name.replace("weight", "bias").replace("bias", "running_var") in arrays:
            gamma = name.endswith("weight")
            arrays[name] = rng.normal(1.0 if gamma else 0.0, 0.1, value.shape)
            if decided:
                below = not gamma and rng.random(value.shape) < 0.25 * name.endswith(("bn1.bias", "bn.bias"))
                arrays[name] = np.where(below, -1, 1) * rng.uniform(*((0.4, 0.5) if gamma else (2, 3)), value.shape)
        elif value.ndim == 1:
            arrays[name] = rng.normal(0, 0.1, value.shape)
    network.load_state(arrays)


def same_weights(network, module):
    """Load the network's state into the module: names and shapes must be the module's own."""
    import torch
    dtype = torch.float64 if network.dtype == np.float64 else torch.float32
    module.to(dtype)
    arrays = {name: torch.tensor(np.array(value)) for name, value in network.state().items()}
    found = module.load_state_dict(arrays, strict=False)
    assert not found.unexpected_keys
    assert all(name.endswith("num_batches_tracked") for name in found.missing_keys), found.missing_keys


def assert_names(network, make):
    """The network's arrays have the names and shapes of a module that is never made in full."""
    import torch
    with torch.device("meta"):
        module = make()
    expected = {name: tuple(value.shape) for name, value in module.state_dict().items()
                if not name.endswith("num_batches_tracked")}
    assert {name: value.shape for name, value in network.state().items()} == expected


def close(ours, theirs, tolerance, name):
    theirs = theirs.detach().numpy()
    assert ours.shape == theirs.shape and ours.dtype == theirs.dtype, name
    assert np.isfinite(theirs).all()
    np.testing.assert_allclose(ours, theirs, rtol=0, atol=tolerance * np.abs(theirs).max(), err_msg=name)


def _cross_entropy(score, t):
    """The book's: 1e-7 is added inside the logarithm."""
    y = score.detach().double().softmax(1).numpy()
    return -np.log(y[np.arange(len(t)), t] + 1e-7).mean()


def compare(network, module, batch, weights=()):
    """Scores in inference; then loss, running statistics, scores and all gradients of a training step without dropout.

    In float32 three times, with other parameters and images: where two values of a maximum, or of a ReLU and 0, differ
    by rounding alone, the gradient goes another way, in PyTorch's own float32 as well. That changes the gradients below
    by little on the whole, and not each time; everything else it leaves alone. In float64 it does not happen.

    Parameters
    ----------
    weights : sequence of float
        Those of the module's auxiliary scores.
    """
    if network.dtype == np.float64:
        assert not _gradient_errors(network, module, batch, weights, 0)
        return
    errors = [_gradient_errors(network, module, batch, weights, seed) for seed in range(3)]
    assert not all(errors), errors
    far = [(name, error) for found in errors for name, error in found.items() if error > ANOTHER_WAY]
    assert not far, far


def _gradient_errors(network, module, batch, weights, seed):
    """Compare a step, and return the gradients that are not PyTorch's: {name: error by root mean square}."""
    import torch
    random_parameters(network, seed)
    same_weights(network, module)
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(batch, *network.input_dim)).astype(network.dtype)
    t = rng.integers(0, network.num_classes, batch)
    tolerance = TOLERANCE[network.dtype.type]

    module.eval()
    close(network.predict(x), module(torch.tensor(x)), tolerance, "scores")

    for layer in network.layers:
        if isinstance(layer, Dropout):
            layer.dropout_ratio = 0
    for part in module.modules():
        if isinstance(part, torch.nn.Dropout):
            part.p = 0.0
    module.train()
    module.zero_grad()
    scores = module(torch.tensor(x))
    scores = scores if isinstance(scores, tuple) else (scores,)
    assert len(scores) == 1 + len(weights)
    losses = [torch.nn.functional.cross_entropy(score, torch.tensor(t)) for score in scores]
    total = sum((weight * loss for weight, loss in zip(weights, losses[1:], strict=True)), start=losses[0])
    total.backward()
    network.gradient(x, t)
    expected = sum(weight * _cross_entropy(score, t) for weight, score in zip((1, *weights), scores, strict=True))
    assert network.last_layer.loss == pytest.approx(expected, rel=1e-5)

    theirs = dict(module.named_parameters())
    largest = max(float(value.grad.abs().max()) for value in theirs.values())
    errors = {}
    for name, (layer, attribute) in state.entries(network._graph).items():
        if attribute.startswith("running"):
            close(getattr(layer, attribute), module.state_dict()[name], tolerance, name)
            continue
        ours, exact = getattr(layer, f"d{attribute}"), theirs[name].grad.numpy()
        ours = ours.T if ours.ndim == 2 else ours
        assert ours.shape == exact.shape and ours.dtype == exact.dtype, name
        # a bias before a normalization has no gradient but rounding
        if not np.abs(ours - exact).max() <= tolerance * max(np.abs(exact).max(), 1e-2 * largest):
            errors[name] = np.linalg.norm(ours - exact) / np.linalg.norm(exact)
    close(network.predict(x, train_flg=True), module(torch.tensor(x))[0] if weights else module(torch.tensor(x)),
          tolerance, "scores in training")
    return errors
