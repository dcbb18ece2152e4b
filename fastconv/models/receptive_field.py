"""Three layers of 3x3 filters in the place of one of 7x7: ``python -m fastconv.models.receptive_field`` times both.

Each value of either sees 7x7 pixels. vgg.py says what is gained.
"""
from __future__ import annotations

import time

import numpy as np

from .image_network import ImageNetwork


class Field(ImageNetwork):
    """Convolutions with ReLU from `channels` to as many, whose last values see 7x7 pixels each."""

    def __init__(self, layers: int, channels: int, size: int) -> None:
        super().__init__((channels, size, size), channels, 1.0, np.float32)
        window = {3: 3, 1: 7}[layers]
        for layer in range(layers):
            self.conv_relu(f"conv{layer}", channels, window, pad=window // 2)
        self.initialize(0)


def field(layers: int, channels: int = 64, size: int = 56) -> Field:
    """Return three layers of 3x3 filters, or one layer of 7x7 filters."""
    if layers not in (1, 3):
        raise ValueError(f"field: layers is {layers!r}, expected 3 (of 3x3) or 1 (of 7x7)")
    return Field(layers, channels, size)


def weights(network: Field) -> int:
    """Return how many weights the filters have."""
    return sum(np.size(W) for key, W in network.params.items() if key.startswith("W"))


def seconds(network: Field, batch_size: int = 8, repeats: int = 5) -> float:
    """Return the seconds of a prediction, the shortest of some after a first one."""
    assert network.input_dim is not None
    x = np.ones((batch_size, *network.input_dim), np.float32)
    times = []
    for _ in range(repeats + 1):
        start = time.perf_counter()
        network.predict(x)
        times.append(time.perf_counter() - start)
    return min(times[1:])


if __name__ == "__main__":
    for name, layers in (("three 3x3", 3), ("one 7x7", 1)):
        network = field(layers)
        print(f"{name:9}: {weights(network):,} weights, {1e3 * seconds(network):.1f} ms for 8 maps of 56x56x64")
