"""A network's compiled schedule, and the cache of them: one for each shape of samples and way of running."""
from __future__ import annotations

from collections.abc import Callable
from operator import attrgetter
from typing import Any

import numpy as np

from .. import dispatch
from ..arrays import contiguous
from ..buffers import empty
from ..kernels import settings
from ..layers import LRN, BatchNormalization, Convolution, Dropout, Pooling
from ..threads import get_num_threads
from .compile import NotCompiled, Schedule, is_overridden
from .graph import Graph
from .statistics import Folded, Statistics
from .tensors import Tensor

KEPT = 8  # plans per network
LARGE_AFFINE = 1 << 24  # bytes of an Affine layer's weights, from which on they are better read once for all images


class Plan:
    """A schedule with its memory, and the arrays that a run brings along."""

    def __init__(self, schedule: Schedule, backend: str) -> None:
        numbers = {id(tensor): i for i, tensor in enumerate(schedule.tensors)}

        def numbered(value: Any) -> Any:
            if isinstance(value, tuple):
                return tuple(map(numbered, value))
            return numbers[id(value)] if isinstance(value, Tensor) else value

        maps = [(t.h, t.w, t.c, t.before, t.after, t.item, t.batch, t.offset) for t in schedule.tensors]
        filters, steps = ([{key: numbered(value) for key, value in given.items()} for given in table]
                          for table in (schedule.filters, schedule.steps))
        self._run = dispatch.plan(backend)(schedule.dtype == np.float32, maps, filters, schedule.columns, steps,
                                schedule.local_bytes, schedule.batch_bytes, schedule.most, schedule.gradient,
                                schedule.winograd, schedule.segments)
        self._layers, self._dropouts, self._dtype = schedule.filter_layers, schedule.dropouts, schedule.dtype
        self._folded = Folded(schedule.folded, self._dtype)
        self._normalizations = [Statistics(layer, shape, self._dtype) for layer, shape in schedule.normalizations]
        self._training, self.shared = schedule.training, bool(schedule.segments)
        self._settings = _settings(schedule.graph.layers)
        graph = schedule.graph
        self._graph = list(graph.layers), list(graph.inputs), dict(graph.auxiliary), type(schedule.last_layer)
        self._shapes = [_shapes(layer, self._dtype) for layer in self._layers]
        self._apart = self.shared and getattr(self._run, "IMAGES_APART", False)
        self._large = any(layer.W.ndim == 2 and layer.W.nbytes >= LARGE_AFFINE for layer in self._layers)
        output = schedule.output
        self._shape = (output.h, output.w, output.c) if schedule.images[len(schedule.graph.layers) - 1] else (output.c,)
        self.classes = output.c

    def pays(self) -> bool:
        """Say whether it is faster than the layers one by one, each of which all threads share."""
        return not (self._apart and self._large)

    def fits(self, graph: Graph, last_layer: Any) -> bool:
        """Say whether the network still is what the plan was made for; values of parameters may differ."""
        if (graph.layers, graph.inputs, graph.auxiliary, type(last_layer)) != self._graph:
            return False
        if any(map(is_overridden, graph.layers)) or is_overridden(last_layer):
            return False
        for layer, chosen, values in self._settings:
            if chosen(layer) != values:
                return False
        for layer, shapes in zip(self._layers, self._shapes, strict=True):
            W, b = layer.W, layer.b
            if (type(W) is not np.ndarray or W.dtype is not self._dtype
                    or (W.shape, None if b is None else b.shape) != shapes):
                return self._shapes_now() == self._shapes
        return True

    def _shapes_now(self) -> list[tuple[Any, Any]] | None:
        try:
            return [_shapes(layer, self._dtype) for layer in self._layers]
        except NotCompiled:
            return None

    def predict(self, x: np.ndarray) -> np.ndarray:
        """Return the scores (N, K), or images (N, C, H, W)."""
        y = np.empty((len(x), *self._shape), self._dtype)
        self._execute(x, y)
        return y if y.ndim == 2 else y.transpose(0, 3, 1, 2)

    def loss(self, x: np.ndarray, labels: np.ndarray, soft: np.ndarray | None, index: np.ndarray | None = None,
             gradient: bool = False) -> tuple[float, np.ndarray]:
        """Return the mean loss and the probabilities; with gradient set the layers' dW and db."""
        N = len(labels)
        soft = None if soft is None else contiguous(soft, self._dtype)
        y, losses = np.empty((N, self.classes), self._dtype), np.empty(N)
        gradients = [self._gradient_arrays(layer) for layer in self._layers] if gradient else None
        self._execute(x, y, index=index, labels=labels, soft=soft, losses=losses, gradients=gradients)
        if gradients is not None:
            for layer, (dW, db) in zip(self._layers, gradients, strict=True):
                layer.dW, layer.db = dW, None if layer.b is None else db
        return float(losses.sum()) / max(N, 1), y

    def _execute(self, x: np.ndarray, y: np.ndarray, **arrays: Any) -> None:
        columns = [statistics.columns(self._training) for statistics in self._normalizations]
        self._run(x, self._parameters(), y, get_num_threads(), keys=self._keys(), columns=columns, **arrays)
        if self._training:
            for statistics, arrays_of in zip(self._normalizations, columns, strict=True):
                statistics.keep(arrays_of, len(y), arrays.get("gradients") is not None)

    def _parameters(self) -> list[tuple[np.ndarray, np.ndarray | None, np.ndarray | None]]:
        """Return weight, bias and what the weights of each output are multiplied by."""
        biases = [None if layer.b is None else contiguous(layer.b, self._dtype) for layer in self._layers]
        return [(contiguous(layer.W, self._dtype), bias, scale) for layer, (bias, scale)
                in zip(self._layers, self._folded.biases_and_scales(biases), strict=True)]

    def _gradient_arrays(self, layer: Any) -> tuple[np.ndarray, np.ndarray]:
        outputs = layer.W.shape[0 if layer.W.ndim == 4 else 1]
        return empty(layer.W.shape, self._dtype), np.empty(outputs, self._dtype)

    def _keys(self) -> np.ndarray | None:
        if not self._dropouts:
            return None
        return np.array([layer.draw_key() for layer in self._dropouts], np.uint64)


