"""Networks that a reader wrote by hand."""
import sys, os  # noqa: E401, I001
sys.path.append(os.pardir)
import numpy as np
from common.layers import *  # noqa: E402, F403
from common.layers import Affine, Convolution, Dropout, Pooling, Relu, SoftmaxWithLoss  # noqa: E402


class DeepNet:
    """conv - relu - conv - relu - pool - affine - relu - dropout - affine - dropout - softmax, for 12x12 images."""

    def __init__(self):
        self.params = {}
        for i, shape in enumerate([(4, 1, 3, 3), (6, 4, 3, 3), (6 * 6 * 6, 20), (20, 10)], 1):
            fan_in = np.prod(shape[1:]) if len(shape) == 4 else shape[0]
            self.params[f"W{i}"] = np.sqrt(2.0 / fan_in) * np.random.randn(*shape)
            self.params[f"b{i}"] = np.zeros(shape[0] if len(shape) == 4 else shape[1])
        p = self.params
        self.layers = [
            Convolution(p["W1"], p["b1"], 1, 1), Relu(), Convolution(p["W2"], p["b2"], 1, 1), Relu(),
            Pooling(pool_h=2, pool_w=2, stride=2), Affine(p["W3"], p["b3"]), Relu(), Dropout(0.5),
            Affine(p["W4"], p["b4"]), Dropout(0.5)]
        self.last_layer = SoftmaxWithLoss()

    def predict(self, x, train_flg=False):
        for layer in self.layers:
            x = layer.forward(x, train_flg) if isinstance(layer, Dropout) else layer.forward(x)
        return x

    def loss(self, x, t):
        return self.last_layer.forward(self.predict(x, train_flg=True), t)

    def accuracy(self, x, t, batch_size=100):
        right = 0.0
        for i in range(0, len(x), batch_size):
            right += np.sum(self.predict(x[i:i + batch_size]).argmax(axis=1) == t[i:i + batch_size])
        return right / len(x)

    def gradient(self, x, t):
        self.loss(x, t)
        dout = self.last_layer.backward(1)
        for layer in reversed(self.layers):
            dout = layer.backward(dout)
        grads = {}
        for i, place in enumerate((0, 2, 5, 8), 1):
            grads[f"W{i}"], grads[f"b{i}"] = self.layers[place].dW, self.layers[place].db
        return grads
