"""The tensors of a plan: their sizes, the zeros around them, and where they lie in memory.

The memory's layout is drawn in kernels/native/plan_state.pxd.
"""
from __future__ import annotations

from dataclasses import dataclass

ALIGNMENT = 64  # bytes


@dataclass(eq=False)
class Tensor:
    """Images (h, w, c), or rows with h = w = 1, of `item` bytes a value.

    `before` and `after` are the zeros that some step wants to find around each image, in pixels.
    """

    h: int
    w: int
    c: int
    item: int
    before: int = 0
    after: int = 0
    offset: int = 0
    first: int = -1  # step that writes it
    last: int = -1   # step that uses it last
    batch: bool = False  # has a place for every image of the batch, not only for a worker's few

    def want(self, before: int = 0, after: int = 0) -> None:
        """Have at least so many zeros around."""
        self.before, self.after = max(self.before, before), max(self.after, after)

    @property
    def dense(self) -> bool:
        return not (self.before or self.after)

    @property
    def values(self) -> int:
        return self.h * self.w * self.c

    @property
    def image_bytes(self) -> int:
        around = self.before + self.after
        return (self.h + around) * (self.w + around) * self.c * self.item


def place(tensors: list[Tensor], images: int) -> int:
    """Give each tensor an offset so that no two that live at the same time overlap; return the bytes in all.

    The largest come first, each at the lowest place that is free for its whole life.
    """
    placed: list[tuple[int, int, Tensor]] = []  # start, end, tensor
    total = 0
    for tensor in sorted(tensors, key=lambda t: -t.image_bytes):
        size = -(-images * tensor.image_bytes // ALIGNMENT) * ALIGNMENT
        start = 0
        for other_start, other_end, other in sorted(placed, key=lambda p: p[0]):
            if other.first <= tensor.last and tensor.first <= other.last:
                if start + size <= other_start:
                    break
                start = max(start, other_end)
        tensor.offset = start
        placed.append((start, start + size, tensor))
        total = max(total, start + size)
    return total
