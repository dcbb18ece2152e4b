"""Train the convolutional network by the Trainer and save it."""
import sys, os
sys.path.append(os.pardir)
import numpy as np
from dataset.mnist import load_mnist
from conv_net import ConvNet
from common.trainer import Trainer

max_epochs = int(sys.argv[1]) if sys.argv[1:] else 3
(x_train, t_train), (x_test, t_test) = load_mnist(flatten=False)
x_train, t_train, x_test, t_test = x_train[:1000], t_train[:1000], x_test[:500], t_test[:500]
np.random.seed(13)
network = ConvNet()
trainer = Trainer(network, x_train, t_train, x_test, t_test, epochs=max_epochs, mini_batch_size=100, optimizer="Adam",
                  optimizer_param={"lr": 0.001}, evaluate_sample_num_per_epoch=500)
trainer.train()
network.save_params("params.pkl")
print("losses", *trainer.train_loss_list)
print("accuracies", *trainer.train_acc_list, *trainer.test_acc_list)
