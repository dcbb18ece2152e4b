"""Recognise a network by what it does: one training step, watched, says which layer reads which layer's output.

A network of the book's kind has `params`, and methods `gradient` and `predict` that run layers. If a step took the
batch through fastconv's layers one after another, and `gradient` returned just what the layers computed, then the same
layers in a `Network` compute the same, in one compiled plan.
"""
from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import numpy as np

from .. import layers
from ..engine import Network

CHAINED = (layers.Convolution, layers.Pooling, layers.Affine, layers.Relu, layers.Sigmoid, layers.Dropout,
           layers.BatchNormalization)
LEARNED = ("W", "b", "gamma", "beta")
Owners = dict[str, tuple[int, str]]  # name of a parameter -> number of the layer, attribute


class NotRecognised(Exception):
    """Says what a network does beyond running its layers in a row."""


class Trace:
    """What the layers of a network did: calls of `forward` in their order, `backward` in theirs."""

    def __init__(self) -> None:
        self.forward: list[tuple[Any, tuple[Any, ...], Any]] = []   # layer, arguments, result
        self.backward: list[tuple[Any, tuple[Any, ...], Any]] = []
        self._kept: list[tuple[np.ndarray, np.ndarray]] = []        # array, its values when it was passed on

    def keep(self, array: Any) -> None:
        """Remember an array's values: it stays the same array if the network changes it in place."""
        if isinstance(array, np.ndarray) and array.dtype.kind in "biuf":
            self._kept.append((array, array.copy()))

    def changed(self) -> bool:
        """Say whether an array that was kept has other values now."""
        return not all(np.array_equal(array, values, equal_nan=True) for array, values in self._kept)

    def chain(self, x: Any, train_flg: bool) -> list[Any]:
        """Return the layers if each read the output of the one before, and the first one `x`."""
        for layer, args, out in self.forward:
            if not isinstance(layer, CHAINED):
                break
            if "_book" not in vars(type(layer)):
                raise NotRecognised(f"{_name(layer)} is a layer of the script's own")
            if args[0] is not x:
                raise NotRecognised(f"the input of a {_name(layer)} is not the output of the layer before")
            if isinstance(layer, (layers.Dropout, layers.BatchNormalization)):
                if (args[1] if len(args) > 1 else True) != train_flg:
                    raise NotRecognised(f"a {_name(layer)} {'predicts in training' if train_flg else 'trains'}")
            x = out
        found = [layer for layer, _, _ in self.forward if isinstance(layer, CHAINED)]
        if len(set(map(id, found))) < len(found):
            raise NotRecognised("a layer runs twice in a pass")
        return found


@contextmanager
def watched(network: Any, *arrays: Any) -> Iterator[Trace]:
    """Record what the layers of a network do in a block, and whether it changes its parameters or these arrays."""
    trace = Trace()
    params = getattr(network, "params", None)
    for array in (*arrays, *(params.values() if isinstance(params, dict) else ())):
        trace.keep(array)
    found = list({id(layer): layer for layer in _layers_of(network)}.values())
    try:
        for layer in found:
            layer.forward = _recorded(layer, layer.forward, trace, trace.forward)
            layer.backward = _recorded(layer, layer.backward, trace, trace.backward)
        yield trace
    finally:
        for layer in found:
            vars(layer).pop("forward", None)
            vars(layer).pop("backward", None)


class Twin:
    """The engine's form of a recognised network; it has parameters of its own where the precision differs.

    Attributes
    ----------
    network : Network
    """

    def __init__(self, chain: list[Any], owners: Owners, dtype: np.dtype) -> None:
        self._chain, self._owners = chain, owners
        self.network = Network(dtype=dtype)
        for layer in chain:
            self.network.add(_copy(layer))

    @property
    def params(self) -> dict[str, np.ndarray]:
        """The engine's parameters by the reader's names."""
        return {key: getattr(self.network.layers[at], name) for key, (at, name) in self._owners.items()}

    def gradient(self, x: np.ndarray, t: np.ndarray, index: np.ndarray) -> tuple[dict[str, np.ndarray], float]:
        """Return gradients by the reader's names, and the loss."""
        self.network.gradient(x, t, index)
        return ({key: getattr(self.network.layers[at], f"d{name}") for key, (at, name) in self._owners.items()},
                float(self.network.last_layer.loss))

    def predict(self, x: Any, train_flg: bool = False) -> np.ndarray:
        """Return the scores, in the place of the reader's method."""
        return self.network.predict(x, train_flg)

    def write_back(self) -> None:
        """Bring the parameters and running statistics back to the reader's arrays, in their dtype."""
        for theirs, ours in zip(self._chain, self.network.layers, strict=True):
            for name in LEARNED:
                value = getattr(ours, name, None)
                if value is not None:
                    getattr(theirs, name)[...] = value
            if isinstance(theirs, layers.BatchNormalization):
                for name in ("running_mean", "running_var"):
                    value = getattr(ours, name)
                    setattr(theirs, name, None if value is None else value.astype(np.asarray(theirs.gamma).dtype))


