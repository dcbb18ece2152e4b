"""Small calls whose results tell whether an object still computes what the book's does.

Readers change their copies: an inverted Dropout, a leaky Relu. Such an object is theirs, and stays. Each probe takes
the object and returns what it computed; an object passes if that agrees with the replacement's.
"""
from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np

from ..arrays import Array
from ..dispatch import use
from .report import report

X = np.array([[1.5, -2.0, 0.5, 0.25], [-0.5, 0.75, 2.0, -1.0], [0.1, 0.2, -0.3, 3.0]])
DOUT = np.array([[0.3, -0.2, 0.5, 1.0], [0.4, 0.7, -0.1, 0.2], [-0.6, 0.9, 0.8, -0.7]])
W = np.linspace(-1, 1, 8).reshape(4, 2) ** 3
IMAGES = np.sin(np.arange(2 * 2 * 5 * 4)).reshape(2, 2, 5, 4)
FILTERS = np.cos(np.arange(3 * 2 * 2 * 2)).reshape(3, 2, 2, 2)
LABELS = np.array([2, 0, 1])
DRAWING = {"shuffle_dataset", "Dropout", "MultiLayerNet", "MultiLayerNetExtend"}  # from NumPy's random stream
Results = list[Any]


def differs(replacement: Any, book: Any, name: str) -> str | None:
    """Return what keeps the replacement from standing in for the book's object, None where nothing does."""
    probe = PROBES.get(name)
    if probe is None:
        return None
    try:
        theirs = _results(probe, book, name)
    except Exception as error:  # it may be anything: the code is the reader's
        return f"fails in a small test: {type(error).__name__}: {error}"
    ours = _results(probe, replacement, name)
    same = len(ours) == len(theirs) and all(map(_agree, ours, theirs))
    return None if same else "computes something else than the book's"


@contextmanager
def undisturbed() -> Iterator[None]:
    """Keep NumPy's random stream as it was in a block of probes, and compile nothing."""
    before = sys.modules.get("numpy.random")  # which NumPy loads, in 10 ms, when a script first asks for it
    state = before and before.get_state()
    try:
        with use("reference"), report.paused(), np.errstate(all="ignore"):
            yield
    finally:
        if before:
            before.set_state(state)
        elif "numpy.random" in sys.modules:
            np.random.seed()


def _results(probe: Callable[[Any], Results], kind: Any, name: str) -> list[Array]:
    if name in DRAWING:
        np.random.seed(0)
    return [np.asarray(found, float) for found in probe(kind)]


def _agree(ours: Array, theirs: Array) -> bool:
    return ours.shape == theirs.shape and bool((abs(ours - theirs) <= 1e-6 + 1e-5 * abs(theirs)).all())


def _function(*arguments: Any) -> Callable[[Any], Results]:
    def probe(function: Any) -> Results:
        return [function(*(np.copy(a) if isinstance(a, np.ndarray) else a for a in arguments))]

    return probe


def _layer(x: Any, dout: Any, *arguments: Any, learned: tuple[str, ...] = ()) -> Callable[[Any], Results]:
    def probe(kind: Any) -> Results:
        layer = kind(*arguments)
        out = np.array(layer.forward(x.copy()))
        dx = np.array(layer.backward(dout.copy()))
        return [out, dx, *(getattr(layer, f"d{name}") for name in learned)]

    return probe


def _loss(kind: Any) -> Results:
    layer = kind()
    found: Results = []
    for t in (LABELS, np.eye(4)[LABELS]):
        found += [layer.forward(X.copy(), t.copy()), np.array(layer.backward())]
    return found


def _dropout(kind: Any) -> Results:
    """The masks differ: see that some values are dropped, the others kept as they are, and the gradient alike."""
    layer = kind(0.5)
    found: Results = [layer.forward(X.copy(), False)]
    x = np.linspace(1, 2, 400).reshape(20, 20)
    out, dx = np.array(layer.forward(x.copy(), True)), np.array(layer.backward(x.copy()))
    return [*found, np.isin(out - x, 0) | (out == 0), np.array_equal(out, dx), 100 < np.count_nonzero(out) < 300]


def _normalization(kind: Any) -> Results:
    layer = kind(np.array([1.0, 2.0, 0.5, 1.5]), np.array([0.0, 0.1, -0.2, 0.3]))
    found = [layer.forward(X.copy(), True), layer.backward(DOUT.copy()), layer.dgamma, layer.dbeta]
    return [*map(np.array, found), layer.running_mean, layer.running_var, layer.forward(X.copy(), False)]


def _optimizer(kind: Any) -> Results:
    params, optimizer = {"W": W.copy(), "b": DOUT[0].copy()}, kind(lr=0.1)
    for step in range(3):
        optimizer.update(params, {"W": W[::-1] + step, "b": DOUT[1] * (step + 1)})
    return [params["W"], params["b"]]


def _net(*arguments: Any, **more: Any) -> Callable[[Any], Results]:
    def probe(kind: Any) -> Results:
        network = kind(*arguments, **more)
        # loss() itself trains or predicts, depending on the edition
        gradients = network.gradient(X.copy(), LABELS % 3)
        return [network.predict(X.copy()), network.accuracy(X.copy(), LABELS % 3), sorted(map(len, gradients)),
                *(gradients[key] for key in sorted(gradients))]

    return probe


def _gradient(function: Any) -> Results:
    return [function(lambda x: float((x ** 3).sum()), X[0].copy())]


SCORES = np.array([[0.2, 0.7, 0.1], [0.5, 0.1, 0.4]])

PROBES: dict[str, Callable[[Any], Results]] = {
    **dict.fromkeys(("identity_function", "step_function", "sigmoid", "sigmoid_grad", "relu", "relu_grad", "softmax"),
                    _function(X)),
    **dict.fromkeys(("mean_squared_error", "sum_squared_error"), _function(SCORES, SCORES[::-1])),
    **dict.fromkeys(("cross_entropy_error", "softmax_loss"), _function(SCORES, np.array([1, 2]))),
    "smooth_curve": _function(np.sin(np.arange(30.0))),
    "shuffle_dataset": lambda function: list(function(X.copy(), LABELS.copy())),
    "conv_output_size": _function(7, 3, 2, 1),
    "im2col": _function(IMAGES, 2, 3, 1, 1),
    "col2im": _function(np.sin(np.arange(2 * 4 * 3 * 2 * 2 * 2)).reshape(24, 8), IMAGES.shape, 2, 2),
    "numerical_gradient": _gradient, "numerical_gradient_2d": _gradient,
    "Relu": _layer(X, DOUT), "Sigmoid": _layer(X, DOUT),
    "Affine": _layer(X, DOUT[:, :2], W, np.array([0.5, -0.25]), learned=("W", "b")),
    "Convolution": _layer(IMAGES, np.sin(np.arange(2 * 3 * 6 * 5)).reshape(2, 3, 6, 5), FILTERS,
                          np.array([0.1, 0.2, 0.3]), 1, 1, learned=("W", "b")),
    "Pooling": _layer(IMAGES, np.cos(np.arange(2 * 2 * 2 * 2)).reshape(2, 2, 2, 2), 2, 2, 2),
    "SoftmaxWithLoss": _loss, "Dropout": _dropout, "BatchNormalization": _normalization,
    **dict.fromkeys(("SGD", "Momentum", "Nesterov", "AdaGrad", "RMSprop", "Adam"), _optimizer),
    "MultiLayerNet": _net(4, [5, 6], 3), "MultiLayerNetExtend": _net(4, [5, 6], 3, use_batchnorm=True),
}
