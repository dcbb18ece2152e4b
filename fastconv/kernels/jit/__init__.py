"""Kernels for Numba: compiled when they are first used, and kept on disk; nothing is built at installation.

``fastconv warmup`` compiles them ahead. Importing this package imports Numba, and raises ImportError where that is
missing or too old.
"""
from __future__ import annotations

from ...dispatch import OLDEST_NUMBA

try:
    import numba
except ImportError as error:
    raise ImportError(f"fastconv's Numba backend needs Numba (pip install 'fastconv[numba]'): {error}") from error
if numba.version_info.short < OLDEST_NUMBA:
    raise ImportError(f"fastconv's Numba backend needs Numba {'.'.join(map(str, OLDEST_NUMBA))} or newer, "
                      f"found {numba.__version__}: pip install --upgrade 'fastconv[numba]'")

from .batch_normalization import (  # noqa: E402
    batch_normalization_backward,
    batch_normalization_forward,
    batch_normalization_inference,
)
from .convolution import (  # noqa: E402
    convolution_backward_data,
    convolution_backward_weight,
    convolution_forward,
)
from .dropout import dropout_backward, dropout_forward  # noqa: E402
from .elementwise import relu_backward, relu_forward, sigmoid_backward, sigmoid_forward  # noqa: E402
from .gemm import bias_backward, gemm  # noqa: E402
from .im2col import col2im, im2col  # noqa: E402
from .loss import softmax_forward, softmax_loss_backward, softmax_loss_forward  # noqa: E402
from .lrn import lrn_backward, lrn_forward  # noqa: E402
from .optimizer import (  # noqa: E402
    adagrad_update,
    adam_update,
    momentum_update,
    nesterov_update,
    rmsprop_update,
    sgd_update,
)
from .plan import Plan as Plan  # noqa: E402
from .pooling import (  # noqa: E402
    average_pooling_backward,
    average_pooling_forward,
    max_pooling_backward,
    max_pooling_forward,
)

__all__ = [
    "adagrad_update",
    "adam_update",
    "average_pooling_backward",
    "average_pooling_forward",
    "batch_normalization_backward",
    "batch_normalization_forward",
    "batch_normalization_inference",
    "bias_backward",
    "col2im",
    "convolution_backward_data",
    "convolution_backward_weight",
    "convolution_forward",
    "dropout_backward",
    "dropout_forward",
    "gemm",
    "im2col",
    "lrn_backward",
    "lrn_forward",
    "max_pooling_backward",
    "max_pooling_forward",
    "momentum_update",
    "nesterov_update",
    "relu_backward",
    "relu_forward",
    "rmsprop_update",
    "sgd_update",
    "sigmoid_backward",
    "sigmoid_forward",
    "softmax_forward",
    "softmax_loss_backward",
    "softmax_loss_forward",
]
