"""Numerical gradients of functions of two numbers, a walk down one of them, and the gradient of a loss to a matrix."""
import sys, os
sys.path.append(os.pardir)
import numpy as np
from common.functions import cross_entropy_error, sum_squared_error, softmax
from common.gradient import numerical_gradient

steps = int(sys.argv[1]) if sys.argv[1:] else 300


def bowl(x):
    return x[0] ** 2 + 3 * x[1] ** 2


for point in ([3.0, 4.0], [0.0, 2.0], [3.0, 0.0]):
    print("slope at", *point, "is", *numerical_gradient(bowl, np.array(point)))

place = np.array([-3.0, 4.0])
for _ in range(steps):
    place -= 0.02 * numerical_gradient(bowl, place)
print("down to", *place)

rng = np.random.RandomState(0)
W, x, t = rng.randn(2, 3), np.array([0.6, 0.9]), np.array([0, 0, 1])
loss = lambda _: cross_entropy_error(softmax(np.dot(x, W)), t)
for _ in range(max(1, steps // 10)):
    W -= 0.1 * numerical_gradient(loss, W)
print("W", *W.ravel(), "loss", loss(W))
print("squares", sum_squared_error(softmax(np.dot(x, W)), t))
