"""Overfit 300 images by the Trainer, with dropout."""
import sys, os
sys.path.append(os.pardir)
import numpy as np
from dataset.mnist import load_mnist
from common.multi_layer_net_extend import MultiLayerNetExtend
from common.trainer import Trainer

epochs = int(sys.argv[1]) if sys.argv[1:] else 100
(x_train, t_train), (x_test, t_test) = load_mnist(normalize=True)
np.random.seed(10)
network = MultiLayerNetExtend(input_size=784, hidden_size_list=[100, 100, 100, 100, 100, 100], output_size=10,
                              use_dropout=True, dropout_ration=0.2)
trainer = Trainer(network, x_train[:300], t_train[:300], x_test, t_test, epochs=epochs, mini_batch_size=100,
                  optimizer="sgd", optimizer_param={"lr": 0.01}, verbose=False)
trainer.train()
print("accuracies", *trainer.train_acc_list[::5], *trainer.test_acc_list[::5])
print("losses", *trainer.train_loss_list[::5])
