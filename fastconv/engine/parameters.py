"""The parameters of a network as a dictionary: a view of the layers' own attributes."""
from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, MutableMapping
from typing import Any

import numpy as np

from ..files import harmless
from .graph import LEARNED, learned


class Parameters(MutableMapping[str, np.ndarray]):
    """Maps 'W1', 'b1', 'W2', ... to the attributes `W`, `b` (`gamma`, `beta`) of the layers.

    There is one source of truth: what is set here is the layer's attribute, and the other way round. The
    numbers count the layers that have the attribute, in the order of the network. Pickled or copied, the view
    becomes a plain dictionary.
    """

    def __init__(self, layers: Iterable[Any], dtype: np.dtype) -> None:
        self._dtype = dtype
        self._slots: dict[str, tuple[Any, str]] = {}  # key -> layer, attribute
        counts = dict.fromkeys(LEARNED, 0)
        for layer in layers:
            for attribute in learned(layer):
                counts[attribute] += 1
                self._slots[f"{attribute}{counts[attribute]}"] = layer, attribute

    def gradients(self) -> dict[str, np.ndarray]:
        """Return what the last backward pass left in the layers' `dW`, `db`, `dgamma`, `dbeta`, by key."""
        return {key: getattr(layer, f"d{attribute}") for key, (layer, attribute) in self._slots.items()}

    def set_gradients(self, values: Mapping[str, Any]) -> None:
        """Put gradients, by key, where the layers' backward passes leave them."""
        for key, (layer, attribute) in self._slots.items():
            setattr(layer, f"d{attribute}", values[key])

    def replace(self, values: Mapping[str, Any], where: str) -> None:
        """Set all parameters, or none.

        Raises
        ------
        ValueError
            If keys are missing or unknown, or entries have another shape or are no numbers (lists them all).
        """
        faults = [f"{key} is missing" for key in self if key not in values]
        faults += [f"{harmless(key, 60)} is unknown" for key in values if key not in self._slots]
        faults += [fault for key in self if key in values and (fault := self._fault(key, values[key]))]
        if faults:
            raise ValueError(f"{where}: the parameters do not fit this network: {'; '.join(faults)}")
        converted = {key: np.asarray(value, dtype=self._dtype) for key, value in values.items()}  # this may fail
        for key, array in converted.items():
            layer, attribute = self._slots[key]
            setattr(layer, attribute, array)

    def __getitem__(self, key: str) -> np.ndarray:
        layer, attribute = self._slot(key)
        return getattr(layer, attribute)

    def __setitem__(self, key: str, value: Any) -> None:
        layer, attribute = self._slot(key)
        fault = self._fault(key, value)
        if fault:
            raise ValueError(f"Network.params: {fault}")
        setattr(layer, attribute, np.asarray(value, dtype=self._dtype))

    def __delitem__(self, key: str) -> None:
        raise TypeError(f"Network.params: {key!r} belongs to a layer and cannot be deleted")

    def __iter__(self) -> Iterator[str]:
        return iter(self._slots)

    def __len__(self) -> int:
        return len(self._slots)

    def __repr__(self) -> str:
        return f"Parameters({', '.join(f'{key}: {np.shape(value)}' for key, value in self.items())})"

    def __reduce__(self) -> tuple[type[dict], tuple[dict[str, np.ndarray]]]:
        return dict, (dict(self),)

    def copy(self) -> dict[str, np.ndarray]:
        """Return a plain dictionary of the same arrays, as ``dict.copy`` does."""
        return dict(self)

    def _slot(self, key: str) -> tuple[Any, str]:
        if key not in self._slots:
            raise KeyError(f"Network.params has no {key!r}; it has {', '.join(self) or 'no parameters'}")
        return self._slots[key]

    def _fault(self, key: str, value: Any) -> str | None:
        dtype = np.asarray(value).dtype
        if dtype.kind not in "fiub":
            return f"{key} has dtype {dtype}, expected real numbers"
        if np.shape(value) != np.shape(self[key]):
            return f"{key} has shape {np.shape(value)}, expected {np.shape(self[key])}"
        return None
