"""The random generators of a training run: the order of the samples, the dropout masks, and NumPy's global one."""
from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np

from .network_state import Put


def generators_of(rng: np.random.Generator | None, layers: Iterable[Any]) -> list[np.random.BitGenerator]:
    """Return what the trainer and the layers draw from, each once.

    Raises
    ------
    TypeError
        If a layer has a generator whose state cannot be kept.
    """
    found: dict[int, np.random.BitGenerator] = {}
    for owner in (rng, *(getattr(layer, "rng", None) for layer in layers)):
        if owner is None or owner is np.random:
            continue
        if not isinstance(owner, np.random.Generator):
            raise TypeError(f"a layer draws from a {type(owner).__name__}; a checkpoint can keep the state of a "
                            "numpy.random.Generator, and of NumPy's global one")
        found[id(owner.bit_generator)] = owner.bit_generator
    return list(found.values())


def take_random(generators: Iterable[np.random.BitGenerator]) -> dict[str, Any]:
    """Return the states, for JSON."""
    return {"numpy": _plain(np.random.get_state(legacy=False)), "own": [_plain(one.state) for one in generators]}


def put_random(generators: list[np.random.BitGenerator], states: dict[str, Any]) -> Put:
    """Return what sets the states.

    Raises
    ------
    ValueError
        If they are of other generators, or of another number of them.
    """
    own = states["own"]
    if len(own) != len(generators):
        raise ValueError(f"there are {len(own)} random generators, expected {len(generators)}; was a seed given to the "
                         "trainer or the network then and not now, or now and not then?")
    try:
        for one, state in zip(generators, own, strict=True):
            type(one)().state = state
        numpys = np.random.get_bit_generator()  # type: ignore[attr-defined]
        np.random.RandomState(type(numpys)()).set_state(states["numpy"])
    except (KeyError, TypeError, ValueError, OverflowError, IndexError) as error:
        raise ValueError(f"the state of a random generator: {error}") from error

    def put() -> None:
        for one, state in zip(generators, own, strict=True):
            one.state = state
        np.random.set_state(states["numpy"])

    return put


def _plain(value: Any) -> Any:
    """Return a generator's state without arrays; generators take it as lists, too."""
    if isinstance(value, dict):
        return {key: _plain(item) for key, item in value.items()}
    return value.tolist() if isinstance(value, (np.ndarray, np.generic)) else value
