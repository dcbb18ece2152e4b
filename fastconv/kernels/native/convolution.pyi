from numpy import ndarray

__all__: list[str]

def convolution_forward(
    x: ndarray, weight: ndarray, bias: ndarray | None, stride: tuple[int, int], pad: tuple[int, int],
    dilation: tuple[int, int], groups: int, out: ndarray, n_threads: int
) -> None: ...
def convolution_backward_data(
    dout: ndarray, weight: ndarray, stride: tuple[int, int], pad: tuple[int, int],
    dilation: tuple[int, int], groups: int, dx: ndarray, n_threads: int
) -> None: ...
def convolution_backward_weight(
    x: ndarray, dout: ndarray, stride: tuple[int, int], pad: tuple[int, int], dilation: tuple[int, int],
    groups: int, dweight: ndarray, dbias: ndarray, n_threads: int
) -> None: ...
