"""What an optimizer remembers: numbers, and arrays for each parameter. The book's own optimizers are taken, too."""
from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .network_state import Arrays, Put

BY_PARAMETER = "by parameter"  # what stands in the place of a dictionary of arrays


def take_optimizer(optimizer: Any) -> tuple[dict[str, Any], Arrays]:
    """Return the attributes that are numbers, text or None, and those that are arrays by parameter.

    Raises
    ------
    TypeError
        If there is another attribute; methods do not count.
    """
    values: dict[str, Any] = {}
    arrays: Arrays = {}
    for name, value in vars(optimizer).items():
        if isinstance(value, Mapping):
            values[name] = {BY_PARAMETER: True}
            arrays |= {f"{name}/{key}": np.asarray(array) for key, array in value.items()}
        elif value is None or isinstance(value, (bool, int, float, str, np.number)):
            values[name] = value.item() if isinstance(value, np.generic) else value
        elif not callable(value):
            raise TypeError(f"the optimizer's {name} is a {type(value).__name__}; a checkpoint can keep numbers, and "
                            "dictionaries of arrays")
    return values, arrays


def put_optimizer(optimizer: Any, kind: str, values: dict[str, Any], arrays: Mapping[str, NDArray[Any]]) -> Put:
    """Return what gives an optimizer the state of another one.

    Raises
    ------
    ValueError
        If that was of another class, or had other attributes.
    """
    own, _ = take_optimizer(optimizer)
    if kind != type(optimizer).__name__:
        raise ValueError(f"the optimizer is {kind}, expected this trainer's, {type(optimizer).__name__}")
    if set(own) != set(values):
        raise ValueError(f"the optimizer has {', '.join(values)}, expected {', '.join(own)}")
    dictionaries: dict[str, dict[str, NDArray[Any]]] = {name: {} for name, value in values.items()
                                                        if isinstance(value, dict)}
    for entry, array in arrays.items():
        name, _, key = entry.partition("/")
        if name not in dictionaries:
            raise ValueError(f"optimizer/{entry} is unknown")
        dictionaries[name][key] = array

    def put() -> None:
        for name, value in values.items():
            now = getattr(optimizer, name)
            setattr(optimizer, name, dictionaries[name] if name in dictionaries
                    else type(now)(value) if isinstance(now, np.generic) else value)

    return put
