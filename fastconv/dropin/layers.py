"""fastconv's layers in the place of the book's, whose own code takes over what ours refuse."""
from __future__ import annotations

import functools
import inspect
from typing import Any

import numpy as np

from .. import layers
from .report import report

STATE = ("W", "b", "gamma", "beta", "momentum", "running_mean", "running_var")
RESULTS = ("dW", "db", "dgamma", "dbeta", "running_mean", "running_var", "loss", "y", "t")

# where the book's code gives a wrong result, or none, for what we refuse
REFUSED = {"Convolution", "Pooling"}


class StrictDropout(layers.Dropout):
    """Dropout with the book's masks: a number of NumPy's global generator for each value."""

    def forward(self, x: Any, train_flg: bool = True) -> Any:
        if not train_flg:
            return super().forward(x, False)
        self._book_mask = np.random.rand(*np.shape(x)) > self.dropout_ratio
        return x * self._book_mask

    def backward(self, dout: Any) -> Any:
        return dout * self._book_mask

    @property
    def mask(self) -> Any:
        return getattr(self, "_book_mask", None)


def layer_replacement(book: type, *, strict: bool) -> type:
    """Return a subclass of fastconv's layer that takes the book's place, under the book's name.

    What the layer refuses for its kind of numbers goes to an instance of the book's own class.
    """
    name = book.__name__
    fast: Any = StrictDropout if strict and name == "Dropout" else getattr(layers, name)
    signature = inspect.signature(book)
    defaults = {each.name: each.default for each in signature.parameters.values() if each.default is not each.empty}

    forward, backward = fast.forward, fast.backward

    class Layer(fast):
        _book = book
        _stand_in: Any = None

        def __init__(self, *args: Any, **kwargs: Any) -> None:
            if defaults and len(args) + len(kwargs) < len(signature.parameters):
                missing = list(signature.parameters)[len(args):]
                kwargs = {each: defaults[each] for each in missing if each in defaults} | kwargs
            super().__init__(*args, **kwargs)

        def forward(self, *args: Any, **kwargs: Any) -> Any:
            self._stand_in = None
            try:
                return forward(self, *args, **kwargs)
            except (TypeError, ValueError) as error:
                if not _is_for_the_book(name, error, args):
                    raise
                return _hand_over(self, book, error, args, kwargs)

        def backward(self, *args: Any, **kwargs: Any) -> Any:
            if self._stand_in is None:
                return backward(self, *args, **kwargs)
            try:
                return self._stand_in.backward(*args, **kwargs)
            finally:
                _copy(RESULTS, self._stand_in, self)

    Layer.__name__, Layer.__qualname__, Layer.__module__, Layer.__doc__ = name, name, book.__module__, fast.__doc__
    Layer.__signature__ = signature
    Layer.forward.__doc__, Layer.backward.__doc__ = fast.forward.__doc__, fast.backward.__doc__
    if not report.enabled:
        return Layer
    return _counted(Layer, book)


def _is_for_the_book(name: str, error: Exception, args: tuple[Any, ...]) -> bool:
    if isinstance(error, TypeError):
        return name not in REFUSED and bool(args) and isinstance(args[0], np.ndarray)
    return name == "SoftmaxWithLoss" and bool(args) and np.ndim(args[0]) == 1 and np.size(args[0]) > 0


def _hand_over(layer: Any, book: type, error: Exception, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    stand_in = _stand_in(layer, book)
    try:
        result = stand_in.forward(*args, **kwargs)
    except Exception:  # the book can't take it either: our words are clearer
        raise error from None
    report.fell_back(f"{book.__name__}.forward", error)
    _copy(RESULTS, stand_in, layer)
    layer._stand_in = stand_in
    return result


def _stand_in(layer: Any, book: type) -> Any:
    """Return an instance of the book's class with the layer's parameters."""
    parameters = inspect.signature(book).parameters
    stand_in = book(**{each: getattr(layer, each) for each in parameters})
    _copy(STATE, layer, stand_in)
    return stand_in


def _copy(names: tuple[str, ...], source: Any, target: Any) -> None:
    for name in names:
        if name in vars(source):
            setattr(target, name, vars(source)[name])


def _counted(kind: Any, book: type) -> type:
    """Return the layer with its calls counted, and the book's timed beside them once for each shape."""

    name = book.__name__

    class Layer(kind):
        _book = book
        _given: Any = None

        def forward(self, *args: Any, **kwargs: Any) -> Any:
            self._given = args, kwargs
            return report.call(f"{name}.forward", _shapes(self, args, kwargs),
                               lambda: kind.forward(self, *args, **kwargs),
                               lambda: functools.partial(_stand_in(self, book).forward, *args, **kwargs))

        def backward(self, *args: Any, **kwargs: Any) -> Any:
            def by_the_book() -> Any:
                beside, (given, more) = _stand_in(self, book), self._given
                beside.forward(*given, **more)
                # copies, because the book's Relu writes to dout
                return functools.partial(beside.backward, *map(_copied, args), **kwargs)

            key = _shapes(self, (*args, getattr(self, "_shape", None)), kwargs)
            return report.call(f"{name}.backward", key, lambda: kind.backward(self, *args, **kwargs), by_the_book)

    for each in ("__name__", "__qualname__", "__module__", "__doc__", "__signature__"):
        setattr(Layer, each, getattr(kind, each))
    return Layer


def _shapes(layer: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> tuple[Any, ...]:
    own = (np.shape(vars(layer).get("W")), *(vars(layer).get(name) for name in ("stride", "pad", "pool_h", "pool_w")))
    return own + tuple(value if value is None or isinstance(value, (bool, tuple)) else np.shape(value)
                       for value in (*args, *kwargs.values()))


def _copied(value: Any) -> Any:
    return value.copy() if isinstance(value, np.ndarray) else value
