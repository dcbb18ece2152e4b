"""Data sets of the book's examples."""
from .idx import DatasetError
from .mnist import MnistSource, find_mnist, load_mnist

__all__ = ["DatasetError", "MnistSource", "find_mnist", "load_mnist"]
