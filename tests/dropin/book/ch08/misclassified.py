"""Which digits a trained network takes for others."""
import sys, os
sys.path.append(os.pardir)
import numpy as np
from dataset.mnist import load_mnist
from digit_net import trained

steps = int(sys.argv[1]) if sys.argv[1:] else 30
(x_train, t_train), (x_test, t_test) = load_mnist(flatten=False)
network = trained(x_train, t_train, steps)
classified = []
for i in range(0, 500, 100):
    classified.append(np.argmax(network.predict(x_test[i:i + 100], train_flg=False), axis=1))
classified = np.concatenate(classified)
wrong = np.flatnonzero(classified != t_test[:500])
print("accuracy", 1 - len(wrong) / 500)
for i in wrong[:20]:
    print("digit", i, "is", t_test[i], "taken for", classified[i])
