from . import cpu as cpu
from .convolution import (
    convolution_forward as convolution_forward,
    convolution_backward_data as convolution_backward_data,
    convolution_backward_weight as convolution_backward_weight,
)
from .im2col import im2col as im2col, col2im as col2im
from .pooling import (
    max_pooling_forward as max_pooling_forward,
    max_pooling_backward as max_pooling_backward,
    average_pooling_forward as average_pooling_forward,
    average_pooling_backward as average_pooling_backward,
)
from .gemm import gemm as gemm, bias_backward as bias_backward
from .elementwise import (
    relu_forward as relu_forward,
    relu_backward as relu_backward,
    sigmoid_forward as sigmoid_forward,
    sigmoid_backward as sigmoid_backward,
)
from .dropout import dropout_forward as dropout_forward, dropout_backward as dropout_backward
from .loss import (
    softmax_forward as softmax_forward,
    softmax_loss_forward as softmax_loss_forward,
    softmax_loss_backward as softmax_loss_backward,
)
from .batch_normalization import (
    batch_normalization_forward as batch_normalization_forward,
    batch_normalization_inference as batch_normalization_inference,
    batch_normalization_backward as batch_normalization_backward,
)
from .optimizer import (
    sgd_update as sgd_update,
    momentum_update as momentum_update,
    nesterov_update as nesterov_update,
    adagrad_update as adagrad_update,
    rmsprop_update as rmsprop_update,
    adam_update as adam_update,
)

LEVELS: tuple[str, ...]
MODULES: tuple[str, ...]
level: str

def built_levels() -> tuple[str, ...]: ...
