"""VGG (Simonyan and Zisserman, 2014, https://arxiv.org/abs/1409.1556): depth from 3x3 filters alone.

Why three 3x3 filters replace one 7x7: a value of the third layer sees 3x3 values of the second, these 5x5 of the first
and these 7x7 pixels, the same field as one 7x7 filter's. But three times 3x3 are 27 weights for a pair of an input and
an output channel, 7x7 are 49, and between the three lie two more ReLUs. Both are built and timed in receptive_field.py:

>>> from fastconv.models.receptive_field import field, weights
>>> weights(field(3)) // 64**2, weights(field(1)) // 64**2
(27, 49)
"""
from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import DTypeLike

from ..shapes import whole
from .image_network import ImageNetwork

# filters of the 3x3 convolutions before each 2x2 pooling; on images of 224x224 the maps are
#     224       112         56                    28                    14         wide
CONFIGURATIONS = {
    "A": ([64],     [128],      [256] * 2,            [512] * 2,            [512] * 2),  # 11 layers with weights
    "B": ([64] * 2, [128] * 2,  [256] * 2,            [512] * 2,            [512] * 2),  # 13
    "D": ([64] * 2, [128] * 2,  [256] * 3,            [512] * 3,            [512] * 3),  # 16
    "E": ([64] * 2, [128] * 2,  [256] * 4,            [512] * 4,            [512] * 4),  # 19
}


class VGG(ImageNetwork):
    """3x3 convolutions with ReLU in five stages, a 2x2 pooling after each, and three fully connected layers.

    Parameters
    ----------
    config : {'A', 'B', 'D', 'E'}
        The column of the paper's table 1, with 11, 13, 16 or 19 layers.
    input_dim : (int, int, int), default (3, 224, 224)
        Channels, height and width of the images.
    num_classes : int, default 1000
    batch_norm : bool, default False
        Normalize each channel between convolution and ReLU, as torchvision's ``vgg16_bn``.
    width : float, default 1
        All numbers of channels are multiplied by it.
    hidden_size : int, default 4096
        Neurons of the two hidden fully connected layers.
    small : bool, default False
        The form for small images, see `small`'s notes.
    dtype : dtype, default float32
        Dtype of the parameters.
    seed : int or Generator, optional
        Where the initial weights and then the dropout masks come from; without it from NumPy's global generator.

    Raises
    ------
    ValueError
        If the images are too small, or there is no such configuration.

    Notes
    -----
    Layers have torchvision's names. Weights start at He's ``sqrt(2 / fan_in) * randn``, biases at 0. Dropout is
    inverted. The last map is averaged to 7x7, which it is for images of 224x224, as torchvision does.
    """

    def __init__(self, config: str = "D", input_dim: tuple[int, int, int] = (3, 224, 224), num_classes: int = 1000, *,
                 batch_norm: bool = False, width: float = 1.0, hidden_size: int = 4096, small: bool = False,
                 dtype: DTypeLike = np.float32, seed: int | np.random.Generator | None = None) -> None:
        super().__init__(input_dim, num_classes, width, dtype)
        if config not in CONFIGURATIONS:
            raise ValueError(f"VGG: config is {config!r}, expected {', '.join(map(repr, CONFIGURATIONS))}")
        hidden_size = whole(hidden_size, "VGG: hidden_size", 1)
        module = 0  # torchvision counts convolutions, normalizations, ReLUs and poolings
        for stage in CONFIGURATIONS[config]:
            for filters in stage:
                self.conv(f"features.{module}", filters, 3, pad=1)
                if batch_norm:
                    self.bn(f"features.{module + 1}")
                self.relu()
                module += 3 if batch_norm else 2
            if small:
                self.pool_where_it_fits(2, 2)
            else:
                self.pool(2, 2)
            module += 1
        if not small:
            self.average_to(7)
        self.affine("classifier.0", hidden_size)
        self.relu()
        self.dropout(0.5)
        self.affine("classifier.3", hidden_size)
        self.relu()
        self.dropout(0.5)
        self.affine("classifier.6", self.num_classes)
        self.initialize(seed)

    @classmethod
    def small(cls, config: str = "A", input_dim: tuple[int, int, int] = (1, 28, 28), num_classes: int = 10, *,
              batch_norm: bool = True, width: float = 0.25, hidden_size: int = 128, **more: Any) -> VGG:
        """Return the network for images of about 28x28.

        Poolings that are larger than their map are left out, and the last map goes to the classifier as it is:
        28 14 7 3 1 pixels wide.
        """
        return cls(config, input_dim, num_classes, batch_norm=batch_norm, width=width, hidden_size=hidden_size,
                   small=True, **more)
