"""Draw learning rates and weight decays, and keep the best."""
import sys, os
sys.path.append(os.pardir)
import numpy as np
from dataset.mnist import load_mnist
from common.multi_layer_net import MultiLayerNet
from common.util import shuffle_dataset
from common.trainer import Trainer

trials = int(sys.argv[1]) if sys.argv[1:] else 10
(x_train, t_train), _ = load_mnist(normalize=True)
np.random.seed(11)
x_train, t_train = shuffle_dataset(x_train[:500], t_train[:500])
x_val, t_val, x_train, t_train = x_train[:100], t_train[:100], x_train[100:], t_train[100:]
found = []
for _ in range(trials):
    weight_decay, lr = 10 ** np.random.uniform(-8, -4), 10 ** np.random.uniform(-6, -2)
    network = MultiLayerNet(input_size=784, hidden_size_list=[100, 100, 100], output_size=10,
                            weight_decay_lambda=weight_decay)
    trainer = Trainer(network, x_train, t_train, x_val, t_val, epochs=10, mini_batch_size=100, optimizer="sgd",
                      optimizer_param={"lr": lr}, verbose=False)
    trainer.train()
    found.append((trainer.test_acc_list[-1], lr, weight_decay, trainer.train_loss_list[-1]))
for values in sorted(found, reverse=True)[:5]:
    print("accuracy, rate, decay, loss", *values)
