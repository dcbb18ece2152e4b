from numpy import ndarray

__all__: list[str]

def batch_normalization_forward(
    x: ndarray, gamma: ndarray, beta: ndarray, eps: float, out: ndarray, mean: ndarray, var: ndarray,
    n_threads: int
) -> None: ...
def batch_normalization_inference(
    x: ndarray, gamma: ndarray, beta: ndarray, mean: ndarray, var: ndarray, eps: float, out: ndarray,
    n_threads: int
) -> None: ...
def batch_normalization_backward(
    dout: ndarray, x: ndarray, gamma: ndarray, mean: ndarray, var: ndarray, eps: float, dx: ndarray,
    dgamma: ndarray, dbeta: ndarray, n_threads: int
) -> None: ...
