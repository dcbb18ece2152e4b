"""In the manner of the book's, which keeps the digits as a pickle; the address that it gets them from is gone."""
import os
import pickle

import numpy as np

SAVED = os.path.join(os.path.dirname(os.path.abspath(__file__)), "mnist.pkl")


def load_mnist(normalize=True, flatten=True, one_hot_label=False):
    if not os.path.exists(SAVED):
        raise OSError("the book's address is gone")
    with open(SAVED, "rb") as file:
        data = pickle.load(file)
    parts = []
    for part in ("train", "test"):
        x, t = data[f"{part}_img"], data[f"{part}_label"]
        if normalize:
            x = x.astype(np.float32) / 255.0
        parts.append((x if flatten else x.reshape(-1, 1, 28, 28), np.eye(10)[t] if one_hot_label else t))
    return tuple(parts)
