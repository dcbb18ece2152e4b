"""Optimizer steps: `grad` is read, `param` and the state (`v`, `h`, `m`) are updated in place.

All arrays of one call have the same shape. The hyperparameters are Python floats, `n_threads` is ignored.
"""

from __future__ import annotations

import numpy as np


def sgd_update(grad, lr, param, n_threads):
    """``param -= lr * grad``."""
    param -= lr * grad


def momentum_update(grad, lr, momentum, param, v, n_threads):
    """``v = momentum * v - lr * grad; param += v`` (Polyak, 1964)."""
    v *= momentum
    v -= lr * grad
    param += v


def nesterov_update(grad, lr, momentum, param, v, n_threads):
    """Nesterov momentum in the form of Bengio et al. (2012).

    ``param += momentum^2 * v - (1 + momentum) * lr * grad; v = momentum * v - lr * grad``
    """
    param += momentum * momentum * v - (1 + momentum) * lr * grad
    v *= momentum
    v -= lr * grad


def adagrad_update(grad, lr, param, h, n_threads):
    """``h += grad^2; param -= lr * grad / (sqrt(h) + 1e-7)`` (Duchi et al., 2011)."""
    h += np.square(grad)
    param -= lr * grad / (np.sqrt(h) + 1e-7)


def rmsprop_update(grad, lr, decay_rate, param, h, n_threads):
    """RMSprop (Tieleman and Hinton, 2012).

    ``h = decay_rate * h + (1 - decay_rate) * grad^2; param -= lr * grad / (sqrt(h) + 1e-7)``
    """
    h *= decay_rate
    h += (1 - decay_rate) * np.square(grad)
    param -= lr * grad / (np.sqrt(h) + 1e-7)


def adam_update(grad, lr_t, beta1, beta2, param, m, v, n_threads):
    """Adam (Kingma and Ba, 2015); the caller folds the bias corrections into `lr_t`.

    ``m += (1 - beta1) * (grad - m); v += (1 - beta2) * (grad^2 - v); param -= lr_t * m / (sqrt(v) + 1e-7)``
    """
    m += (1 - beta1) * (grad - m)
    v += (1 - beta2) * (np.square(grad) - v)
    param -= lr_t * m / (np.sqrt(v) + 1e-7)
