"""Numerical gradients in the manner of the book's."""
import numpy as np


def numerical_gradient_2d(f, X):
    if X.ndim == 1:
        return numerical_gradient(f, X)
    return np.array([numerical_gradient(f, row) for row in X])


def numerical_gradient(f, x):
    h, grad = 1e-4, np.zeros_like(x)
    for place in np.ndindex(x.shape):
        value = x[place]
        x[place] = value + h
        above = f(x)
        x[place] = value - h
        grad[place] = (above - f(x)) / (2 * h)
        x[place] = value
    return grad
