"""Matrix product with a bias, and the bias's gradient."""

from __future__ import annotations

import numpy as np


def gemm(a, b, bias, out, n_threads):
    """``out = a @ b + bias``; with K = 0 the product is zero.

    Parameters
    ----------
    a : (M, K), any strides
    b : (K, N), any strides
    bias : (N,) or None
    out : (M, N), overwritten
    n_threads : int, ignored
    """
    np.matmul(a, b, out=out)
    if bias is not None:
        out += bias


def bias_backward(dout, dbias, n_threads):
    """Sum the columns, in float64 at least: a running float32 sum loses digits with every row.

    Parameters
    ----------
    dout : (M, N)
    dbias : (N,), overwritten
    n_threads : int, ignored
    """
    dbias[...] = dout.sum(axis=0, dtype=np.result_type(dout, np.float64))
