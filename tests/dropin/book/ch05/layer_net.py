"""A network of two layers, written with layers in an ordered dictionary."""
import sys, os
sys.path.append(os.pardir)
import numpy as np
from collections import OrderedDict
from common.layers import *
from common.gradient import numerical_gradient


class LayerNet:
    def __init__(self, input_size, hidden_size, output_size, weight_init_std=0.01):
        p = self.params = {}
        for i, shape in enumerate([(input_size, hidden_size), (hidden_size, output_size)], 1):
            p[f"W{i}"], p[f"b{i}"] = weight_init_std * np.random.randn(*shape), np.zeros(shape[1])
        self.layers = OrderedDict()
        self.layers["Affine1"] = Affine(p["W1"], p["b1"])
        self.layers["Relu1"] = Relu()
        self.layers["Affine2"] = Affine(p["W2"], p["b2"])
        self.lastLayer = SoftmaxWithLoss()

    def predict(self, x):
        for layer in self.layers.values():
            x = layer.forward(x)
        return x

    def loss(self, x, t):
        return self.lastLayer.forward(self.predict(x), t)

    def accuracy(self, x, t):
        t = t if t.ndim == 1 else np.argmax(t, axis=1)
        return np.sum(np.argmax(self.predict(x), axis=1) == t) / float(x.shape[0])

    def numerical_gradient(self, x, t):
        return {key: numerical_gradient(lambda _: self.loss(x, t), value) for key, value in self.params.items()}

    def gradient(self, x, t):
        self.loss(x, t)
        dout = self.lastLayer.backward(1)
        for layer in reversed(list(self.layers.values())):
            dout = layer.backward(dout)
        return {f"{name}{i}": getattr(self.layers[f"Affine{i}"], f"d{name}") for i in (1, 2) for name in ("W", "b")}
