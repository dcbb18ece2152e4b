"""Gradients by backpropagation against numerical ones, on a band of three images."""
import sys, os
sys.path.append(os.pardir)
import numpy as np
from dataset.mnist import load_mnist
from layer_net import LayerNet

width = int(sys.argv[1]) if sys.argv[1:] else 100
(x_train, t_train), _ = load_mnist(normalize=True, one_hot_label=True)
np.random.seed(5)
network = LayerNet(input_size=width, hidden_size=10, output_size=10)
x, t = x_train[:3, 350:350 + width], t_train[:3]
backwards, numerical = network.gradient(x, t), network.numerical_gradient(x, t)
for key in numerical:
    print(key, "is off by", np.average(np.abs(backwards[key] - numerical[key])), "of", np.abs(numerical[key]).max())
