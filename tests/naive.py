"""Every operation as its textbook formula: float64 loop nests, slow and plain.

The parameters are the kernels' inputs and geometry, the results are returned. Nothing here knows im2col,
matrix products or slices, so agreement with the kernels is evidence.
"""

from __future__ import annotations

import math
from itertools import product

import numpy as np


def positions_begun(size, window, stride, pad):
    """(OH, OW) of a pooling whose last windows stick out: they begin in the image or the padding before it."""
    found = []
    for a in (0, 1):
        starts = [p for p in range(-pad[a], size[a]) if (p + pad[a]) % stride[a] == 0]
        whole = [p for p in starts if p + window[a] <= size[a] + pad[a]]
        reached = bool(whole) and whole[-1] + window[a] == size[a] + pad[a]
        found.append(len(whole) if reached else min(len(whole) + 1, len(starts)))
    return tuple(found)


def output_size(size, filter_size, stride, pad, dilation=(1, 1)):
    """(OH, OW) from pairs (h, w)."""
    OH, OW = (
        (size[a] + 2 * pad[a] - dilation[a] * (filter_size[a] - 1) - 1) // stride[a] + 1 for a in (0, 1)
    )
    return OH, OW


# convolution: all three are one sum of products x * weight * dout over the same terms


def _terms(x_shape, weight_shape, stride, pad, dilation, groups):
    """Yield the indices (x, weight, out) of every product in the definition of the convolution."""
    (N, H, W, _), (FN, CG, FH, FW) = x_shape, weight_shape
    OH, OW = output_size((H, W), (FH, FW), stride, pad, dilation)
    for n, oh, ow, f in product(range(N), range(OH), range(OW), range(FN)):
        first_channel = f // (FN // groups) * CG
        for fh, fw in product(range(FH), range(FW)):
            h = oh * stride[0] + fh * dilation[0] - pad[0]
            w = ow * stride[1] + fw * dilation[1] - pad[1]
            if 0 <= h < H and 0 <= w < W:
                for c in range(CG):
                    yield (n, h, w, first_channel + c), (f, c, fh, fw), (n, oh, ow, f)


def convolution_forward(x, weight, bias, stride, pad, dilation, groups):
    (N, H, W, _), (FN, _, FH, FW) = x.shape, weight.shape
    OH, OW = output_size((H, W), (FH, FW), stride, pad, dilation)
    out = np.zeros((N, OH, OW, FN))
    for i, k, o in _terms(x.shape, weight.shape, stride, pad, dilation, groups):
        out[o] += x[i] * weight[k]
    return out if bias is None else out + bias


def convolution_backward_data(dout, weight, x_shape, stride, pad, dilation, groups):
    dx = np.zeros(x_shape)
    for i, k, o in _terms(x_shape, weight.shape, stride, pad, dilation, groups):
        dx[i] += dout[o] * weight[k]
    return dx


def convolution_backward_weight(x, dout, weight_shape, stride, pad, dilation, groups):
    dweight = np.zeros(weight_shape)
    for i, k, o in _terms(x.shape, weight_shape, stride, pad, dilation, groups):
        dweight[k] += x[i] * dout[o]
    dbias = np.zeros(weight_shape[0])
    for o in np.ndindex(dout.shape):
        dbias[o[3]] += dout[o]
    return dweight, dbias


def _columns(image_shape, filter_size, stride, pad):
    """Yield the indices (column matrix, image) of every pixel that a window of the image holds."""
    N, C, H, W = image_shape
    OH, OW = output_size((H, W), filter_size, stride, pad)
    for row, (n, oh, ow) in enumerate(product(range(N), range(OH), range(OW))):
        for column, (c, fh, fw) in enumerate(product(range(C), range(filter_size[0]), range(filter_size[1]))):
            h = oh * stride[0] + fh - pad[0]
            w = ow * stride[1] + fw - pad[1]
            if 0 <= h < H and 0 <= w < W:
                yield (row, column), (n, c, h, w)


def im2col(x, filter_size, stride, pad):
    N, C, H, W = x.shape
    OH, OW = output_size((H, W), filter_size, stride, pad)
    col = np.zeros((N * OH * OW, C * filter_size[0] * filter_size[1]))
    for cell, pixel in _columns(x.shape, filter_size, stride, pad):
        col[cell] = x[pixel]
    return col


def col2im(col, image_shape, filter_size, stride, pad):
    dx = np.zeros(image_shape)
    for cell, pixel in _columns(image_shape, filter_size, stride, pad):
        dx[pixel] += col[cell]
    return dx


