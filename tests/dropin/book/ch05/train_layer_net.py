"""Train the network of layers, step by step."""
import sys, os
sys.path.append(os.pardir)
import numpy as np
from dataset.mnist import load_mnist
from layer_net import LayerNet

iters_num = int(sys.argv[1]) if sys.argv[1:] else 2000
(x_train, t_train), (x_test, t_test) = load_mnist(normalize=True, one_hot_label=True)
np.random.seed(2)
network = LayerNet(input_size=784, hidden_size=50, output_size=10)
batch_size, learning_rate = 100, 0.1
iter_per_epoch = max(len(x_train) // batch_size, 1)
losses = []
for i in range(iters_num):
    chosen = np.random.choice(len(x_train), batch_size)
    x, t = x_train[chosen], t_train[chosen]
    grad = network.gradient(x, t)
    for key in ("W1", "b1", "W2", "b2"):
        network.params[key] -= learning_rate * grad[key]
    losses.append(network.loss(x, t))
    if i % iter_per_epoch == 0:
        print("accuracies", network.accuracy(x_train, t_train), network.accuracy(x_test, t_test))
print("losses", *losses[::10])
print("mask", network.layers["Relu1"].mask.sum(), "y", *network.lastLayer.y[0], "x", network.layers["Affine2"].x.sum())
