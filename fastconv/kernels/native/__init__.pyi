from . import cpu as cpu
from . import pool as pool
from .batch_normalization import (
    batch_normalization_backward as batch_normalization_backward,
)
from .batch_normalization import (
    batch_normalization_forward as batch_normalization_forward,
)
from .batch_normalization import (
    batch_normalization_inference as batch_normalization_inference,
)
from .convolution import (
    convolution_backward_data as convolution_backward_data,
)
from .convolution import (
    convolution_backward_weight as convolution_backward_weight,
)
from .convolution import (
    convolution_forward as convolution_forward,
)
from .dropout import dropout_backward as dropout_backward
from .dropout import dropout_forward as dropout_forward
from .elementwise import (
    relu_backward as relu_backward,
)
from .elementwise import (
    relu_forward as relu_forward,
)
from .elementwise import (
    sigmoid_backward as sigmoid_backward,
)
from .elementwise import (
    sigmoid_forward as sigmoid_forward,
)
from .gemm import bias_backward as bias_backward
from .gemm import gemm as gemm
from .im2col import col2im as col2im
from .im2col import im2col as im2col
from .loss import (
    softmax_forward as softmax_forward,
)
from .loss import (
    softmax_loss_backward as softmax_loss_backward,
)
from .loss import (
    softmax_loss_forward as softmax_loss_forward,
)
from .lrn import lrn_backward as lrn_backward
from .lrn import lrn_forward as lrn_forward
from .optimizer import (
    adagrad_update as adagrad_update,
)
from .optimizer import (
    adam_update as adam_update,
)
from .optimizer import (
    momentum_update as momentum_update,
)
from .optimizer import (
    nesterov_update as nesterov_update,
)
from .optimizer import (
    rmsprop_update as rmsprop_update,
)
from .optimizer import (
    sgd_update as sgd_update,
)
from .plan import Plan as Plan
from .pooling import (
    average_pooling_backward as average_pooling_backward,
)
from .pooling import (
    average_pooling_forward as average_pooling_forward,
)
from .pooling import (
    max_pooling_backward as max_pooling_backward,
)
from .pooling import (
    max_pooling_forward as max_pooling_forward,
)

LEVELS: tuple[str, ...]
FILES: dict[str, str]
level: str

def built_levels() -> tuple[str, ...]: ...
