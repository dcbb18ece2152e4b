from numpy import ndarray

__all__: list[str]

def im2col(
    x: ndarray, filter_size: tuple[int, int], stride: tuple[int, int], pad: tuple[int, int], col: ndarray,
    n_threads: int
) -> None: ...
def col2im(
    col: ndarray, filter_size: tuple[int, int], stride: tuple[int, int], pad: tuple[int, int], dx: ndarray,
    n_threads: int
) -> None: ...
