"""A network of the book's layers: predict, loss, accuracy, gradient, parameters to and from files."""
from __future__ import annotations

import copy
import os
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, DTypeLike

from .. import params as files
from ..arrays import as_array, result_dtype
from ..gradient import numerical_gradient
from ..labels import are_finite, class_numbers
from ..layers import SoftmaxWithLoss
from ..seeds import generator
from ..shapes import number, whole
from . import state, summary
from .compile import NotCompiled
from .graph import INPUT, Graph, Sources, learned
from .parameters import Parameters
from .parts import images_at_a_time
from .plan import Plans

PREPROCESSING = "preprocessing."  # what the names of its arrays start with
MANY_ROWS = 64  # samples of float64 that are rows: the gradients of all lanes are more memory than work


class Network:
    """A graph of layers with a loss on top, in the protocol of the book's networks.

    Parameters
    ----------
    dtype : dtype, default float32
        Floating dtype of the parameters; inputs of another floating dtype are converted to it. Images of uint8, 0 to
        255, are divided by 255, as ``load_mnist`` does.

    Attributes
    ----------
    layers : list
        The layers in the order they were added.
    last_layer : SoftmaxWithLoss
        The loss; `last_layer.loss` is the loss of the last `loss` or `gradient` call, without the penalty.
    weight_decay_lambda : float
        Strength of the L2 penalty on the layers' `W`; 0 unless it is set.
    preprocessing : object or None
        What images go through before they are a network's input; `save_params` writes it and `load_params` reads it.
        It is called with images (N, C, H, W), and has ``state()``, a dict of arrays, and a class method
        ``from_state``. The network does not call it.
    input_dim : tuple of int or None
        Shape of the samples that the network is made for, where it knows.

    Notes
    -----
    Networks of fastconv's own layers run as compiled plans (engine/README.md). Then of what layers remember of a pass
    only `dW`, `db`, `dgamma`, `dbeta` and the running statistics are set; call the layers themselves to see the rest.
    Changes of parameters and layers take effect at the next call.

    Many threads may predict with one network at once, each on a plan of its own; training (`gradient`, `loss`,
    `predict` with `train_flg`) is for one thread at a time, since it writes to the layers. A parameter that another
    thread replaces meanwhile (``network.params["W1"] = W``) is the old one or the new one in each prediction; one that
    is changed in place, as optimizers do, may be partly old and partly new in predictions that are running, never in
    later ones. Where predictions must see all parameters of one step, take a `copy.deepcopy` between two steps.

    Networks, layers and optimizers can be copied and pickled, so they travel to other processes; plans stay behind.

    Examples
    --------
    >>> network = Network()
    >>> stem = network.add(Convolution(W1, b1, pad=1))
    >>> network.add(Relu())
    >>> network.add(Add(), inputs=(stem, "input"))    # or a layer of your own: forward(a, b)
    """

    _numbered = False  # whether the arrays are called 'W1', 'b1', ... in files even where all layers have names

    def __init__(self, *, dtype: DTypeLike = np.float32) -> None:
        try:
            self.dtype = np.dtype(dtype)
        except TypeError:
            raise TypeError(f"Network: dtype is {dtype!r}, expected a floating dtype") from None
        if self.dtype.kind != "f":
            raise TypeError(f"Network: dtype is {self.dtype}, expected a floating dtype")
        self.last_layer: Any = SoftmaxWithLoss()
        self.weight_decay_lambda: float = 0
        self.preprocessing: Any = None
        self.input_dim: tuple[int, ...] | None = None
        self._graph = Graph()
        self._plans = Plans()

    @property
    def layers(self) -> Any:
        """The layers in the order they were added."""
        return self._graph.layers

    @property
    def params(self) -> Parameters:
        """The parameters by name: a view of the layers' own arrays."""
        return Parameters(self._graph.layers, self.dtype)

    @property
    def penalty(self) -> float:
        """The loss's weight decay, ``0.5 * weight_decay_lambda * sum(W**2)`` over all W."""
        if not number(self.weight_decay_lambda, "Network: weight_decay_lambda"):
            return 0.0
        squares = sum(np.square(W, dtype=np.float64, order="C").sum()
                      for key, W in self.params.items() if key.startswith("W"))
        return float(0.5 * self.weight_decay_lambda * squares)

    def add(self, layer: Any, *, inputs: Sources = None, name: str | None = None) -> int:
        """Append a layer.

        Parameters
        ----------
        layer : object with forward and backward
            With several inputs it is called ``forward(*xs)``, and ``backward`` returns a tuple. Where its
            ``forward`` takes ``train_flg``, or its ``backward`` ``need_dx``, they are given. Its `W`, `b`,
            `gamma`, `beta`, where not None, become parameters and are converted to the network's dtype.
        inputs : int, str or a sequence of them, optional
            Ids or names of the nodes it reads, -1 or ``"input"`` for the network's input. Default: the node
            before.
        name : str, optional
            A name for `inputs` of later layers.

        Returns
        -------
        int
            The node's id.

        Raises
        ------
        ValueError
            If an input is no earlier node, the name is taken, or the layer is in the network already.
        TypeError
            If it is no layer.
        """
        if not hasattr(layer, "forward") or isinstance(layer, type):
            raise TypeError(f"Network.add: layer is {layer!r}, expected an object with forward and backward")
        node = self._graph.add(layer, inputs, name)
        for attribute in learned(layer):
            setattr(layer, attribute, np.asarray(getattr(layer, attribute), dtype=self.dtype))
        return node

    def auxiliary(self, node: int | str, weight: float) -> None:
        """Score a node's output by a loss of its own in training.

        The loss is that of the last node's output plus `weight` times this one, each by `last_layer`. Predictions
        outside training do not run what only such scores need.

        Parameters
        ----------
        node : int or str
            Id or name of a node with scores (N, K).
        weight : float

        Raises
        ------
        ValueError
            If there is no such node.
        """
        node, weight = self._graph.node(node, "Network.auxiliary"), number(weight, "Network.auxiliary: weight")
        if node == INPUT:
            raise ValueError("Network.auxiliary: node is the network's input, expected a node with scores (N, K)")
        self._graph.auxiliary[node] = weight

    def predict(self, x: ArrayLike, train_flg: bool = False) -> np.ndarray:
        """Return the scores of a batch (before the softmax).

        Parameters
        ----------
        x : array, (N, ...)
            A batch of any size, also empty. uint8 counts as images from 0 to 255 and is divided by 255.
        train_flg : bool, default False
            Dropout and BatchNormalization behave as in training.

        Returns
        -------
        array, (N, K)
        """
        x = _samples("Network.predict", x)
        found = self._plans.take(self._graph, self.last_layer, self.dtype, x, bool(train_flg), False, False)
        if isinstance(found, NotCompiled):
            return self._graph.forward(self._as_input(x), train_flg)
        try:
            return found[1].predict(x)
        finally:
            self._plans.give(*found)

    def loss(self, x: ArrayLike, t: ArrayLike) -> float:
        """Return the mean loss of a batch and the penalty, computed as in training (with dropout), as the book does."""
        return self._loss(x, t, None, gradient=False) + self.penalty

    def accuracy(self, x: ArrayLike, t: ArrayLike, batch_size: int = 100) -> float:
        """Return the share of the samples whose highest score is at their label.

        Parameters
        ----------
        x : array, (N, ...)
        t : array, (N,) of int or (N, K) one-hot; with a nan or inf in it the share is nan
        batch_size : int, default 100
            How many samples are predicted at a time; the last, smaller batch counts as well.

        Raises
        ------
        ValueError
            If there are no samples, or not one label for each, or `batch_size` is below 1.
        """
        x, t = as_array("Network.accuracy", "x", x), as_array("Network.accuracy", "t", t)
        if not x.ndim or x.shape[:1] != t.shape[:1]:
            raise ValueError(f"Network.accuracy: x has shape {x.shape} and t has shape {t.shape}, expected "
                             "one label for each sample")
        if not len(x):
            raise ValueError("Network.accuracy: x has no samples")
        batch_size = whole(batch_size, "Network.accuracy: batch_size", 1)
        correct = 0
        for start in range(0, len(x), batch_size):
            y = self.predict(x[start:start + batch_size])
            labels = class_numbers("Network.accuracy", t[start:start + batch_size], *y.shape)
            correct += int(np.count_nonzero(y.argmax(axis=1) == labels))
        return float(correct / len(x)) if are_finite(t) else np.nan

    def gradient(self, x: ArrayLike, t: ArrayLike, index: np.ndarray | None = None) -> dict[str, np.ndarray]:
        """Return the gradients of the batch's loss, by backpropagation, with the keys of `params`.

        Parameters
        ----------
        x : array, (N, ...)
        t : array, (N,) of int or (N, K) one-hot
        index : array of int, (M,), optional
            Which samples of x and t make the batch; they are read where they are, without a copy of them.

        Returns
        -------
        dict of str to array
            New arrays; the loss itself is in `last_layer.loss` afterwards.
        """
        self._loss(x, t, index, gradient=True)
        params = self.params
        grads = params.gradients()
        if number(self.weight_decay_lambda, "Network: weight_decay_lambda"):
            grads |= {key: grads[key] + np.multiply(self.weight_decay_lambda, params[key], dtype=self.dtype)
                      for key in grads if key.startswith("W")}
        return grads

    def numerical_gradient(self, x: ArrayLike, t: ArrayLike) -> dict[str, np.ndarray]:
        """Return the gradients of `loss` by central differences, to check `gradient` with.

        That needs a float64 network without Dropout, and takes two forward passes for each single parameter.
        """
        where = "Network.numerical_gradient"
        x, labels = self._as_input(_samples(where, x)), as_array(where, "t", t)

        def loss(_: np.ndarray) -> float:  # by the layers: a plan would pack all parameters anew for each
            return self._by_layers(x, labels, gradient=False) + self.penalty

        return {key: numerical_gradient(loss, value) for key, value in self.params.items()}

    def seed(self, rng: np.random.Generator | int) -> None:
        """Let the Dropout layers draw from a generator of their own instead of NumPy's global one.

        Parameters
        ----------
        rng : Generator, or a seed for one
        """
        rng = generator("Network.seed", rng)
        for layer in self._graph.layers:
            if hasattr(layer, "rng"):
                layer.rng = rng

    def state(self) -> dict[str, np.ndarray]:
        """Return the layers' own arrays by the names that they have in files.

        Where all layers with parameters have a name it is PyTorch's: ``<name>.weight``, ``.bias``, and for
        BatchNormalization ``.running_mean`` and ``.running_var`` too. An Affine's ``.weight`` is the transpose of its
        W, (outputs, inputs). Other networks have `params`. The arrays of `preprocessing` start with
        ``preprocessing.``.
        """
        arrays = dict(self.params)
        if self._is_named():
            arrays = {key: entry.value for key, entry in state.entries(self._graph).items() if entry.value is not None}
        if self.preprocessing is not None:
            arrays |= {PREPROCESSING + key: np.asarray(value) for key, value in self.preprocessing.state().items()}
        return arrays

    def load_state(self, arrays: Mapping[str, ArrayLike], where: str = "Network.load_state") -> None:
        """Set all arrays to copies in the network's dtype, or none.

        Parameters
        ----------
        arrays : mapping of str to array
            With the names of `state`; ``num_batches_tracked`` of PyTorch's BatchNorm is ignored. Without any
            ``preprocessing.`` the network keeps its own.
        where : str
            How errors start.

        Raises
        ------
        ValueError
            If entries are missing or unknown, have another shape or are no numbers; it lists them all.
        """
        if not isinstance(arrays, Mapping):
            raise TypeError(f"{where}: arrays is a {type(arrays).__name__}, expected a mapping of names to arrays")
        own = {key: value for key, value in arrays.items() if not key.startswith(PREPROCESSING)}
        others = {key.removeprefix(PREPROCESSING): np.asarray(value) for key, value in arrays.items() if key not in own}
        preprocessing = self._preprocessing(others, where) if others else self.preprocessing
        if self._is_named():
            state.replace(self._graph, own, self.dtype, where)
        else:
            self.params.replace({key: np.array(value) for key, value in own.items()}, where)
        self.preprocessing = preprocessing

    def freeze(self) -> None:
        """Make the parameters read-only, so that predictions need not look whether they have changed.

        For networks that only predict: a large one is faster by some percent for single images. Training, or any other
        change in place, then raises ValueError; `load_params` brings parameters that can be changed again.
        """
        for layer in self._graph.layers:
            for attribute in learned(layer):
                array = getattr(layer, attribute)
                if type(array) is not np.ndarray or array.base is not None or not array.flags.c_contiguous:
                    array = np.array(array, order="C")  # what it is a view of could still be changed
                array.flags.writeable = False
                setattr(layer, attribute, array)

    def save_params(self, file_name: str | os.PathLike[str] = "params.pkl") -> None:
        """Write `state` to a file; its suffix is the format (see `fastconv.params.save`)."""
        files.save(file_name, self.state())

    def load_params(self, file_name: str | os.PathLike[str] = "params.pkl") -> None:
        """Read `state` from a file, converted to the network's dtype.

        Parameters
        ----------
        file_name : str or path
            A relative path is looked up in the working directory, then in the folder of the module that
            defines the network's class.

        Raises
        ------
        FileNotFoundError
            If the file is in neither place.
        ValueError
            If the parameters in the file do not fit; the network is as it was then.
        """
        path = self._find(Path(file_name))
        self.load_state(files.load(path), f"{type(self).__name__}.load_params: {path}")

    def summary(self, input_dim: tuple[int, ...] | None = None) -> str:
        """Return a table of the layers: name, what it reads, output shape, parameters and multiply-adds; and the sums.

        Parameters
        ----------
        input_dim : tuple of int, optional
            Shape of a sample, (C, H, W) or (D,). Default: what the network was made for.

        Raises
        ------
        TypeError
            If the network does not know what it was made for.
        ValueError
            If the samples do not fit the layers.
        """
        if input_dim is None:
            input_dim = self.input_dim
        if input_dim is None:
            raise TypeError("Network.summary: input_dim is missing: this network does not know the shape of its "
                            "samples, (C, H, W) or (D,)")
        if not isinstance(input_dim, tuple) or not input_dim:
            raise ValueError(f"Network.summary: input_dim is {input_dim!r}, expected (C, H, W) or (D,)")
        input_dim = tuple(whole(n, "Network.summary: each of input_dim", 1) for n in input_dim)
        return summary.table(summary.rows(self._graph, input_dim), input_dim)

    def _is_named(self) -> bool:
        return not self._numbered and state.is_named(self._graph)

    def _preprocessing(self, arrays: dict[str, np.ndarray], where: str) -> Any:
        """Return what the arrays in a file are the state of: fastconv's own by their names, or the network's kind."""
        from ..preprocessing import ChannelMean, MeanStd
        kind: Any = MeanStd if "std" in arrays else ChannelMean
        if self.preprocessing is not None and not isinstance(self.preprocessing, (ChannelMean, MeanStd)):
            kind = type(self.preprocessing)
        try:
            return kind.from_state(arrays)
        except (KeyError, TypeError, ValueError) as error:
            raise ValueError(f"{where}: preprocessing: {error}") from error

    def _loss(self, samples: ArrayLike, targets: ArrayLike, index: np.ndarray | None, gradient: bool) -> float:
        """Run forwards, and backwards if the gradient is wanted."""
        where = "Network.gradient" if gradient else "Network.loss"
        x, t = as_array(where, "x", samples), as_array(where, "t", targets)
        if index is not None:
            if not x.ndim or x.shape[:1] != t.shape[:1]:
                raise ValueError(f"{where}: x has shape {x.shape} and t has shape {t.shape}, expected one label for "
                                 "each sample")
            index = _index(index, len(x))
            t = t[index]
            if not len(index) or not _is_read_in_place(x):
                x, index = x[index], None
        x = _samples(where, x)
        loss, N = self.last_layer, len(x) if index is None else len(index)
        if x.ndim == 2 and self.dtype == np.float64 and N >= MANY_ROWS:
            found: Any = None
        else:
            found = self._plans.take(self._graph, loss, self.dtype, x, True, True, gradient)
        if found is None or isinstance(found, NotCompiled):
            return self._by_layers(self._as_input(x if index is None else x[index]), t, gradient)
        try:
            plan = found[1]
            labels, soft = loss.targets("SoftmaxWithLoss.forward", t, N, plan.classes)
            return loss.take(*plan.loss(x, labels, soft, index, gradient), t, labels, soft)
        finally:
            self._plans.give(*found)

    def _by_layers(self, x: np.ndarray, t: np.ndarray, gradient: bool) -> float:
        """Return the loss, with those of the auxiliary scores, layer by layer; a large batch's in parts."""
        most = images_at_a_time(self._graph, self.last_layer, len(x), x.shape[1:], self.dtype.itemsize)
        if not gradient or len(x) <= most or t.shape[:1] != x.shape[:1]:
            return self._pass(x, t, gradient)
        params, total = self.params, 0.0
        y: list[np.ndarray] = []
        sums: dict[str, np.ndarray] = {}
        for first in range(0, len(x), most):
            part = slice(first, first + most)
            share = len(x[part]) / len(x)
            total += share * self._pass(x[part], t[part], True, share)
            y.append(self.last_layer.y)
            for key, value in params.gradients().items():
                sums[key] = np.add(sums[key], value, out=sums[key]) if key in sums else value
        params.set_gradients(sums)
        scores = np.concatenate(y)
        self.last_layer.take(total, scores, t, *self.last_layer.targets("SoftmaxWithLoss.forward", t, *scores.shape))
        self.last_layer.loss = total
        return total

    def _pass(self, x: np.ndarray, t: ArrayLike, gradient: bool, share: float = 1) -> float:
        """Run the layers one by one; the gradients are those of `share` times the loss."""
        loss, weights = self.last_layer, self._graph.auxiliary
        y, *scores = self._graph.outputs(x, True, weights)
        total = float(loss.forward(y, t))
        losses = {node: copy.copy(loss) for node in weights}
        for (node, other), other_y in zip(losses.items(), scores, strict=True):
            total += weights[node] * float(other.forward(other_y, t))
        if gradient:
            dout = loss.backward(1)
            self._graph.backward(dout if share == 1 else dout * dout.dtype.type(share),
                                 {node: share * weights[node] * other.backward(1) for node, other in losses.items()})
        if weights:
            loss.loss = total
        return total

    def _find(self, path: Path) -> Path:
        candidates = [path]
        module_file = getattr(sys.modules.get(type(self).__module__), "__file__", None)
        if module_file and not path.is_absolute():
            candidates.append(Path(module_file).resolve().parent / path)
        for candidate in candidates:
            if candidate.exists():
                return candidate
        raise FileNotFoundError(f"{type(self).__name__}.load_params: there is no {path} here "
                                f"({' nor '.join(str(c.absolute()) for c in candidates)})")

    def _as_input(self, x: np.ndarray) -> np.ndarray:
        """Return samples as the layers take them: bytes 0..255 become 0..1, floats the network's dtype."""
        if x.dtype == np.uint8:
            return np.divide(x, 255, dtype=self.dtype)
        return x.astype(self.dtype) if x.dtype.kind == "f" and x.dtype != self.dtype else x


