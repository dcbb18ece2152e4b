"""The steps of a plan and the tensors between them, as they are added one after another."""
from __future__ import annotations

from typing import Any

import numpy as np

from .tensors import ALIGNMENT, Tensor, place

CHUNK_BYTES = 1 << 21  # of tensors that a worker goes through at a time: what stays in a shared cache
CHUNK = 8              # images at a time at most
WIDE_BYTES = 1 << 25   # of tensors that all workers together go through at a time
LATE_BYTES = 1 << 22   # of an image's tensors that make way for more images at a time
ENDS = ("mean", "variance", "normalize_sums")  # steps that need the whole batch before the next one starts


class Steps:
    """A list of steps that grows, and at the end is laid out in memory.

    Attributes
    ----------
    steps : list of dict
        As kernels/native/plan_setup.pxd takes them, with tensors in place of their numbers.
    tensors : list of Tensor
    most : int
        Images per chunk at most.
    local_bytes, batch_bytes : int
        Memory of the tensors: for a chunk, and for each image of the batch.
    segments : list of (int, int)
        Where all workers share each step: the steps' end, and how many images go through them at a time.
    """

    def __init__(self, dtype: np.dtype[Any]) -> None:
        self.dtype = dtype
        self.steps: list[dict[str, Any]] = []
        self.tensors: list[Tensor] = []

    def tensor(self, h: int, w: int, c: int, item: int | None = None) -> Tensor:
        """Return a new tensor; its items are the network's floats, or of so many bytes."""
        tensor = Tensor(h, w, c, item or self.dtype.itemsize)
        self.tensors.append(tensor)
        return tensor

    def like(self, tensor: Tensor, item: int | None = None) -> Tensor:
        """Return a new tensor of the same size."""
        return self.tensor(tensor.h, tensor.w, tensor.c, item)

    def step(self, name: str, **given: Any) -> None:
        """Append a step; its tensors live from their first step to their last."""
        for tensor in given.values():
            if isinstance(tensor, Tensor):
                tensor.last = len(self.steps)
                if tensor.first < 0:
                    tensor.first = tensor.last
        self.steps.append({"name": name, **given})

    def finish(self, shared: bool = False) -> None:
        """Find out how long each tensor lives, and where.

        Parameters
        ----------
        shared : bool
            All workers share each step, instead of taking images of their own through all of them. A few images at a
            time go through the early steps, for they are large, and more through the late ones, for their weights are.
        """
        self.tensors = [tensor for tensor in self.tensors if tensor.first >= 0]
        ends = [i for i, step in enumerate(self.steps) if step["name"] in ENDS]  # of segments
        living = [sum(t.image_bytes for t in self.tensors if t.first <= i <= t.last) for i in range(len(self.steps))]
        if shared:
            large = [i for i, size in enumerate(living) if size > LATE_BYTES]
            ends = [i for i in large[-1:] if i < len(self.steps) - 1]
        for tensor in self.tensors:
            tensor.batch = any(tensor.first <= end < tensor.last for end in ends)
            if tensor.batch:  # other lanes may still be, or be already, anywhere in the segment
                tensor.first = max((end + 1 for end in ends if end < tensor.first), default=0)
                tensor.last = min((end for end in ends if end >= tensor.last), default=len(self.steps))
        self.segments: list[tuple[int, int]] = []
        if shared:
            self._share(ends, living)
            return
        living = [sum(t.image_bytes for t in self.tensors if t.first <= i <= t.last) for i in range(len(self.steps))]
        self.most = max(1, min(CHUNK, CHUNK_BYTES // max(living)))
        self.local_bytes = place([t for t in self.tensors if not t.batch], self.most)
        self.batch_bytes = place([t for t in self.tensors if t.batch], 1)

    def _share(self, ends: list[int], living: list[int]) -> None:
        """Lay the tensors out for one image; a chunk of n images takes n times as much."""
        self.most, self.local_bytes = 1, 0
        place([t for t in self.tensors if not t.batch], 1)
        self.batch_bytes = place([t for t in self.tensors if t.batch], 1)
        first = 0
        for end in [*(end + 1 for end in ends), len(self.steps)]:
            images = max(1, min(CHUNK, WIDE_BYTES // max(living[first:end])))
            own = [t for t in self.tensors if not t.batch and first <= t.first < end]
            behind = max((t.offset + t.image_bytes for t in own), default=0)
            self.local_bytes = max(self.local_bytes, images * (-(-behind // ALIGNMENT) * ALIGNMENT))
            self.segments.append((end, images))
            first = end
