"""In the manner of the book's, which downloads from an address that is gone."""


def load_mnist(normalize=True, flatten=True, one_hot_label=False):
    raise OSError("the book's address is gone")
