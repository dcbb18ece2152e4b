"""Helpers in the manner of the book's."""
import numpy as np


def smooth_curve(x):
    width = 11
    mirrored = np.concatenate([x[width - 1:0:-1], x, x[:-width:-1]])
    kernel = np.kaiser(width, 2)
    smooth = np.convolve(kernel / kernel.sum(), mirrored, mode="valid")
    return smooth[5:len(smooth) - 5]


def shuffle_dataset(x, t):
    order = np.random.permutation(len(x))
    return x[order], t[order]


def conv_output_size(input_size, filter_size, stride=1, pad=0):
    return (input_size - filter_size + 2 * pad) / stride + 1


def im2col(input_data, filter_h, filter_w, stride=1, pad=0):
    N, C, H, W = input_data.shape
    OH, OW = (H + 2 * pad - filter_h) // stride + 1, (W + 2 * pad - filter_w) // stride + 1
    padded = np.pad(input_data, ((0, 0), (0, 0), (pad, pad), (pad, pad)))
    columns = np.zeros((N, C, filter_h, filter_w, OH, OW))
    for i in range(filter_h):
        for j in range(filter_w):
            columns[:, :, i, j] = padded[:, :, i:i + stride * OH:stride, j:j + stride * OW:stride]
    return columns.transpose(0, 4, 5, 1, 2, 3).reshape(N * OH * OW, -1)


def col2im(col, input_shape, filter_h, filter_w, stride=1, pad=0):
    N, C, H, W = input_shape
    OH, OW = (H + 2 * pad - filter_h) // stride + 1, (W + 2 * pad - filter_w) // stride + 1
    columns = col.reshape(N, OH, OW, C, filter_h, filter_w).transpose(0, 3, 4, 5, 1, 2)
    padded = np.zeros((N, C, H + 2 * pad + stride - 1, W + 2 * pad + stride - 1))
    for i in range(filter_h):
        for j in range(filter_w):
            padded[:, :, i:i + stride * OH:stride, j:j + stride * OW:stride] += columns[:, :, i, j]
    return padded[:, :, pad:pad + H, pad:pad + W]
