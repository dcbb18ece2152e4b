"""Filters that are no parameters on an image, and what im2col makes of it."""
import sys, os
sys.path.append(os.pardir)
import numpy as np
from dataset.mnist import load_mnist
from common.layers import Convolution
from common.util import col2im, im2col

repeat = int(sys.argv[1]) if sys.argv[1:] else 200
(x_train, _), _ = load_mnist(flatten=False)
edges = np.array([[1.0, 0, -1], [2, 0, -2], [1, 0, -1]])
filters = np.array([[edges], [edges.T], [np.full((3, 3), 1 / 9)]])
for i in range(repeat):
    layer = Convolution(filters, 0, 1, 1)
    out = layer.forward(x_train[i:i + 10])
print("shape", *out.shape, "edges", *out.reshape(10, 3, -1).std(axis=2).ravel())
col = im2col(x_train[:10], 3, 3, 1, 1)
print("columns", *col.shape, *col.sum(axis=0), "and back", *col2im(col, (10, 1, 28, 28), 3, 3, 1, 1)[0, 0, 14])
print("the layer's", layer.col.shape[1], layer.col_W.sum(axis=0)[0])
