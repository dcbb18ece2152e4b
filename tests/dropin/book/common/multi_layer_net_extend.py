"""A fully connected network with dropout and batch normalization, in the manner of the book's."""
from collections import OrderedDict

import numpy as np

from common.layers import Affine, BatchNormalization, Dropout, Relu, Sigmoid, SoftmaxWithLoss


class MultiLayerNetExtend:
    def __init__(self, input_size, hidden_size_list, output_size, activation="relu", weight_init_std="relu",
                 weight_decay_lambda=0, use_dropout=False, dropout_ration=0.5, use_batchnorm=False):
        self.weight_decay_lambda, self.params, self.layers = weight_decay_lambda, {}, OrderedDict()
        sizes = [input_size, *hidden_size_list, output_size]
        gain = {"relu": 2, "he": 2, "sigmoid": 1, "xavier": 1}.get(str(weight_init_std).lower())
        for i, (inputs, outputs) in enumerate(zip(sizes[:-1], sizes[1:], strict=True), 1):
            std = np.sqrt(gain / inputs) if gain else weight_init_std
            self.params[f"W{i}"], self.params[f"b{i}"] = std * np.random.randn(inputs, outputs), np.zeros(outputs)
            self.layers[f"Affine{i}"] = Affine(self.params[f"W{i}"], self.params[f"b{i}"])
            if i == len(sizes) - 1:
                break
            if use_batchnorm:
                self.params[f"gamma{i}"], self.params[f"beta{i}"] = np.ones(outputs), np.zeros(outputs)
                self.layers[f"BatchNorm{i}"] = BatchNormalization(self.params[f"gamma{i}"], self.params[f"beta{i}"])
            self.layers[f"Activation_function{i}"] = {"relu": Relu, "sigmoid": Sigmoid}[activation]()
            if use_dropout:
                self.layers[f"Dropout{i}"] = Dropout(dropout_ration)
        self.last_layer = SoftmaxWithLoss()

    def predict(self, x, train_flg=False):
        for key, layer in self.layers.items():
            x = layer.forward(x, train_flg) if key.startswith(("Dropout", "BatchNorm")) else layer.forward(x)
        return x

    def loss(self, x, t, train_flg=False):
        squares = sum(np.sum(value ** 2) for key, value in self.params.items() if key[0] == "W")
        return self.last_layer.forward(self.predict(x, train_flg), t) + 0.5 * self.weight_decay_lambda * squares

    def accuracy(self, x, t):
        t = t if t.ndim == 1 else t.argmax(axis=1)
        return np.mean(self.predict(x).argmax(axis=1) == t)

    def gradient(self, x, t):
        self.loss(x, t, train_flg=True)
        dout = self.last_layer.backward(1)
        for layer in reversed(self.layers.values()):
            dout = layer.backward(dout)
        grads = {}
        for key, layer in self.layers.items():
            if key.startswith("Affine"):
                i = key[6:]
                grads[f"W{i}"], grads[f"b{i}"] = layer.dW + self.weight_decay_lambda * layer.W, layer.db
            elif key.startswith("BatchNorm"):
                grads[f"gamma{key[9:]}"], grads[f"beta{key[9:]}"] = layer.dgamma, layer.dbeta
        return grads
