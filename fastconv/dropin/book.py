"""What the book's folder defines, and how to tell that a module is the book's.

A module of the right name is taken for the book's if it defines the objects listed here with these parameters; an
object in it is replaced if it also computes what the book's does (probes.py). Everything else is left alone.
"""
from __future__ import annotations

import inspect
from types import ModuleType
from typing import Any

_NET = ("input_size", "hidden_size_list", "output_size", "activation", "weight_init_std", "weight_decay_lambda")
_WINDOW = ("filter_h", "filter_w", "stride", "pad")

# module -> object -> parameters
BOOK: dict[str, dict[str, tuple[str, ...]]] = {
    "common.functions": {
        "identity_function": ("x",), "step_function": ("x",), "sigmoid": ("x",), "sigmoid_grad": ("x",),
        "relu": ("x",), "relu_grad": ("x",), "softmax": ("x",), "mean_squared_error": ("y", "t"),
        "sum_squared_error": ("y", "t"), "cross_entropy_error": ("y", "t"), "softmax_loss": ("X", "t"),
    },
    "common.util": {
        "smooth_curve": ("x",), "shuffle_dataset": ("x", "t"),
        "conv_output_size": ("input_size", "filter_size", "stride", "pad"),
        "im2col": ("input_data", *_WINDOW), "col2im": ("col", "input_shape", *_WINDOW),
    },
    "common.gradient": {"numerical_gradient_2d": ("f", "X"), "numerical_gradient": ("f", "x")},
    "common.layers": {
        "Relu": (), "Sigmoid": (), "Affine": ("W", "b"), "SoftmaxWithLoss": (), "Dropout": ("dropout_ratio",),
        "BatchNormalization": ("gamma", "beta", "momentum", "running_mean", "running_var"),
        "Convolution": ("W", "b", "stride", "pad"), "Pooling": ("pool_h", "pool_w", "stride", "pad"),
    },
    "common.optimizer": {
        "SGD": ("lr",), "Momentum": ("lr", "momentum"), "Nesterov": ("lr", "momentum"), "AdaGrad": ("lr",),
        "RMSprop": ("lr", "decay_rate"), "Adam": ("lr", "beta1", "beta2"),
    },
    "common.trainer": {
        "Trainer": ("network", "x_train", "t_train", "x_test", "t_test", "epochs", "mini_batch_size", "optimizer",
                    "optimizer_param", "evaluate_sample_num_per_epoch", "verbose"),
    },
    "common.multi_layer_net": {"MultiLayerNet": _NET},
    "common.multi_layer_net_extend": {
        "MultiLayerNetExtend": (*_NET, "use_dropout", "dropout_ration", "use_batchnorm")},
    "dataset.mnist": {"load_mnist": ("normalize", "flatten", "one_hot_label")},
}

# what every edition defines
CORE = {
    "common.functions": ("sigmoid", "softmax", "cross_entropy_error"),
    "common.util": ("im2col", "col2im"),
    "common.gradient": ("numerical_gradient",),
    "common.layers": ("Relu", "Affine", "SoftmaxWithLoss"),
    "common.optimizer": ("SGD", "Adam"),
}


def objects_of(module: ModuleType) -> tuple[dict[str, Any], dict[str, str]]:
    """Find the book's objects in a module.

    Returns
    -------
    found : dict of str to object
        Empty if the module is not the book's.
    others : dict of str to str
        Why an object of the book's, by name, is none here.
    """
    name = module.__name__
    expected = BOOK[name]
    others = {each: fault for each, parameters in expected.items()
              if (fault := _fault(module, each, parameters))}
    missing = [each for each in CORE.get(name, tuple(expected)) if each in others]
    if missing:
        reason = "; ".join(f"{each} {others[each]}" for each in missing)
        return {}, dict.fromkeys(expected, f"is in a module that is not the book's: {reason}")
    found = {each: getattr(module, each) for each in expected if each not in others}
    return found, {each: fault for each, fault in others.items() if hasattr(module, each)}


def _fault(module: ModuleType, name: str, parameters: tuple[str, ...]) -> str | None:
    value = getattr(module, name, None)
    if value is None:
        return "is missing"
    if not (inspect.isclass(value) if name[0].isupper() else inspect.isfunction(value)):
        return f"is a {type(value).__name__}"
    if value.__module__ != module.__name__:
        return f"is from {value.__module__}"
    try:
        given = tuple(inspect.signature(value).parameters)
    except (TypeError, ValueError):
        return "has no signature"
    return None if given == parameters else f"has the parameters ({', '.join(given)})"
