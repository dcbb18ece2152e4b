"""A network of sigmoids, its weights drawn at random: predict digits one by one, then in batches."""
import sys, os
sys.path.append(os.pardir)
import numpy as np
from dataset.mnist import load_mnist
from common.functions import sigmoid, softmax

count = int(sys.argv[1]) if sys.argv[1:] else 1000
(_, _), (x_test, t_test) = load_mnist(normalize=True, flatten=True, one_hot_label=False)
x_test, t_test = x_test[:count], t_test[:count]
rng = np.random.RandomState(3)
network = {f"W{i}": rng.randn(*shape) / 8 for i, shape in enumerate([(784, 50), (50, 100), (100, 10)], 1)}
network.update({f"b{i}": rng.randn(size) / 8 for i, size in enumerate([50, 100, 10], 1)})


def predict(x):
    for i in (1, 2):
        x = sigmoid(np.dot(x, network[f"W{i}"]) + network[f"b{i}"])
    return softmax(np.dot(x, network["W3"]) + network["b3"])


one_by_one = sum(int(np.argmax(predict(x)) == t) for x, t in zip(x_test, t_test))
print("right, one by one", one_by_one)
right, total = 0, np.zeros(10)
for i in range(0, len(x_test), 100):
    y = predict(x_test[i:i + 100])
    right += int(np.sum(np.argmax(y, axis=1) == t_test[i:i + 100]))
    total += y.sum(axis=0)
print("right, in batches", right)
print("mean probabilities", *(total / len(x_test)))
