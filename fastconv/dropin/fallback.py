"""Functions and optimizers of fastconv in the place of the book's, which take over what ours refuse."""
from __future__ import annotations

import functools
import inspect
from collections.abc import Callable
from typing import Any

import numpy as np

from .report import report

# integers count as float64 here, as NumPy has it; the others keep them or never see any
FLOATING = {"sigmoid", "sigmoid_grad", "softmax", "mean_squared_error", "sum_squared_error", "cross_entropy_error",
            "softmax_loss"}

# where the book's code gives a wrong result for what we refuse: fractions of complex or integer values
REFUSED = {"im2col", "col2im", "numerical_gradient", "numerical_gradient_2d", "conv_output_size"}


def function_replacement(fast: Callable[..., Any], book: Callable[..., Any]) -> Callable[..., Any]:
    """Return fastconv's function under the book's name; a TypeError of ours makes it a call of the book's."""
    name = book.__name__
    floating = name in FLOATING

    @functools.wraps(fast)
    def call(*args: Any, **kwargs: Any) -> Any:
        if floating and args and isinstance(args[0], np.ndarray) and args[0].dtype.kind in "biu":
            args = (args[0].astype(np.float64), *args[1:])
        try:
            return fast(*args, **kwargs)
        except TypeError as error:
            if name in REFUSED:
                raise
            try:
                result = book(*args, **kwargs)
            except Exception:  # the book can't take it either: our words are clearer
                raise error from None
            report.fell_back(name, error)
            return result

    call.__module__, call.__name__, call.__qualname__ = book.__module__, name, book.__qualname__
    if not report.enabled or name in ("identity_function", "numerical_gradient", "numerical_gradient_2d"):
        return call

    @functools.wraps(call)
    def counted(*args: Any, **kwargs: Any) -> Any:
        key = tuple(value if isinstance(value, (int, tuple)) else np.shape(value) for value in args)
        return report.call(name, key, lambda: call(*args, **kwargs), lambda: lambda: book(*args, **kwargs))

    return counted


def optimizer_replacement(fast: Any, book: Any) -> type:
    """Return fastconv's optimizer under the book's name; parameters that it refuses are the book's from then on."""

    class Optimizer(fast):
        _stand_in: Any = None

        def update(self, params: Any, grads: Any) -> None:
            if self._stand_in is not None:
                return self._stand_in.update(params, grads)
            try:
                fast.update(self, params, grads)
            except TypeError as error:
                stand_in = book(**{name: getattr(self, name) for name in inspect.signature(book).parameters})
                known = [getattr(self, name) for name in self._state]
                if known and all(key in values for values in known for key in params):  # it has stepped before
                    for name in (*self._state, *(["iter"] if hasattr(self, "iter") else [])):
                        setattr(stand_in, name, getattr(self, name))
                try:
                    stand_in.update(params, grads)
                except Exception:
                    raise error from None
                report.fell_back(f"{book.__name__}.update", error)
                self._stand_in = stand_in

    Optimizer.__name__, Optimizer.__qualname__, Optimizer.__module__ = book.__name__, book.__qualname__, book.__module__
    Optimizer.__doc__, Optimizer.update.__doc__ = fast.__doc__, fast.update.__doc__
    return Optimizer
