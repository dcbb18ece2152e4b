"""fastconv: a CNN engine that makes NumPy code fast.

The layers, networks and trainer of the book *Deep Learning from Scratch* on compiled kernels:

>>> from fastconv import DeepConvNet, Trainer, load_mnist
>>> (x_train, t_train), (x_test, t_test) = load_mnist(flatten=False)
>>> network = DeepConvNet()
>>> trainer = Trainer(network, x_train, t_train, x_test, t_test, epochs=20, mini_batch_size=100,
...                   optimizer='Adam', optimizer_param={'lr': 0.001}, evaluate_sample_num_per_epoch=1000)
>>> trainer.train()

``show_config()`` says what it computes with.
"""
from __future__ import annotations

from .config import package_version, show_config
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
    "cross_entropy_error", "get_num_threads", "im2col", "install", "is_installed", "load_mnist", "mean_squared_error",
    "numerical_gradient", "patch_map", "set_num_threads", "show_config", "sigmoid", "softmax", "uninstall", "use",
    "use_winograd",
]


def __getattr__(name: str) -> str:
    if name == "__version__":
        return package_version()
    raise AttributeError(f"module 'fastconv' has no attribute {name!r}")


def load_ipython_extension(shell: object) -> None:
    """Let ``%load_ext fastconv`` put fastconv in the place of the book's modules."""
    install()


def unload_ipython_extension(shell: object) -> None:
    """Let ``%unload_ext fastconv`` undo it."""
    uninstall()
