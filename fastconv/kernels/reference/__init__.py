"""Every kernel in NumPy: readable, portable, the fallback and the oracle of the compiled ones."""

from __future__ import annotations

from fastconv.kernels.reference.batch_normalization import (
    batch_normalization_backward,
    batch_normalization_forward,
    batch_normalization_inference,
)
from fastconv.kernels.reference.convolution import (
    convolution_backward_data,
    convolution_backward_weight,
    convolution_forward,
)
from fastconv.kernels.reference.dropout import dropout_backward, dropout_forward
from fastconv.kernels.reference.elementwise import (
    relu_backward,
    relu_forward,
    sigmoid_backward,
    sigmoid_forward,
)
from fastconv.kernels.reference.gemm import bias_backward, gemm
from fastconv.kernels.reference.im2col import col2im, im2col
from fastconv.kernels.reference.loss import (
    softmax_forward,
    softmax_loss_backward,
    softmax_loss_forward,
)
from fastconv.kernels.reference.lrn import lrn_backward, lrn_forward
from fastconv.kernels.reference.optimizer import (
    adagrad_update,
    adam_update,
    momentum_update,
    nesterov_update,
    rmsprop_update,
    sgd_update,
)
from fastconv.kernels.reference.pooling import (
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
