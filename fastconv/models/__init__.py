"""Networks, one file each."""
from __future__ import annotations

from .deep_convnet import DeepConvNet

__all__ = ["DeepConvNet"]
