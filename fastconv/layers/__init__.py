"""The book's layers: ``forward(x)``, then ``backward(dout)``, which returns dx and sets the gradients.

`Add` and `Concat` join branches: ``forward(x0, x1, ...)``, and ``backward(dout)`` returns a tuple.

Images are (N, C, H, W). A result of four axes is a view on channels-last memory: layers chain without copies.
`backward` reads the arrays of the last `forward` by reference: don't change them in place between the two.

Several threads may call one layer's `forward` at once, outside training: each gets the result of its own argument.
What a layer remembers is of one of these calls, so for `backward`, and in training, it belongs to one thread at a time.
"""
from .adaptive_average_pooling import AdaptiveAveragePooling
from .add import Add
from .affine import Affine
from .batch_normalization import BatchNormalization
from .concat import Concat
from .convolution import Convolution
from .dropout import Dropout
from .flatten import Flatten
from .global_average_pooling import GlobalAveragePooling
from .lrn import LRN
from .pooling import Pooling
from .relu import Relu
from .sigmoid import Sigmoid
from .softmax_with_loss import SoftmaxWithLoss

__all__ = [
    "AdaptiveAveragePooling",
    "Add",
    "Affine",
    "BatchNormalization",
    "Concat",
    "Convolution",
    "Dropout",
    "Flatten",
    "GlobalAveragePooling",
    "LRN",
    "Pooling",
    "Relu",
    "Sigmoid",
    "SoftmaxWithLoss",
]
