"""Overfit 300 images, with and without weight decay."""
import sys, os
sys.path.append(os.pardir)
import numpy as np
from dataset.mnist import load_mnist
from common.multi_layer_net import MultiLayerNet
from common.optimizer import SGD

max_epochs = int(sys.argv[1]) if sys.argv[1:] else 60
(x_train, t_train), (x_test, t_test) = load_mnist(normalize=True)
x_train, t_train = x_train[:300], t_train[:300]
for weight_decay_lambda in (0, 0.1):
    np.random.seed(9)
    network = MultiLayerNet(input_size=784, hidden_size_list=[100, 100, 100, 100, 100, 100], output_size=10,
                            weight_decay_lambda=weight_decay_lambda)
    optimizer = SGD(lr=0.01)
    for i in range(3 * max_epochs):
        chosen = np.random.choice(len(x_train), 100)
        x, t = x_train[chosen], t_train[chosen]
        optimizer.update(network.params, network.gradient(x, t))
        if i % 30 == 0:
            print("accuracies", network.accuracy(x_train, t_train), network.accuracy(x_test, t_test))
    print("decay", weight_decay_lambda, "loss", network.loss(x_train, t_train))
