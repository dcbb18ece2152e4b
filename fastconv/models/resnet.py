"""ResNet (He, Zhang, Ren and Sun, 2015, https://arxiv.org/abs/1512.03385): layers learn what to add to their input."""
from __future__ import annotations

import numpy as np
from numpy.typing import DTypeLike

from ..layers import Add
from ..shapes import whole
from .image_network import ImageNetwork

# depth: blocks of the four stages, whether they are bottlenecks
DEPTHS = {
    18: ((2, 2, 2, 2), False),
    34: ((3, 4, 6, 3), False),
    50: ((3, 4, 6, 3), True),
    101: ((3, 4, 23, 3), True),
    152: ((3, 8, 36, 3), True),
}

DEEPEST = 10_000  # layers; the paper stops at 1202


class Residual(ImageNetwork):
    """The blocks: a few convolutions with normalization, and a skip that is added to what they give."""

    def conv_bn(self, conv: str, bn: str, filters: int, size: int, stride: int = 1, *, reads: int | None = None) -> int:
        """Add a convolution that keeps the size of its map but for the stride, and a normalization."""
        self.conv(conv, filters, size, stride, size // 2, bias=False, reads=reads)
        return self.bn(bn)

    def basic(self, name: str, filters: int, stride: int) -> int:
        """Add a block of two 3x3 convolutions."""
        x = len(self._graph.layers) - 1
        self.conv_bn(f"{name}.conv1", f"{name}.bn1", filters, 3, stride)
        self.relu()
        out = self.conv_bn(f"{name}.conv2", f"{name}.bn2", filters, 3)
        return self._join(name, x, out, filters, stride)

    def bottleneck(self, name: str, filters: int, stride: int) -> int:
        """Add a block of 1x1, 3x3 and 1x1 convolutions; the last has four times the filters.

        The stride is in the 3x3 convolution, as torchvision has it; the paper has it in the first 1x1.
        """
        x = len(self._graph.layers) - 1
        self.conv_bn(f"{name}.conv1", f"{name}.bn1", filters, 1)
        self.relu()
        self.conv_bn(f"{name}.conv2", f"{name}.bn2", filters, 3, stride)
        self.relu()
        out = self.conv_bn(f"{name}.conv3", f"{name}.bn3", 4 * filters, 1)
        return self._join(name, x, out, 4 * filters, stride)

    def _join(self, name: str, x: int, out: int, filters: int, stride: int) -> int:
        """Add x to out: as it is, or through a projection where the shapes differ."""
        if self.shape(x) != self.shape(out):
            x = self.conv_bn(f"{name}.downsample.0", f"{name}.downsample.1", filters, 1, stride, reads=x)
        self.add(Add(), inputs=(out, x))
        return self.relu()


class ResNet(Residual):
    """A 7x7 convolution, four stages of residual blocks, the average of each channel, one fully connected layer.

    Parameters
    ----------
    depth : {50, 18, 34, 101, 152}
        Layers with weights. From 50 on the blocks are bottlenecks.
    input_dim : (int, int, int), default (3, 224, 224)
        Channels, height and width of the images.
    num_classes : int, default 1000
    width : float, default 1
        All numbers of channels are multiplied by it.
    dtype : dtype, default float32
        Dtype of the parameters.
    seed : int or Generator, optional
        Where the initial weights come from; without it from NumPy's global generator.

    Raises
    ------
    ValueError
        If there is no such depth.

    Notes
    -----
    Layers have torchvision's names. Weights start at He's ``sqrt(2 / fan_in) * randn``, gamma at 1, beta and biases at
    0. For small images take `SmallResNet`.
    """

    def __init__(self, depth: int = 50, input_dim: tuple[int, int, int] = (3, 224, 224), num_classes: int = 1000, *,
                 width: float = 1.0, dtype: DTypeLike = np.float32,
                 seed: int | np.random.Generator | None = None) -> None:
        super().__init__(input_dim, num_classes, width, dtype)
        if depth not in DEPTHS:
            raise ValueError(f"ResNet: depth is {depth!r}, expected {', '.join(map(str, DEPTHS))}; SmallResNet has "
                             "others, for small images")
        stages, bottlenecks = DEPTHS[depth]
        block = self.bottleneck if bottlenecks else self.basic
        self.conv("conv1", 64, 7, stride=2, pad=3, bias=False)              # 112
        self.bn("bn1")
        self.relu()
        self.pool(3, 2, pad=1)                                              # 56
        for stage, blocks in enumerate(stages):                             # 56, 28, 14, 7
            for i in range(blocks):
                block(f"layer{stage + 1}.{i}", 64 * 2 ** stage, stride=2 if stage and not i else 1)
        self.global_average()
        self.affine("fc", self.num_classes)
        self.initialize(seed)


class SmallResNet(Residual):
    """The paper's network for small images: a 3x3 convolution, three stages of basic blocks with 16, 32, 64 filters.

    Parameters
    ----------
    depth : int, default 20
        ``6 * n + 2`` layers with weights, n blocks a stage: 20, 32, 44, 56, 110, ...
    input_dim : (int, int, int), default (3, 32, 32)
        Channels, height and width of the images.
    num_classes : int, default 10
    width : float, default 1
        All numbers of channels are multiplied by it.
    dtype : dtype, default float32
        Dtype of the parameters.
    seed : int or Generator, optional
        Where the initial weights come from; without it from NumPy's global generator.

    Raises
    ------
    ValueError
        If the depth is no ``6 * n + 2``.

    Notes
    -----
    Where a stage halves the map, the skip is a projection as in `ResNet` (the paper's option B); the paper's own
    figures for small images are with a skip without weights.
    """

    def __init__(self, depth: int = 20, input_dim: tuple[int, int, int] = (3, 32, 32), num_classes: int = 10, *,
                 width: float = 1.0, dtype: DTypeLike = np.float32,
                 seed: int | np.random.Generator | None = None) -> None:
        super().__init__(input_dim, num_classes, width, dtype)
        if whole(depth, "SmallResNet: depth", 8, DEEPEST) % 6 != 2:
            raise ValueError(f"SmallResNet: depth is {depth}, expected 6 * n + 2: 8, 14, 20, 32, 44, 56, 110")
        self.conv("conv1", 16, 3, pad=1, bias=False)
        self.bn("bn1")
        self.relu()
        for stage in range(3):                                              # 32, 16, 8
            for i in range((depth - 2) // 6):
                self.basic(f"layer{stage + 1}.{i}", 16 * 2 ** stage, stride=2 if stage and not i else 1)
        self.global_average()
        self.affine("fc", self.num_classes)
        self.initialize(seed)
