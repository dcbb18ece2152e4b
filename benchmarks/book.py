"""The baseline: DeepConvNet as a reader of the book writes it, plain NumPy in float64 with an explicit column matrix.

It is deliberately not tuned. Every layer works on whole arrays, the column matrix of a 3x3 filter is nine times the
image, and NumPy's BLAS does the products on as many threads as it likes.
"""
import numpy as np


def im2col(images, fh, fw, stride, pad):
    """Return (N*OH*OW, C*FH*FW): one row per window of images (N,C,H,W)."""
    n, c, h, w = images.shape
    oh, ow = (h + 2 * pad - fh) // stride + 1, (w + 2 * pad - fw) // stride + 1
    padded = np.pad(images, [(0, 0), (0, 0), (pad, pad), (pad, pad)])
    col = np.zeros((n, c, fh, fw, oh, ow))
    for i in range(fh):
        for j in range(fw):
            col[:, :, i, j] = padded[:, :, i:i + stride * oh:stride, j:j + stride * ow:stride]
    return col.transpose(0, 4, 5, 1, 2, 3).reshape(n * oh * ow, -1)


def col2im(col, shape, fh, fw, stride, pad):
    """Return images of `shape` with every window of col (N*OH*OW, C*FH*FW) added in its place."""
    n, c, h, w = shape
    oh, ow = (h + 2 * pad - fh) // stride + 1, (w + 2 * pad - fw) // stride + 1
    windows = col.reshape(n, oh, ow, c, fh, fw).transpose(0, 3, 4, 5, 1, 2)
    padded = np.zeros((n, c, h + 2 * pad + stride - 1, w + 2 * pad + stride - 1))
    for i in range(fh):
        for j in range(fw):
            padded[:, :, i:i + stride * oh:stride, j:j + stride * ow:stride] += windows[:, :, i, j]
    return padded[:, :, pad:pad + h, pad:pad + w]


class Convolution:
    def __init__(self, W, b, stride=1, pad=0):
        self.W, self.b, self.stride, self.pad = W, b, stride, pad

    def forward(self, x):
        fn, c, fh, fw = self.W.shape
        n, c, h, w = self.shape = x.shape
        oh, ow = (h + 2 * self.pad - fh) // self.stride + 1, (w + 2 * self.pad - fw) // self.stride + 1
        self.col, self.col_W = im2col(x, fh, fw, self.stride, self.pad), self.W.reshape(fn, -1).T
        return (self.col @ self.col_W + self.b).reshape(n, oh, ow, fn).transpose(0, 3, 1, 2)

    def backward(self, dout):
        fn, c, fh, fw = self.W.shape
        dout = dout.transpose(0, 2, 3, 1).reshape(-1, fn)
        self.db = dout.sum(axis=0)
        self.dW = (self.col.T @ dout).T.reshape(self.W.shape)
        return col2im(dout @ self.col_W.T, self.shape, fh, fw, self.stride, self.pad)


class Pooling:
    def __init__(self, pool_h, pool_w, stride):
        self.pool_h, self.pool_w, self.stride = pool_h, pool_w, stride

    def forward(self, x):
        n, c, h, w = self.shape = x.shape
        oh, ow = (h - self.pool_h) // self.stride + 1, (w - self.pool_w) // self.stride + 1
        col = im2col(x, self.pool_h, self.pool_w, self.stride, 0).reshape(-1, self.pool_h * self.pool_w)
        self.arg_max = col.argmax(axis=1)
        return col.max(axis=1).reshape(n, oh, ow, c).transpose(0, 3, 1, 2)

    def backward(self, dout):
        dout = dout.transpose(0, 2, 3, 1)
        spread = np.zeros((dout.size, self.pool_h * self.pool_w))
        spread[np.arange(dout.size), self.arg_max] = dout.flatten()
        n, oh, ow, _ = dout.shape
        return col2im(spread.reshape(n * oh * ow, -1), self.shape, self.pool_h, self.pool_w, self.stride, 0)


class Affine:
    def __init__(self, W, b):
        self.W, self.b = W, b

    def forward(self, x):
        self.shape, self.x = x.shape, x.reshape(len(x), -1)
        return self.x @ self.W + self.b

    def backward(self, dout):
        self.dW, self.db = self.x.T @ dout, dout.sum(axis=0)
        return (dout @ self.W.T).reshape(self.shape)


