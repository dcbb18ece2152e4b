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

from importlib import import_module
from importlib.util import find_spec
from typing import Any

# where the names are; they are loaded when they are first asked for, so that a script pays for what it uses
_NAMES = {
    "config": "show_config",
    "datasets": "load_mnist",
    "dispatch": "use",
    "dropin": "install is_installed patch_map uninstall",
    "engine": "Network",
    "functions": "cross_entropy_error mean_squared_error sigmoid softmax",
    "gradient": "numerical_gradient",
    "layers": "LRN AdaptiveAveragePooling Add Affine BatchNormalization Concat Convolution Dropout "
              "Flatten GlobalAveragePooling Pooling Relu Sigmoid SoftmaxWithLoss",
    "models": "VGG AlexNet DeepConvNet GoogLeNet MultiLayerNet MultiLayerNetExtend ResNet SimpleConvNet "
              "SmallResNet TwoLayerNet",
    "optimizers": "SGD AdaGrad Adam Momentum Nesterov RMSprop",
    "threads": "get_num_threads set_num_threads",
    "trainer": "Trainer",
    "util": "col2im im2col",
    "winograd": "use_winograd",
}
_MODULES = {name: module for module, names in _NAMES.items() for name in names.split()}
__all__ = sorted(_MODULES)


def __getattr__(name: str) -> Any:
    if name == "__version__":
        from .config import package_version
        return package_version()
    if name in _MODULES:
        found = getattr(import_module(f".{_MODULES[name]}", __name__), name)
        globals()[name] = found
        return found
    if find_spec(f"{__name__}.{name}") is not None:
        return import_module(f".{name}", __name__)
    raise AttributeError(f"module 'fastconv' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})


def load_ipython_extension(shell: object) -> None:
    """Let ``%load_ext fastconv`` put fastconv in the place of the book's modules."""
    from .dropin import install
    install()


def unload_ipython_extension(shell: object) -> None:
    """Let ``%unload_ext fastconv`` undo it."""
    from .dropin import uninstall
    uninstall()
