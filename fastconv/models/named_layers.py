"""A network whose layers have names, as the book's later chapters have it."""
from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

from ..engine import Network


class NamedLayers(Network):
    """A network with its layers in a dictionary; files have the book's names, 'W1', 'b1', ..."""

    _numbered = True

    @property
    def layers(self) -> Mapping[str | int, Any]:
        """The layers by the book's names, in their order; later ones that were added without a name by their ids."""
        names = {node: name for name, node in self._graph.names.items()}
        return MappingProxyType({names.get(node, node): layer for node, layer in enumerate(self._graph.layers)})
