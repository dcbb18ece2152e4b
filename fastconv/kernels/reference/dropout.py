"""Dropout (Srivastava et al., 2014), not inverted: the book scales at test time instead."""

from __future__ import annotations

import numpy as np


def dropout_forward(x, random, ratio, mask, out, n_threads):
    """``mask = random > ratio; out = x * mask``.

    Parameters
    ----------
    x : any shape
    random : float64, as x
        Uniform on [0, 1).
    ratio : float
    mask : bool, as x, overwritten
    out : as x, overwritten
    n_threads : int, ignored
    """
    np.greater(random, ratio, out=mask)
    np.multiply(x, mask, out=out)


def dropout_backward(dout, mask, dx, n_threads):
    """``dx = dout * mask``, `mask` (bool) from `dropout_forward`. `dx` is overwritten."""
    np.multiply(dout, mask, out=dx)
