"""GoogLeNet (Szegedy et al., 2014, https://arxiv.org/abs/1409.4842): modules that look at several scales at once."""
from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import DTypeLike

from ..layers import LRN, Concat
from .image_network import ImageNetwork

AUXILIARY_WEIGHT = 0.3


class GoogLeNet(ImageNetwork):
    """A stem, nine inception modules, the average of each channel, one fully connected layer.

    ``"paper"`` has two local response normalizations in the stem, and biases. ``"batch_norm"`` is the network that
    torchvision publishes weights for: BatchNormalization after each convolution, 3x3 filters where the paper has 5x5, a
    2x2 pooling before the last two modules, and less dropout.

    Parameters
    ----------
    input_dim : (int, int, int), default (3, 224, 224)
        Channels, height and width of the images.
    num_classes : int, default 1000
    variant : {'paper', 'batch_norm'}
    auxiliary : bool, default True
        Score the modules 4a and 4d too in training, by classifiers whose losses count 0.3 times each. Predictions do
        not run them.
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
    Layers have torchvision's names, in both variants. Weights start at He's ``sqrt(2 / fan_in) * randn``, gamma at 1,
    beta and biases at 0. Dropout is inverted. torchvision's published weights want images scaled to -1 ... 1.
    """

    variants = ("paper", "batch_norm")

    def __init__(self, input_dim: tuple[int, int, int] = (3, 224, 224), num_classes: int = 1000, *,
                 variant: str = "paper", auxiliary: bool = True, width: float = 1.0, small: bool = False,
                 dtype: DTypeLike = np.float32, seed: int | np.random.Generator | None = None) -> None:
        super().__init__(input_dim, num_classes, width, dtype, variant=variant, small=small)
        self.has_norm = variant == "batch_norm"
        #                                    1x1  3x3: reduced  5x5: reduced  pooled    map of 224x224
        x = self._stem()                                                            # 28
        x = self.inception("inception3a", x, 64,  (96, 128),    (16, 32),     32)
        x = self.inception("inception3b", x, 128, (128, 192),   (32, 96),     64)
        x = self.pool(3, 2, ceil_mode=True)                                         # 14
        x = self.inception("inception4a", x, 192, (96, 208),    (16, 48),     64)
        if auxiliary:
            self._classifier("aux1", x)
        x = self.inception("inception4b", x, 160, (112, 224),   (24, 64),     64)
        x = self.inception("inception4c", x, 128, (128, 256),   (24, 64),     64)
        x = self.inception("inception4d", x, 112, (144, 288),   (32, 64),     64)
        if auxiliary:
            self._classifier("aux2", x)
        x = self.inception("inception4e", x, 256, (160, 320),   (32, 128),    128)
        size = 2 if self.has_norm else 3
        x = self.pool(size, 2, ceil_mode=True)                                      # 7
        x = self.inception("inception5a", x, 256, (160, 320),   (32, 128),    128)
        x = self.inception("inception5b", x, 384, (192, 384),   (48, 128),    128)
        self.global_average()                                                       # 1
        self.dropout(0.2 if self.has_norm else 0.4)
        self.affine("fc", self.num_classes)
        self.initialize(seed)

    @classmethod
    def small(cls, input_dim: tuple[int, int, int] = (1, 28, 28), num_classes: int = 10, *,
              variant: str = "batch_norm", width: float = 0.25, **more: Any) -> GoogLeNet:
        """Return the network for images of about 28x28.

        The first convolution is 3x3 with stride 1 in the place of 7x7 with stride 2, without the pooling behind it, and
        the auxiliary classifiers average their maps to 4x4 in both variants: 28 14 7 4 (paper: 3) pixels wide.
        """
        return cls(input_dim, num_classes, variant=variant, width=width, small=True, **more)

    def _stem(self) -> int:
        if self.is_small:
            self.block("conv1", 64, 3, pad=1)
        else:
            self.block("conv1", 64, 7, stride=2, pad=3)                             # 112
            self.pool(3, 2, ceil_mode=True)                                         # 56
        self._lrn()
        self.block("conv2", 64, 1)
        self.block("conv3", 192, 3, pad=1)
        self._lrn()
        return self.pool(3, 2, ceil_mode=True)

    def _lrn(self) -> None:
        if not self.has_norm:
            self.add(LRN(k=1.0))

    def block(self, name: str, filters: int, size: int, stride: int = 1, pad: int = 0, *,
              reads: int | None = None) -> int:
        """Add a convolution, the normalization where the variant has it, and a ReLU."""
        self.conv(f"{name}.conv", filters, size, stride, pad, bias=not self.has_norm, reads=reads)
        if self.has_norm:
            self.bn(f"{name}.bn", eps=1e-3)
        return self.relu()

    def inception(self, name: str, x: int, one: int, three: tuple[int, int], five: tuple[int, int], pooled: int) -> int:
        """Add a module: four branches that read x, side by side in the result."""
        size = 3 if self.has_norm else 5
        branch1 = self.block(f"{name}.branch1", one, 1, reads=x)
        self.block(f"{name}.branch2.0", three[0], 1, reads=x)
        branch2 = self.block(f"{name}.branch2.1", three[1], 3, pad=1)
        self.block(f"{name}.branch3.0", five[0], 1, reads=x)
        branch3 = self.block(f"{name}.branch3.1", five[1], size, pad=size // 2)
        self.pool(3, 1, pad=1, reads=x)
        branch4 = self.block(f"{name}.branch4.1", pooled, 1)
        return self.add(Concat(), inputs=(branch1, branch2, branch3, branch4))

    def _classifier(self, name: str, x: int) -> None:
        """Add auxiliary scores."""
        if self.has_norm or self.is_small:
            x = self.average_to(4, reads=x)
        else:
            x = self.pool(5, 3, mode="average", reads=x)
        self.block(f"{name}.conv", 128, 1, reads=x)
        self.affine(f"{name}.fc1", self.channels(1024))
        self.relu()
        self.dropout(0.7)
        self.auxiliary(self.affine(f"{name}.fc2", self.num_classes), AUXILIARY_WEIGHT)
