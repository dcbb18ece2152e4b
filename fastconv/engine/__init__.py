"""Execution: a network is a graph of layers."""
from __future__ import annotations

from .network import Network
from .parameters import Parameters

__all__ = ["Network", "Parameters"]
