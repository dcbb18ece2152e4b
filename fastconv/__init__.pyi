"""The names of ``__init__.py`` for type checkers and editors."""
from .config import show_config
from .datasets import load_mnist
from .dispatch import use
from .dropin import install, is_installed, patch_map, uninstall
from .engine import Network
from .functions import cross_entropy_error, mean_squared_error, sigmoid, softmax
from .gradient import numerical_gradient
from .layers import (
    LRN,
    AdaptiveAveragePooling,
    Add,
    Affine,
    BatchNormalization,
    Concat,
    Convolution,
    Dropout,
    Flatten,
    GlobalAveragePooling,
    Pooling,
    Relu,
    Sigmoid,
    SoftmaxWithLoss,
)
from .models import (
    VGG,
    AlexNet,
    DeepConvNet,
    GoogLeNet,
    MultiLayerNet,
    MultiLayerNetExtend,
    ResNet,
    SimpleConvNet,
    SmallResNet,
    TwoLayerNet,
)
from .optimizers import SGD, AdaGrad, Adam, Momentum, Nesterov, RMSprop
from .threads import get_num_threads, set_num_threads
from .trainer import Trainer
from .util import col2im, im2col
from .winograd import use_winograd

__all__ = [
    "AdaGrad", "Adam", "AdaptiveAveragePooling", "Add", "Affine", "AlexNet", "BatchNormalization", "Concat",
    "Convolution", "DeepConvNet", "Dropout", "Flatten", "GlobalAveragePooling", "GoogLeNet", "LRN", "Momentum",
    "MultiLayerNet", "MultiLayerNetExtend", "Nesterov", "Network", "Pooling", "RMSprop", "Relu", "ResNet", "SGD",
    "Sigmoid", "SimpleConvNet", "SmallResNet", "SoftmaxWithLoss", "Trainer", "TwoLayerNet", "VGG", "col2im",
    "cross_entropy_error", "get_num_threads", "im2col", "install", "is_installed", "load_mnist",
    "mean_squared_error", "numerical_gradient", "patch_map", "set_num_threads", "show_config", "sigmoid", "softmax",
    "uninstall", "use", "use_winograd",
]

__version__: str

def load_ipython_extension(shell: object) -> None: ...
def unload_ipython_extension(shell: object) -> None: ...
