"""One axis of a convolution: the zeros that its steps want to find around their tensors."""
from __future__ import annotations


class Axis:
    """Sizes of the input and the output, the window, and how it moves."""

    def __init__(self, size: int, out: int, window: int, stride: int, pad: int, dilation: int) -> None:
        self.size, self.out, self.stride, self.pad = size, out, stride, pad
        self.span = dilation * (window - 1) + 1

    def after(self, winograd: bool) -> int:
        """Behind x; Winograd's tiles read 6 pixels for every 4 results, also where fewer are wanted."""
        last = -(-self.out // 4) * 4 + 2 if winograd else (self.out - 1) * self.stride + self.span
        return max(0, last - self.pad - self.size)

    @property
    def back_before(self) -> int:
        return max(0, -(-(self.span - 1 - self.pad) // self.stride))

    def back_after(self, winograd: bool) -> int:
        """Behind dout, for the gradient to x."""
        last = -(-self.size // 4) * 4 + 2 - (self.span - 1 - self.pad) if winograd \
            else (self.size - 1 + self.pad) // self.stride + 1
        return max(0, last - self.out)

    @property
    def room(self) -> int:
        """Behind dx, for whole tiles."""
        return -self.size % 4

    @property
    def room_out(self) -> int:
        return -self.out % 4
