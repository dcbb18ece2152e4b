"""A network of two layers, written with functions alone."""
import sys, os
sys.path.append(os.pardir)
import numpy as np
from common.functions import *
from common.gradient import numerical_gradient


class SigmoidNet:
    def __init__(self, input_size, hidden_size, output_size, weight_init_std=0.01):
        self.params = {"W1": weight_init_std * np.random.randn(input_size, hidden_size), "b1": np.zeros(hidden_size),
                       "W2": weight_init_std * np.random.randn(hidden_size, output_size), "b2": np.zeros(output_size)}

    def predict(self, x):
        p = self.params
        return softmax(np.dot(sigmoid(np.dot(x, p["W1"]) + p["b1"]), p["W2"]) + p["b2"])

    def loss(self, x, t):
        return cross_entropy_error(self.predict(x), t)

    def accuracy(self, x, t):
        return np.sum(np.argmax(self.predict(x), axis=1) == np.argmax(t, axis=1)) / float(len(x))

    def numerical_gradient(self, x, t):
        return {key: numerical_gradient(lambda _: self.loss(x, t), value) for key, value in self.params.items()}

    def gradient(self, x, t):
        p, grads = self.params, {}
        a1 = np.dot(x, p["W1"]) + p["b1"]
        z1 = sigmoid(a1)
        dy = (softmax(np.dot(z1, p["W2"]) + p["b2"]) - t) / len(x)
        grads["W2"], grads["b2"] = np.dot(z1.T, dy), np.sum(dy, axis=0)
        da1 = sigmoid_grad(a1) * np.dot(dy, p["W2"].T)
        grads["W1"], grads["b1"] = np.dot(x.T, da1), np.sum(da1, axis=0)
        return grads
