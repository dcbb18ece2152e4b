from collections.abc import Sequence
from typing import Any

from numpy.typing import NDArray

Arrays = Sequence[Sequence[NDArray[Any] | None]]

class Plan:
    def __init__(self, single: bool, maps: Sequence[tuple[Any, ...]], filters: Sequence[dict[str, Any]],
                 columns: Sequence[tuple[int, float]], steps: Sequence[dict[str, Any]], local_bytes: int,
                 batch_bytes: int, most: int, training: bool, winograd: bool) -> None: ...
    def __call__(self, x: NDArray[Any], parameters: Arrays, y: NDArray[Any], n_threads: int, *,
                 index: NDArray[Any] | None = None, labels: NDArray[Any] | None = None,
                 soft: NDArray[Any] | None = None, losses: NDArray[Any] | None = None,
                 keys: NDArray[Any] | None = None, gradients: Arrays | None = None,
                 columns: Arrays = ()) -> None: ...
