"""The networks by name."""
from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

from ..engine import Network
from .alexnet import AlexNet
from .deep_convnet import DeepConvNet
from .googlenet import GoogLeNet
from .resnet import DEPTHS, ResNet, SmallResNet
from .vgg import VGG


def _deep_convnet(input_dim: tuple[int, int, int] = (1, 28, 28), num_classes: int = 10, **more: Any) -> DeepConvNet:
    return DeepConvNet(input_dim, output_size=num_classes, **more)


# name -> network, for input_dim=(channels, height, width) and num_classes=
ZOO: dict[str, Callable[..., Network]] = {
    "alexnet": partial(AlexNet, variant="one-tower"),
    "alexnet-paper": AlexNet,
    **{f"vgg{layers}": partial(VGG, config) for layers, config in ((11, "A"), (13, "B"), (16, "D"), (19, "E"))},
    **{f"vgg{layers}_bn": partial(VGG, config, batch_norm=True)
       for layers, config in ((11, "A"), (13, "B"), (16, "D"), (19, "E"))},
    "googlenet": partial(GoogLeNet, variant="batch_norm"),
    "googlenet-paper": GoogLeNet,
    **{f"resnet{depth}": partial(ResNet, depth) for depth in DEPTHS},
    **{f"resnet{depth}": partial(SmallResNet, depth) for depth in (20, 32, 56)},
    "deepconvnet": _deep_convnet,
}

# the forms for small images such as digits
SMALL: dict[str, Callable[..., Network]] = {
    "deepconvnet": _deep_convnet,
    "alexnet": AlexNet.small,
    "vgg": VGG.small,
    "googlenet": GoogLeNet.small,
    **{f"resnet{depth}": partial(SmallResNet, depth) for depth in (20, 32, 56)},
}