class Plans:
    """A network's plans, made when they are first needed; those used last are kept.

    A plan is taken out while it runs, so two Python threads never run the same one. There is no lock, for a signal's
    handler may use the network that it interrupts, and a forked child that of a thread it lacks: each line below
    reads or changes the dictionary in one piece.
    """

    def __init__(self) -> None:
        self._plans: dict[Any, Plan] = {}  # the one used last stands last

    def take(self, graph: Graph, last_layer: Any, dtype: np.dtype[Any], x: np.ndarray, training: bool, loss: bool,
             gradient: bool) -> tuple[Any, Plan] | NotCompiled:
        """Return a plan for samples like x and its key, to be given back with `give`; or why there is none."""
        graph.check()
        backend = dispatch.backend()
        if dispatch.plan(backend) is None:
            return NotCompiled(f"the backend {backend} runs layer by layer")
        if x.dtype.char not in "fdB" or not x.dtype.isnative or not x.size or dtype.char not in "fd":
            return NotCompiled(f"the network's dtype is {dtype}, that of the samples {x.dtype}, their shape {x.shape}")
        key = (backend, training, loss, gradient, x.shape[1:], settings.winograd)
        plan = self._plans.pop(key, None)
        if plan is None or not plan.fits(graph, last_layer):
            try:
                plan = Plan(Schedule(graph, last_layer, x.shape[1:], dtype, training=training, loss=loss,
                                     gradient=gradient, winograd=settings.winograd), backend)
            except (NotCompiled, ValueError, TypeError) as reason:  # what is wrong, the layers say best themselves
                return reason if isinstance(reason, NotCompiled) else NotCompiled(str(reason))
        if not plan.pays():
            self.give(key, plan)
            return NotCompiled(f"the backend {backend} takes images apart: it would read large weights for each")
        return key, plan

    def give(self, key: Any, plan: Plan) -> None:
        self._plans[key] = plan
        for oldest in list(self._plans)[:-KEPT]:
            self._plans.pop(oldest, None)

    def __deepcopy__(self, memo: Any) -> Plans:
        return Plans()

    def __reduce__(self) -> tuple[type[Plans], tuple[()]]:
        return Plans, ()


# what a plan has to be made anew for, besides the arrays' shapes
SETTINGS: dict[type, Callable[[Any], Any]] = {
    Convolution: attrgetter("stride", "pad", "dilation", "groups"),
    Pooling: attrgetter("pool_h", "pool_w", "stride", "pad", "mode", "ceil_mode"),
    LRN: attrgetter("n", "k", "alpha", "exponent"),
    Dropout: attrgetter("dropout_ratio", "inverted"),
    BatchNormalization: lambda layer: [layer.eps, *((np.shape(p), np.asarray(p).dtype)
                                                    for p in (layer.gamma, layer.beta))],
}


def _settings(layers: list[Any]) -> list[tuple[Any, Callable[[Any], Any], Any]]:
    return [(layer, SETTINGS[type(layer)], SETTINGS[type(layer)](layer)) for layer in layers if type(layer) in SETTINGS]


def _shapes(layer: Any, dtype: np.dtype[Any]) -> tuple[Any, Any]:
    """Return the shapes of the layer's parameters, if they are such as a plan takes."""
    W, b = layer.W, layer.b
    outputs = W.shape[0 if type(layer) is Convolution else -1] if isinstance(W, np.ndarray) and W.ndim else 0
    if not outputs or W.dtype != dtype or not (b is None or isinstance(b, np.ndarray) and b.shape == (outputs,)
                                               and b.dtype == dtype):
        raise NotCompiled(f"the parameters of a {type(layer).__name__} are not arrays of {dtype}, one bias for each "
                          "output")
    return W.shape, None if b is None else b.shape