def _windows(x_shape, window, stride, pad, ceil_mode=False):
    """Yield the index of each output and the list of the pixels in its window, in window order."""
    N, H, W, C = x_shape
    OH, OW = (positions_begun if ceil_mode else output_size)((H, W), window, stride, pad)
    for n, oh, ow, c in product(range(N), range(OH), range(OW), range(C)):
        rows = [oh * stride[0] + i - pad[0] for i in range(window[0])]
        columns = [ow * stride[1] + j - pad[1] for j in range(window[1])]
        yield (n, oh, ow, c), [(n, h, w, c) for h in rows for w in columns if 0 <= h < H and 0 <= w < W]


def _pooled(x, window, stride, pad, ceil_mode):
    N, H, W, C = x.shape
    return np.zeros((N, *(positions_begun if ceil_mode else output_size)((H, W), window, stride, pad), C))


def _area(o, x_shape, window, stride, pad):
    """The pixels of a window that are in the padded image."""
    area = 1
    for a in (0, 1):
        start = o[1 + a] * stride[a]
        area *= len([p for p in range(start, start + window[a]) if p < x_shape[1 + a] + 2 * pad[a]])
    return area


def _first_maximum(x, pixels):
    best = pixels[0]
    for pixel in pixels[1:]:
        if x[pixel] > x[best] or (math.isnan(x[pixel]) and not math.isnan(x[best])):
            best = pixel
    return best


def max_pooling_forward(x, window, stride, pad, ceil_mode=False):
    out = _pooled(x, window, stride, pad, ceil_mode)
    for o, pixels in _windows(x.shape, window, stride, pad, ceil_mode):
        out[o] = x[_first_maximum(x, pixels)]
    return out


def max_pooling_backward(dout, x, window, stride, pad, ceil_mode=False):
    dx = np.zeros(x.shape)
    for o, pixels in _windows(x.shape, window, stride, pad, ceil_mode):
        dx[_first_maximum(x, pixels)] += dout[o]
    return dx


def average_pooling_forward(x, window, stride, pad, ceil_mode=False):
    out = _pooled(x, window, stride, pad, ceil_mode)
    for o, pixels in _windows(x.shape, window, stride, pad, ceil_mode):
        out[o] = sum(x[pixel] for pixel in pixels) / _area(o, x.shape, window, stride, pad)
    return out


def average_pooling_backward(dout, x_shape, window, stride, pad, ceil_mode=False):
    dx = np.zeros(x_shape)
    for o, pixels in _windows(x_shape, window, stride, pad, ceil_mode):
        for pixel in pixels:
            dx[pixel] += dout[o] / _area(o, x_shape, window, stride, pad)
    return dx


