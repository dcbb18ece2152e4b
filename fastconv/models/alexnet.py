"""AlexNet (Krizhevsky, Sutskever and Hinton, 2012), which won ImageNet by depth, ReLU and dropout."""
from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import DTypeLike

from ..layers import LRN
from .image_network import ImageNetwork


class AlexNet(ImageNetwork):
    """Five convolutions, three of them pooled by overlapping windows, and three fully connected layers.

    ``"paper"`` is the network of *ImageNet Classification with Deep Convolutional Neural Networks*: its second, fourth
    and fifth convolutions are cut in two groups, as they lay on two graphics cards, and two layers are normalized
    across channels. ``"one-tower"`` is that of *One weird trick for parallelizing convolutional neural networks*
    (https://arxiv.org/abs/1404.5997), without either, which torchvision publishes weights for: layers have its names.

    Parameters
    ----------
    input_dim : (int, int, int), default (3, 224, 224)
        Channels, height and width of the images.
    num_classes : int, default 1000
    variant : {'paper', 'one-tower'}
    width : float, default 1
        All numbers of channels and hidden neurons are multiplied by it.
    small : bool, default False
        The form for small images, see `small`'s notes.
    dtype : dtype, default float32
        Dtype of the parameters.
    seed : int or Generator, optional
        Where the initial weights and then the dropout masks come from; without it from NumPy's global generator.

    Raises
    ------
    ValueError
        If the images are too small, or there is no such variant.

    Notes
    -----
    Weights start at He's ``sqrt(2 / fan_in) * randn``, biases at 0. Dropout is inverted. The one-tower variant averages
    the last map to 6x6, which it is for images of 224x224.
    """

    variants = ("paper", "one-tower")

    def __init__(self, input_dim: tuple[int, int, int] = (3, 224, 224), num_classes: int = 1000, *,
                 variant: str = "paper", width: float = 1.0, small: bool = False, dtype: DTypeLike = np.float32,
                 seed: int | np.random.Generator | None = None) -> None:
        super().__init__(input_dim, num_classes, width, dtype, variant=variant, small=small)
        if variant == "paper":
            self.multiple = 2
            self._paper()
        else:
            self._one_tower()
        self.initialize(seed)

    @classmethod
    def small(cls, input_dim: tuple[int, int, int] = (1, 28, 28), num_classes: int = 10, *,
              variant: str = "one-tower", width: float = 0.25, **more: Any) -> AlexNet:
        """Return the network for images of about 28x28.

        The first convolution is 3x3 with stride 1 in the place of 11x11 with stride 4, poolings that are larger than
        their map are left out, and the last map goes to the classifier as it is: 28 28 13 13 6 6 2 pixels wide.
        """
        return cls(input_dim, num_classes, variant=variant, width=width, small=True, **more)

    def _paper(self) -> None:
        #                                                             map of 224x224
        self._stem("features.0", 96)                                        # 55
        self.add(LRN())
        self._pool()                                                        # 27
        self.conv_relu("features.4", 256, 5, pad=2, groups=2)
        self.add(LRN())
        self._pool()                                                        # 13
        self.conv_relu("features.8", 384, 3, pad=1)
        self.conv_relu("features.10", 384, 3, pad=1, groups=2)
        self.conv_relu("features.12", 256, 3, pad=1, groups=2)
        self._pool()                                                        # 6
        self._classifier()

    def _one_tower(self) -> None:
        self._stem("features.0", 64)                                        # 55
        self._pool()                                                        # 27
        self.conv_relu("features.3", 192, 5, pad=2)
        self._pool()                                                        # 13
        self.conv_relu("features.6", 384, 3, pad=1)
        self.conv_relu("features.8", 256, 3, pad=1)
        self.conv_relu("features.10", 256, 3, pad=1)
        self._pool()                                                        # 6
        if not self.is_small:
            self.average_to(6)
        self._classifier()

    def _stem(self, name: str, filters: int) -> None:
        if self.is_small:
            self.conv_relu(name, filters, 3, pad=1)
        else:
            self.conv_relu(name, filters, 11, stride=4, pad=2)

    def _pool(self) -> None:
        if self.is_small:
            self.pool_where_it_fits(3, 2)
        else:
            self.pool(3, 2)

    def _classifier(self) -> None:
        self.dropout(0.5)
        self.affine("classifier.1", self.channels(4096))
        self.relu()
        self.dropout(0.5)
        self.affine("classifier.4", self.channels(4096))
        self.relu()
        self.affine("classifier.6", self.num_classes)
