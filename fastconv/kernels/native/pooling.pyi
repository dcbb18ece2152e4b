from numpy import ndarray

__all__: list[str]

def max_pooling_forward(
    x: ndarray, window: tuple[int, int], stride: tuple[int, int], pad: tuple[int, int], out: ndarray,
    n_threads: int
) -> None: ...
def max_pooling_backward(
    dout: ndarray, x: ndarray, out: ndarray, window: tuple[int, int], stride: tuple[int, int],
    pad: tuple[int, int], dx: ndarray, n_threads: int
) -> None: ...
def average_pooling_forward(
    x: ndarray, window: tuple[int, int], stride: tuple[int, int], pad: tuple[int, int], out: ndarray,
    n_threads: int
) -> None: ...
def average_pooling_backward(
    dout: ndarray, window: tuple[int, int], stride: tuple[int, int], pad: tuple[int, int], dx: ndarray,
    n_threads: int
) -> None: ...
