"""Gradients of a small convolutional network by backpropagation against numerical ones."""
import sys, os
sys.path.append(os.pardir)
import numpy as np
from conv_net import ConvNet

size = int(sys.argv[1]) if sys.argv[1:] else 10
np.random.seed(12)
network = ConvNet(input_dim=(1, size, size), filter_num=4, filter_size=3, hidden_size=10, output_size=10)
x, t = np.random.rand(size * size).reshape((1, 1, size, size)), np.array([1]).reshape((1, 1))
backwards, numerical = network.gradient(x, t), network.numerical_gradient(x, t)
for key, values in numerical.items():
    print(key, np.sum(np.abs(values - backwards[key])) / values.size, np.abs(values).max())