def _neighbours(C, c, n):
    """The channels in the window of channel c."""
    return [i for i in range(C) if c - n // 2 <= i <= c + (n - 1) // 2]


def lrn_scale(x, n, k, alpha):
    scale = np.zeros(x.shape)
    for i, h, w, c in np.ndindex(x.shape):
        scale[i, h, w, c] = k + alpha / n * sum(x[i, h, w, q] * x[i, h, w, q] for q in _neighbours(x.shape[3], c, n))
    return scale


def lrn_forward(x, n, k, alpha, beta):
    return x / lrn_scale(x, n, k, alpha) ** beta


def lrn_backward(dout, x, n, k, alpha, beta):
    """The chain rule, one partial derivative out[c] by x[q] after the other."""
    scale, dx = lrn_scale(x, n, k, alpha), np.zeros(x.shape)
    for i, h, w, c in np.ndindex(x.shape):
        s, value, gradient = scale[i, h, w, c], x[i, h, w, c], dout[i, h, w, c]
        dx[i, h, w, c] += gradient * s**-beta
        for q in _neighbours(x.shape[3], c, n):
            dx[i, h, w, q] -= gradient * value * beta * s ** (-beta - 1) * 2 * alpha / n * x[i, h, w, q]
    return dx


def gemm(a, b, bias):
    (M, K), N = a.shape, b.shape[1]
    out = np.zeros((M, N))
    for m, n in product(range(M), range(N)):
        out[m, n] = math.fsum(a[m, k] * b[k, n] for k in range(K)) + (0 if bias is None else bias[n])
    return out


def column_sums(dout):
    return np.array([math.fsum(column) for column in dout.T])


# one number at a time; the tests spread these over arrays


def relu_forward(x):
    return 0.0 if x <= 0 else x


def relu_backward(dout, out):
    return 0.0 if out <= 0 else dout


def sigmoid_forward(x):
    return 1 / (1 + math.exp(-x)) if x >= 0 else math.exp(x) / (1 + math.exp(x))


def sigmoid_backward(dout, out):
    return dout * (1 - out) * out


def sgd_update(grad, lr, param):
    return param - lr * grad


def momentum_update(grad, lr, momentum, param, v):
    v = momentum * v - lr * grad
    return param + v, v


def nesterov_update(grad, lr, momentum, param, v):
    return param + momentum**2 * v - (1 + momentum) * lr * grad, momentum * v - lr * grad


def adagrad_update(grad, lr, param, h):
    h = h + grad**2
    return param - lr * grad / (math.sqrt(h) + 1e-7), h


def rmsprop_update(grad, lr, decay_rate, param, h):
    h = decay_rate * h + (1 - decay_rate) * grad**2
    return param - lr * grad / (math.sqrt(h) + 1e-7), h


def adam_update(grad, lr_t, beta1, beta2, param, m, v):
    m = beta1 * m + (1 - beta1) * grad
    v = beta2 * v + (1 - beta2) * grad**2
    return param - lr_t * m / (math.sqrt(v) + 1e-7), m, v


# rows and columns


def softmax(x):
    y = np.zeros(x.shape)
    for n, row in enumerate(x):
        largest = max(row)
        powers = [math.exp(value - largest) for value in row]
        total = math.fsum(powers)
        y[n] = [power / total for power in powers]
    return y


def softmax_loss(x, t):
    y = softmax(x)
    return y, np.array([-math.log(y[n, label] + 1e-7) for n, label in enumerate(t)])


def softmax_loss_backward(y, t):
    dx = np.zeros(y.shape)
    for n, k in np.ndindex(y.shape):
        dx[n, k] = (y[n, k] - (k == t[n])) / len(t)
    return dx


def batch_statistics(x):
    mean = np.array([math.fsum(column) / len(column) for column in x.T])
    var = np.array([math.fsum((column - m) ** 2) / len(column) for column, m in zip(x.T, mean, strict=True)])
    return mean, var


def batch_normalization(x, gamma, beta, mean, var, eps):
    out = np.zeros(x.shape)
    for m, d in np.ndindex(x.shape):
        out[m, d] = gamma[d] * (x[m, d] - mean[d]) / math.sqrt(var[d] + eps) + beta[d]
    return out


def batch_normalization_backward(dout, x, gamma, mean, var, eps):
    """The chain rule through out(x, mean(x), var(x)), one partial derivative after the other."""
    M, D = x.shape
    dx, dgamma, dbeta = np.zeros(x.shape), np.zeros(D), np.zeros(D)
    for d in range(D):
        std = math.sqrt(var[d] + eps)
        centred = [x[m, d] - mean[d] for m in range(M)]
        dbeta[d] = math.fsum(dout[:, d])
        dgamma[d] = math.fsum(dout[m, d] * centred[m] / std for m in range(M))
        dmean = math.fsum(-gamma[d] * dout[m, d] / std for m in range(M))
        dvar = math.fsum(-gamma[d] * dout[m, d] * centred[m] / (2 * std**3) for m in range(M))
        for m in range(M):
            dx[m, d] = gamma[d] * dout[m, d] / std + dmean / M + dvar * 2 * centred[m] / M
    return dx, dgamma, dbeta


def philox(counter, key):
    """One block of Philox4x32-10 as in the paper: four words of a counter (four words) and a key (two)."""
    x, k = list(counter), list(key)
    for step in range(10):
        if step:
            k = [(k[0] + 0x9E3779B9) % 2**32, (k[1] + 0xBB67AE85) % 2**32]
        first, second = 0xD2511F53 * x[0], 0xCD9E8D57 * x[2]
        x = [second // 2**32 ^ x[1] ^ k[0], second % 2**32, first // 2**32 ^ x[3] ^ k[1], first % 2**32]
    return x


def dropout_words(key, first, count):
    """The words that decide about elements first, first + 1, ... of an array in C order."""
    halves = key % 2**32, key // 2**32
    blocks = {b: philox((b % 2**32, b // 2**32, 0, 0), halves) for b in range(first // 4, (first + count + 3) // 4)}
    return [blocks[i // 4][i % 4] for i in range(first, first + count)]