def _is_read_in_place(x: np.ndarray) -> bool:
    """Say whether a plan reads samples as they are."""
    return x.dtype.char in "fdB" and x.dtype.isnative and x.flags.aligned


def _samples(where: str, x: ArrayLike) -> np.ndarray:
    """Return samples in a dtype that a plan reads; what is no number stays what it is, for the layers to refuse."""
    x = as_array(where, "x", x)
    if not x.ndim:
        result_dtype(where, x=x)
        raise ValueError(f"{where}: x is a scalar, expected samples (N, ...)")
    if x.dtype.kind not in "biuf" or _is_read_in_place(x):
        return x
    exact = x.itemsize <= 2 or (x.dtype.kind == "f" and x.itemsize == 4)  # in float32
    return x.astype(np.float32 if exact else np.float64)


def _index(index: np.ndarray, n: int) -> np.ndarray:
    """Return sample numbers, counted from the start, as a contiguous int64 array."""
    index = np.ascontiguousarray(as_array("Network.gradient", "index", index))
    if index.ndim != 1 or index.dtype.kind not in "iu":
        raise TypeError(f"Network.gradient: index has shape {index.shape} and dtype {index.dtype}, "
                        "expected (M,) of int")
    if len(index) and not -n <= index.min() <= index.max() < n:
        raise IndexError(f"Network.gradient: index goes from {index.min()} to {index.max()}, but x has {n} samples")
    index = index.astype(np.int64, copy=False)
    return np.where(index < 0, index + n, index) if len(index) and index.min() < 0 else index
