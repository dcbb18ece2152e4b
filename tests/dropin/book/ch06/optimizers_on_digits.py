"""Four optimizers on the same network of five layers."""
import sys, os
sys.path.append(os.pardir)
import numpy as np
from dataset.mnist import load_mnist
from common.util import smooth_curve
from common.multi_layer_net import MultiLayerNet
from common.optimizer import *

max_iterations = int(sys.argv[1]) if sys.argv[1:] else 300
(x_train, t_train), _ = load_mnist(normalize=True)
np.random.seed(6)
optimizers = {"SGD": SGD(), "Momentum": Momentum(), "AdaGrad": AdaGrad(), "Adam": Adam()}
networks, losses = {}, {}
for key in optimizers:
    networks[key] = MultiLayerNet(input_size=784, hidden_size_list=[100, 100, 100, 100], output_size=10)
    losses[key] = []
for _ in range(max_iterations):
    chosen = np.random.choice(x_train.shape[0], 128)
    x, t = x_train[chosen], t_train[chosen]
    for key in optimizers:
        optimizers[key].update(networks[key].params, networks[key].gradient(x, t))
        losses[key].append(networks[key].loss(x, t))
for key in optimizers:
    print(key, *smooth_curve(np.array(losses[key]))[::5])
