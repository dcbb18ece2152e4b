"""Four convolutions, two poolings and two affine layers for digits, written by hand, and some steps of Adam."""
import sys, os
sys.path.append(os.pardir)
import numpy as np
from common.layers import *
from common.optimizer import Adam


class DigitNet:
    def __init__(self):
        self.params, self.layers = {}, []
        shapes = [(8, 1, 3, 3), (8, 8, 3, 3), (16, 8, 3, 3), (16, 16, 3, 3), (16 * 7 * 7, 50), (50, 10)]
        for i, shape in enumerate(shapes, 1):
            image = len(shape) == 4
            fan_in = np.prod(shape[1:]) if image else shape[0]
            W = self.params[f"W{i}"] = np.sqrt(2.0 / fan_in) * np.random.randn(*shape)
            b = self.params[f"b{i}"] = np.zeros(shape[0] if image else shape[1])
            self.layers.append(Convolution(W, b, 1, 1) if image else Affine(W, b))
            if i < len(shapes):
                self.layers.append(Relu())
            if i in (2, 4):
                self.layers.append(Pooling(pool_h=2, pool_w=2, stride=2))
        self.layers.insert(-1, Dropout(0.0))
        self.last_layer = SoftmaxWithLoss()

    def learned(self):
        return [layer for layer in self.layers if isinstance(layer, (Convolution, Affine))]

    def predict(self, x, train_flg=False):
        for layer in self.layers:
            x = layer.forward(x, train_flg) if isinstance(layer, Dropout) else layer.forward(x)
        return x

    def accuracy(self, x, t, batch_size=100):
        right = 0.0
        for i in range(0, len(x), batch_size):
            right += np.sum(np.argmax(self.predict(x[i:i + batch_size]), axis=1) == t[i:i + batch_size])
        return right / len(x)

    def gradient(self, x, t):
        self.last_layer.forward(self.predict(x, train_flg=True), t)
        dout = self.last_layer.backward(1)
        for layer in reversed(self.layers):
            dout = layer.backward(dout)
        return {f"{name}{i}": getattr(layer, f"d{name}") for i, layer in enumerate(self.learned(), 1) for name in "Wb"}

    def use(self, dtype):
        for layer in self.learned():
            layer.W, layer.b = layer.W.astype(dtype), layer.b.astype(dtype)


def trained(x, t, steps):
    np.random.seed(14)
    network, optimizer = DigitNet(), Adam(lr=0.003)
    for _ in range(steps):
        chosen = np.random.choice(len(x), 50)
        optimizer.update(network.params, network.gradient(x[chosen], t[chosen]))
    return network
