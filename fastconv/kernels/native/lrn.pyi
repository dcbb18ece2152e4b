from numpy import ndarray

__all__: list[str]

def lrn_forward(x: ndarray, n: int, k: float, alpha: float, beta: float, out: ndarray, n_threads: int) -> None: ...
def lrn_backward(
    dout: ndarray, x: ndarray, n: int, k: float, alpha: float, beta: float, dx: ndarray, n_threads: int
) -> None: ...
