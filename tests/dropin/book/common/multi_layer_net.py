"""A fully connected network in the manner of the book's."""
from collections import OrderedDict

import numpy as np

from common.gradient import numerical_gradient
from common.layers import Affine, Relu, Sigmoid, SoftmaxWithLoss


class MultiLayerNet:
    def __init__(self, input_size, hidden_size_list, output_size, activation="relu", weight_init_std="relu",
                 weight_decay_lambda=0):
        self.hidden_layer_num, self.weight_decay_lambda = len(hidden_size_list), weight_decay_lambda
        sizes, self.params, self.layers = [input_size, *hidden_size_list, output_size], {}, OrderedDict()
        gain = {"relu": 2, "he": 2, "sigmoid": 1, "xavier": 1}.get(str(weight_init_std).lower())
        for i, (inputs, outputs) in enumerate(zip(sizes[:-1], sizes[1:], strict=True), 1):
            std = np.sqrt(gain / inputs) if gain else weight_init_std
            self.params[f"W{i}"], self.params[f"b{i}"] = std * np.random.randn(inputs, outputs), np.zeros(outputs)
            self.layers[f"Affine{i}"] = Affine(self.params[f"W{i}"], self.params[f"b{i}"])
            if i < len(sizes) - 1:
                self.layers[f"Activation_function{i}"] = {"relu": Relu, "sigmoid": Sigmoid}[activation]()
        self.last_layer = SoftmaxWithLoss()

    def predict(self, x):
        for layer in self.layers.values():
            x = layer.forward(x)
        return x

    def loss(self, x, t):
        squares = sum(np.sum(value ** 2) for key, value in self.params.items() if key[0] == "W")
        return self.last_layer.forward(self.predict(x), t) + 0.5 * self.weight_decay_lambda * squares

    def accuracy(self, x, t):
        t = t if t.ndim == 1 else t.argmax(axis=1)
        return np.mean(self.predict(x).argmax(axis=1) == t)

    def numerical_gradient(self, x, t):
        return {key: numerical_gradient(lambda _: self.loss(x, t), value) for key, value in self.params.items()}

    def gradient(self, x, t):
        self.loss(x, t)
        dout = self.last_layer.backward(1)
        for layer in reversed(self.layers.values()):
            dout = layer.backward(dout)
        grads = {}
        for i in range(1, self.hidden_layer_num + 2):
            layer = self.layers[f"Affine{i}"]
            grads[f"W{i}"], grads[f"b{i}"] = layer.dW + self.weight_decay_lambda * layer.W, layer.db
        return grads