class Relu:
    def forward(self, x):
        self.mask = x <= 0
        out = x.copy()
        out[self.mask] = 0
        return out

    def backward(self, dout):
        dout[self.mask] = 0
        return dout


class Dropout:
    def __init__(self, dropout_ratio=0.5):
        self.dropout_ratio = dropout_ratio

    def forward(self, x, train_flg=True):
        if not train_flg:
            return x * (1 - self.dropout_ratio)
        self.mask = np.random.rand(*x.shape) > self.dropout_ratio
        return x * self.mask

    def backward(self, dout):
        return dout * self.mask


class SoftmaxWithLoss:
    def forward(self, x, t):
        e = np.exp(x - x.max(axis=1, keepdims=True))
        self.y, self.t = e / e.sum(axis=1, keepdims=True), t
        return -np.log(self.y[np.arange(len(t)), t] + 1e-7).mean()

    def backward(self):
        dx = self.y.copy()
        dx[np.arange(len(dx)), self.t] -= 1
        return dx / len(dx)


def batch_normalization(x, gamma, beta, eps):
    mean = x.mean(axis=0)
    centred = x - mean
    var = np.mean(centred ** 2, axis=0)
    return gamma * (centred / np.sqrt(var + eps)) + beta, mean, var


def batch_normalization_backward(dout, x, gamma, mean, var, eps):
    std = np.sqrt(var + eps)
    centred = x - mean
    normal = centred / std
    dbeta, dgamma = dout.sum(axis=0), np.sum(normal * dout, axis=0)
    dnormal = gamma * dout
    dvar = -0.5 * np.sum(dnormal * centred, axis=0) / std ** 3
    dcentred = dnormal / std + 2 / len(x) * centred * dvar
    return dcentred - dcentred.mean(axis=0), dgamma, dbeta


class DeepConvNet:
    """The book's network with the parameters of another (a mapping W1..W8, b1..b8)."""

    def __init__(self, params):
        self.params = p = {key: np.array(value, np.float64) for key, value in params.items()}
        self.layers = []
        for i in range(1, 7):
            self.layers += [Convolution(p[f"W{i}"], p[f"b{i}"], 1, 2 if i == 4 else 1), Relu()]
            if i % 2 == 0:
                self.layers.append(Pooling(2, 2, 2))
        self.layers += [Affine(p["W7"], p["b7"]), Relu(), Dropout(0.5), Affine(p["W8"], p["b8"]), Dropout(0.5)]
        self.last_layer = SoftmaxWithLoss()

    def predict(self, x, train_flg=False):
        for layer in self.layers:
            x = layer.forward(x, train_flg) if isinstance(layer, Dropout) else layer.forward(x)
        return x

    def gradient(self, x, t):
        self.loss = self.last_layer.forward(self.predict(x, train_flg=True), t)
        dout = self.last_layer.backward()
        for layer in reversed(self.layers):
            dout = layer.backward(dout)
        weighted = [layer for layer in self.layers if hasattr(layer, "W")]
        return {key: value for i, layer in enumerate(weighted, 1)
                for key, value in ((f"W{i}", layer.dW), (f"b{i}", layer.db))}


class Adam:
    def __init__(self, lr=0.001, beta1=0.9, beta2=0.999):
        self.lr, self.beta1, self.beta2, self.iter = lr, beta1, beta2, 0

    def update(self, params, grads):
        if self.iter == 0:
            self.m = {key: np.zeros_like(value) for key, value in params.items()}
            self.v = {key: np.zeros_like(value) for key, value in params.items()}
        self.iter += 1
        lr_t = self.lr * np.sqrt(1 - self.beta2 ** self.iter) / (1 - self.beta1 ** self.iter)
        for key in params:
            self.m[key] += (1 - self.beta1) * (grads[key] - self.m[key])
            self.v[key] += (1 - self.beta2) * (grads[key] ** 2 - self.v[key])
            params[key] -= lr_t * self.m[key] / (np.sqrt(self.v[key]) + 1e-7)
