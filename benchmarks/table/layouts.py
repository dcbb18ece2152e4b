"""From the kernels' memory, NHWC float32, to the book's and PyTorch's, and back."""
from __future__ import annotations

from typing import Any

import numpy as np

from ..libraries import takes_part

HAS_TORCH = takes_part("torch")
TORCH = ("torch", "torch-nhwc")  # PyTorch's two memory layouts; the better one counts


def to_book(x: np.ndarray) -> np.ndarray:
    """Return NCHW float64."""
    return np.ascontiguousarray(x.transpose(0, 3, 1, 2), np.float64)


def from_nchw(x: Any) -> np.ndarray:
    """Return NHWC of an array or a tensor."""
    return np.asarray(x).transpose(0, 2, 3, 1)


def to_torch(x: np.ndarray, layout: str) -> Any:
    """Return the NCHW tensor of NHWC images, in memory as `layout` (one of TORCH) says."""
    import torch
    return laid_out(torch.from_numpy(x).permute(0, 3, 1, 2), layout)


def laid_out(tensor: Any, layout: str) -> Any:
    """Return a copy of the NCHW `tensor`, in memory as `layout` says."""
    import torch
    memory = torch.channels_last if layout == "torch-nhwc" else torch.contiguous_format
    return tensor.clone(memory_format=memory)


def pin_torch(n_threads: int) -> None:
    """Let PyTorch use so many threads."""
    import torch
    if torch.get_num_threads() != n_threads:
        torch.set_num_threads(n_threads)
