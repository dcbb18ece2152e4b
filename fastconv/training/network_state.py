"""What training changes in a network: parameters and running statistics, by names in a checkpoint.

A network is a `Network`, or any object with `params`. Its layers are then looked for in its attributes, and in lists
and dictionaries that are attributes.
"""
from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..engine import Network
from ..engine.state import STATISTICS

Arrays = dict[str, NDArray[Any]]
Put = Callable[[], object]


def layers_of(network: Any) -> list[Any]:
    """Return the layers of a network, each once, in an order that is the same for each network of its kind."""
    values = [network] if isinstance(network, Network) else getattr(network, "__dict__", {}).values()
    return list({id(layer): layer for value in values for layer in _held(value)}.values())


def normalizations_of(network: Any) -> list[Any]:
    """Return the layers that have running statistics, or will have them."""
    return [layer for layer in layers_of(network) if all(hasattr(layer, name) for name in STATISTICS)]


def take_parameters(network: Any) -> Arrays:
    """Return the parameters by name, the arrays themselves."""
    return {key: np.asarray(value) for key, value in network.params.items()}


def put_parameters(network: Any, given: Mapping[str, NDArray[Any]]) -> Put:
    """Return what sets all parameters, arrays in place.

    Raises
    ------
    ValueError
        If some are missing or unknown, have another shape or dtype, or are read-only; it lists them all.
    """
    own = take_parameters(network)
    faults = [f"{key} is missing" for key in own if key not in given]
    faults += [f"{key} is unknown" for key in given if key not in own]
    faults += [fault for key in own if key in given and (fault := _fault(key, own[key], given[key]))]
    if faults:
        raise ValueError(f"the parameters are those of another network: {'; '.join(faults)}")

    def put() -> None:
        params = network.params
        for key, value in given.items():
            if isinstance(params[key], np.ndarray):
                params[key][...] = value
            else:
                params[key] = type(params[key])(value.item())

    return put


def take_statistics(network: Any) -> Arrays:
    """Return ``<number among such layers>.running_mean`` and ``.running_var``, where there are such already."""
    return {f"{i}.{name}": np.asarray(getattr(layer, name)) for i, layer in enumerate(normalizations_of(network))
            for name in STATISTICS if getattr(layer, name) is not None}


def put_statistics(network: Any, given: Mapping[str, NDArray[Any]]) -> Put:
    """Return what sets the running statistics of all layers.

    Raises
    ------
    ValueError
        If there is no such layer, or it has statistics of another shape.
    """
    slots = {f"{i}.{name}": (layer, name) for i, layer in enumerate(normalizations_of(network)) for name in STATISTICS}
    for key, value in given.items():
        if key not in slots:
            raise ValueError(f"statistics/{key} is of a layer that this network does not have")
        own = getattr(*slots[key])
        if own is not None and np.shape(own) != value.shape:
            raise ValueError(f"statistics/{key} has shape {value.shape}, expected {np.shape(own)}")

    def put() -> None:
        for key, (layer, name) in slots.items():
            setattr(layer, name, given[key].copy() if key in given else None)

    return put


def _held(value: Any) -> Iterator[Any]:
    """Yield the layers that an attribute holds: it may be one, a network, or a list or dictionary of such."""
    if isinstance(value, Network):
        yield from value._graph.layers
    elif isinstance(value, (list, tuple, Mapping)):
        for item in value.values() if isinstance(value, Mapping) else value:
            yield from item._graph.layers if isinstance(item, Network) else [item] if _is_layer(item) else []
    elif _is_layer(value):
        yield value


def _is_layer(value: Any) -> bool:
    return hasattr(value, "forward") and hasattr(value, "backward")


def _fault(key: str, own: NDArray[Any], given: NDArray[Any]) -> str | None:
    if own.shape != given.shape or own.dtype != given.dtype:
        return f"{key} has shape {given.shape} and dtype {given.dtype}, expected {own.shape} and {own.dtype}"
    return None if own.flags.writeable else f"{key} is read-only in this network"
