"""Networks, one file each."""
from __future__ import annotations

from .alexnet import AlexNet
from .deep_convnet import DeepConvNet
from .googlenet import GoogLeNet
from .multi_layer_net import MultiLayerNet
from .multi_layer_net_extend import MultiLayerNetExtend
from .resnet import ResNet, SmallResNet
from .simple_convnet import SimpleConvNet
from .two_layer_net import TwoLayerNet
from .vgg import VGG
from .zoo import SMALL, ZOO

__all__ = ["SMALL", "VGG", "ZOO", "AlexNet", "DeepConvNet", "GoogLeNet", "MultiLayerNet", "MultiLayerNetExtend",
           "ResNet", "SimpleConvNet", "SmallResNet", "TwoLayerNet"]
