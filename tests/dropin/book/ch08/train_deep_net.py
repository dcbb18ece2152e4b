"""Train a network by the book's Trainer and print what a reader looks at."""
import sys, os  # noqa: E401, I001
sys.path.append(os.pardir)
import numpy as np
from common.trainer import Trainer  # noqa: E402
from deep_net import DeepNet  # noqa: E402

np.random.seed(0)
images, labels = np.random.rand(600, 1, 12, 12).astype(np.float32), np.random.randint(0, 10, 600)
images[np.arange(600), 0, labels] += 2  # the label is the bright row
network = DeepNet()
trainer = Trainer(network, images[:500], labels[:500], images[500:], labels[500:], epochs=4, mini_batch_size=50,
                  optimizer="Adam", optimizer_param={"lr": 0.01}, evaluate_sample_num_per_epoch=100)
trainer.train()
print("losses", *trainer.train_loss_list)
print("W1", network.params["W1"].dtype, network.layers[0].W is network.params["W1"], sys.argv[1:])
print("evaluations", len(trainer.train_acc_list), len(trainer.test_acc_list))
