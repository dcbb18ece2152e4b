"""convolution - relu - pooling - affine - relu - affine - softmax, written by hand."""
import sys, os
sys.path.append(os.pardir)
import pickle
import numpy as np
from collections import OrderedDict
from common.layers import *
from common.gradient import numerical_gradient


class ConvNet:
    def __init__(self, input_dim=(1, 28, 28), filter_num=30, filter_size=5, hidden_size=100, output_size=10,
                 weight_init_std=0.01):
        C, H, _ = input_dim
        pooled = (H - filter_size + 1) // 2
        p, draw = {}, np.random.randn
        p["W1"], p["b1"] = weight_init_std * draw(filter_num, C, filter_size, filter_size), np.zeros(filter_num)
        p["W2"], p["b2"] = weight_init_std * draw(filter_num * pooled ** 2, hidden_size), np.zeros(hidden_size)
        p["W3"], p["b3"] = weight_init_std * draw(hidden_size, output_size), np.zeros(output_size)
        self.params, self.layers = p, OrderedDict()
        self.layers["Conv1"] = Convolution(p["W1"], p["b1"], 1, 0)
        self.layers["Relu1"] = Relu()
        self.layers["Pool1"] = Pooling(pool_h=2, pool_w=2, stride=2)
        self.layers["Affine1"] = Affine(p["W2"], p["b2"])
        self.layers["Relu2"] = Relu()
        self.layers["Affine2"] = Affine(p["W3"], p["b3"])
        self.last_layer = SoftmaxWithLoss()

    def predict(self, x):
        for layer in self.layers.values():
            x = layer.forward(x)
        return x

    def loss(self, x, t):
        return self.last_layer.forward(self.predict(x), t)

    def accuracy(self, x, t, batch_size=100):
        right = 0.0
        for i in range(int(x.shape[0] / batch_size)):
            part = slice(i * batch_size, (i + 1) * batch_size)
            right += np.sum(np.argmax(self.predict(x[part]), axis=1) == t[part])
        return right / x.shape[0]

    def numerical_gradient(self, x, t):
        return {key: numerical_gradient(lambda _: self.loss(x, t), value) for key, value in self.params.items()}

    def gradient(self, x, t):
        self.loss(x, t)
        dout = self.last_layer.backward(1)
        for layer in reversed(list(self.layers.values())):
            dout = layer.backward(dout)
        grads = {}
        for i, name in enumerate(("Conv1", "Affine1", "Affine2"), 1):
            grads[f"W{i}"], grads[f"b{i}"] = self.layers[name].dW, self.layers[name].db
        return grads

    def save_params(self, file_name="params.pkl"):
        with open(file_name, "wb") as file:
            pickle.dump(dict(self.params), file)
