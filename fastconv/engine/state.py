"""A network's arrays by the names that they have in files."""
from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

import numpy as np

from ..files import harmless
from ..layers import Affine
from .graph import Graph, learned

NAMES = {"W": "weight", "b": "bias", "gamma": "weight", "beta": "bias"}  # PyTorch's
STATISTICS = ("running_mean", "running_var")
IGNORED = "num_batches_tracked"  # how many batches PyTorch's statistics have seen


class Entry(NamedTuple):
    """An attribute of a layer."""

    layer: Any
    attribute: str

    @property
    def value(self) -> np.ndarray | None:
        """The array as files have it: PyTorch's Linear keeps W as (outputs, inputs)."""
        value = getattr(self.layer, self.attribute)
        return None if value is None else np.asarray(value).T if self._transposed else np.asarray(value)

    @property
    def shape(self) -> tuple[int, ...]:
        """The shape in files; statistics that are not there yet have gamma's."""
        value = self.value
        return np.shape(self.layer.gamma if value is None else value)

    def converted(self, value: Any, dtype: np.dtype) -> np.ndarray:
        """Return a copy of an array of a file as the layer has it, in C order."""
        value = np.asarray(value)
        return np.array(value.T if self._transposed else value, dtype, order="C")

    @property
    def _transposed(self) -> bool:
        return self.attribute == "W" and isinstance(self.layer, Affine)


def is_named(graph: Graph) -> bool:
    """Say whether all layers with parameters were added under a name."""
    named = set(graph.names.values())
    return all(node in named for node, layer in enumerate(graph.layers) if learned(layer))


def entries(graph: Graph) -> dict[str, Entry]:
    """Return ``<layer's name>.weight``, ``.bias``, ``.running_mean``, ``.running_var`` -> what it is.

    Raises
    ------
    ValueError
        If a layer has two arrays for one name, such as W and gamma.
    """
    names = {node: name for name, node in graph.names.items()}
    found: dict[str, Entry] = {}
    for node, layer in enumerate(graph.layers):
        for attribute in _attributes(layer):
            key = f"{names[node]}.{NAMES.get(attribute, attribute)}"
            if key in found:
                raise ValueError(f"Network.state: layers[{node}], a {type(layer).__name__}, has "
                                 f"{found[key].attribute} and {attribute}: both would be {key}")
            found[key] = Entry(layer, attribute)
    return found


def replace(graph: Graph, arrays: Mapping[str, Any], dtype: np.dtype, where: str) -> None:
    """Set all arrays, or none.

    Raises
    ------
    ValueError
        If entries are missing or unknown, have another shape or are no numbers (lists them all).
    """
    own = entries(graph)
    faults = [f"{key} is missing" for key, entry in own.items() if key not in arrays and entry.value is not None]
    given = {key: value for key, value in arrays.items() if not key.endswith(IGNORED)}
    faults += [f"{harmless(key, 60)} is unknown" for key in given if key not in own]
    faults += [fault for key in own if key in given and (fault := _fault(key, own[key].shape, given[key]))]
    if faults:
        raise ValueError(f"{where}: the parameters do not fit this network: {'; '.join(faults)}")
    converted = {key: own[key].converted(value, dtype) for key, value in given.items()}  # this may fail
    for key, array in converted.items():
        setattr(own[key].layer, own[key].attribute, array)


def _attributes(layer: Any) -> Iterator[str]:
    yield from learned(layer)
    if getattr(layer, "gamma", None) is not None:
        yield from (name for name in STATISTICS if hasattr(layer, name))


def _fault(key: str, shape: tuple[int, ...], value: Any) -> str | None:
    dtype = np.asarray(value).dtype
    if dtype.kind not in "fiub":
        return f"{key} has dtype {dtype}, expected real numbers"
    if np.shape(value) != shape:
        return f"{key} has shape {np.shape(value)}, expected {shape}"
    return None
