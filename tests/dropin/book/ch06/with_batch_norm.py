"""The same networks with and without batch normalization, for several scales of the initial weights."""
import sys, os
sys.path.append(os.pardir)
import numpy as np
from dataset.mnist import load_mnist
from common.multi_layer_net_extend import MultiLayerNetExtend
from common.optimizer import SGD

iterations = int(sys.argv[1]) if sys.argv[1:] else 100
(x_train, t_train), _ = load_mnist(normalize=True)
x_train, t_train = x_train[:1000], t_train[:1000]
np.random.seed(8)
for scale in np.logspace(-0.5, -2, num=3):
    networks = [MultiLayerNetExtend(input_size=784, hidden_size_list=[100, 100, 100], output_size=10,
                                    weight_init_std=scale, use_batchnorm=use) for use in (True, False)]
    optimizer = SGD(lr=0.01)
    for _ in range(iterations):
        chosen = np.random.choice(len(x_train), 100)
        for network in networks:
            optimizer.update(network.params, network.gradient(x_train[chosen], t_train[chosen]))
    print("scale", scale, "losses", *(network.loss(x_train, t_train) for network in networks),
          "accuracies", *(network.accuracy(x_train, t_train) for network in networks))
    print("running mean", *networks[0].layers["BatchNorm1"].running_mean[:3])
