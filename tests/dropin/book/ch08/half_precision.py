"""Accuracy of a trained network in float64 and in float16."""
import sys, os
sys.path.append(os.pardir)
import numpy as np
from dataset.mnist import load_mnist
from digit_net import trained

steps = int(sys.argv[1]) if sys.argv[1:] else 30
(x_train, t_train), (x_test, t_test) = load_mnist(flatten=False)
network = trained(x_train, t_train, steps)
x, t = x_test[:300], t_test[:300]
print("accuracy", network.accuracy(x, t), "mean score", np.abs(network.predict(x)).mean())
network.use(np.float16)
print("accuracy", network.accuracy(x.astype(np.float16), t))
