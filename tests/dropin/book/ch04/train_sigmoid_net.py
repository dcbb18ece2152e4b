"""Stochastic gradient descent by hand; before it a few steps along numerical gradients of a part of the images."""
import sys, os
sys.path.append(os.pardir)
import numpy as np
from dataset.mnist import load_mnist
from sigmoid_net import SigmoidNet

iters_num = int(sys.argv[1]) if sys.argv[1:] else 1000
(x_train, t_train), (x_test, t_test) = load_mnist(normalize=True, one_hot_label=True)

np.random.seed(1)
small = SigmoidNet(input_size=12, hidden_size=4, output_size=10)
for _ in range(2):
    grads = small.numerical_gradient(x_train[:5, 400:412], t_train[:5])
    for key in small.params:
        small.params[key] -= 0.5 * grads[key]
print("by numerical gradients", small.loss(x_train[:5, 400:412], t_train[:5]))

network, batch_size, learning_rate = SigmoidNet(input_size=784, hidden_size=50, output_size=10), 100, 0.1
losses = []
for _ in range(iters_num):
    chosen = np.random.choice(len(x_train), batch_size)
    x, t = x_train[chosen], t_train[chosen]
    grads = network.gradient(x, t)
    for key in ("W1", "b1", "W2", "b2"):
        network.params[key] -= learning_rate * grads[key]
    losses.append(network.loss(x, t))
print("losses", *losses[::10])
print("accuracies", network.accuracy(x_train[:1000], t_train[:1000]), network.accuracy(x_test, t_test))
