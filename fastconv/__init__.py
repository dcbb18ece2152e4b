"""fastconv: a CNN engine that makes NumPy code fast.

The layers, networks and trainer of the book *Deep Learning from Scratch* on compiled kernels:

>>> from fastconv import DeepConvNet, Trainer, load_mnist
>>> (x_train, t_train), (x_test, t_test) = load_mnist(flatten=False)
>>> network = DeepConvNet()
>>> Trainer(network, x_train, t_train, x_test, t_test, epochs=20, optimizer='Adam',
...         optimizer_param={'lr': 0.001}).train()
"""
from __future__ import annotations