def recognise(network: Any, x: np.ndarray, t: np.ndarray, trace: Trace, grads: Any) -> tuple[list[Any], Owners]:
    """Return the layers of a network, of which `trace` recorded ``grads = network.gradient(x, t)``, in their order.

    With them, which layer and attribute each of the network's parameters is.

    Raises
    ------
    NotRecognised
        If the network does anything else than run its layers in a row.
    """
    if not trace.forward:
        raise NotRecognised("its gradient calls no layer of the book's")
    chain = trace.chain(x, True)
    last, args, _ = trace.forward[-1]
    if not isinstance(last, layers.SoftmaxWithLoss) or "_book" not in vars(type(last)):
        raise NotRecognised(f"its last layer is a {_name(last)}")
    if len(trace.forward) != len(chain) + 1:
        raise NotRecognised("a layer runs twice in a pass")
    if args[0] is not trace.forward[-2][2] or args[1] is not t:
        raise NotRecognised("the loss is not that of the last layer's output for the labels")
    if [id(layer) for layer, _, _ in trace.backward] != [id(layer) for layer in (last, *reversed(chain))]:
        raise NotRecognised("the backward pass takes another way than the forward pass")
    for (before, _, dx), (_, args, _) in zip(trace.backward, trace.backward[1:], strict=False):
        if args[0] is not dx:
            raise NotRecognised(f"the gradient of a {_name(before)} is changed on its way")
    owners = _owners(network, chain, grads)
    if trace.changed():
        raise NotRecognised("an array is changed in place on its way")
    return chain, owners


def predicts(network: Any, twin: Twin, x: np.ndarray) -> bool:
    """Say whether the network's `predict` runs the same layers, as a prediction."""
    with watched(network, x) as trace:
        try:
            y = network.predict(x)
            return (bool(trace.forward) and trace.chain(x, False) == twin._chain and y is trace.forward[-1][2]
                    and not trace.changed())
        except Exception:  # a method of the reader's own, which may want other arguments
            return False


def _owners(network: Any, chain: list[Any], grads: Any) -> Owners:
    params = getattr(network, "params", None)
    if not isinstance(params, dict) or not isinstance(grads, Mapping) or set(params) != set(grads):
        raise NotRecognised("its params and gradients have different keys")
    slots = {(at, name) for at, layer in enumerate(chain) for name in LEARNED
             if getattr(layer, name, None) is not None}
    owners: Owners = {}
    for key, value in params.items():
        own = [slot for slot in slots if getattr(chain[slot[0]], slot[1]) is value
               and getattr(chain[slot[0]], f"d{slot[1]}") is grads[key]]
        if not own or not isinstance(value, np.ndarray) or value.dtype.kind != "f":
            raise NotRecognised(f"the gradient of {key} is not just what a layer computed for it")
        owners[key] = own[0]
    if set(owners.values()) != slots or len(owners) != len(slots):
        raise NotRecognised("some layer's parameters are not among its params")
    return owners


def _layers_of(network: Any) -> Iterator[Any]:
    """Yield the layers that a network holds: as attributes, or in lists and dictionaries that are attributes."""
    for value in list(getattr(network, "__dict__", {}).values()):
        held = value.values() if isinstance(value, Mapping) else value if isinstance(value, (list, tuple)) else (value,)
        for layer in held:
            if isinstance(layer, (*CHAINED, layers.SoftmaxWithLoss)):
                yield layer


def _recorded(layer: Any, method: Any, trace: Trace, calls: list[tuple[Any, tuple[Any, ...], Any]]) -> Any:
    def call(*args: Any, **kwargs: Any) -> Any:
        out = method(*args, **kwargs)
        calls.append((layer, (*args, *kwargs.values()), out))
        trace.keep(out)
        if calls is trace.backward:
            for name in LEARNED:
                trace.keep(getattr(layer, f"d{name}", None))
        return out

    return call


def _copy(layer: Any) -> Any:
    """Return a layer of fastconv's own class with the same settings and parameters."""
    if isinstance(layer, layers.Convolution):
        return layers.Convolution(layer.W, layer.b, layer.stride, layer.pad)
    if isinstance(layer, layers.Affine):
        return layers.Affine(layer.W, layer.b)
    if isinstance(layer, layers.Pooling):
        return layers.Pooling(layer.pool_h, layer.pool_w, layer.stride, layer.pad)
    if isinstance(layer, layers.Dropout):
        return layers.Dropout(layer.dropout_ratio)
    if isinstance(layer, layers.BatchNormalization):
        return layers.BatchNormalization(layer.gamma, layer.beta, layer.momentum, _float(layer.running_mean),
                                         _float(layer.running_var))
    return layers.Sigmoid() if isinstance(layer, layers.Sigmoid) else layers.Relu()


def _float(statistics: Any) -> Any:
    return None if statistics is None else np.array(statistics)


def _name(layer: Any) -> str:
    return type(layer).__name__
