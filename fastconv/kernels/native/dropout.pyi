from numpy import ndarray

__all__: list[str]

def dropout_forward(
    x: ndarray, random: ndarray, ratio: float, mask: ndarray, out: ndarray, n_threads: int
) -> None: ...
def dropout_backward(dout: ndarray, mask: ndarray, dx: ndarray, n_threads: int) -> None: ...
