"""Three kinds of initial weights."""
import sys, os
sys.path.append(os.pardir)
import numpy as np
from dataset.mnist import load_mnist
from common.multi_layer_net import MultiLayerNet
from common.optimizer import SGD

max_iterations = int(sys.argv[1]) if sys.argv[1:] else 300
(x_train, t_train), _ = load_mnist(normalize=True)
np.random.seed(7)
kinds = {"std=0.01": 0.01, "Xavier": "sigmoid", "He": "relu"}
networks = {key: MultiLayerNet(input_size=784, hidden_size_list=[100, 100, 100, 100], output_size=10,
                               weight_init_std=kind) for key, kind in kinds.items()}
losses, optimizer = {key: [] for key in kinds}, SGD(lr=0.01)
for _ in range(max_iterations):
    chosen = np.random.choice(x_train.shape[0], 128)
    x, t = x_train[chosen], t_train[chosen]
    for key, network in networks.items():
        optimizer.update(network.params, network.gradient(x, t))
        losses[key].append(network.loss(x, t))
for key in kinds:
    print(key.replace("=0.01", ""), *losses[key][::5])
