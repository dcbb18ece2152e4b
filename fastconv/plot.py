"""Pictures, with matplotlib (imported when one is drawn)."""
from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from matplotlib.axes import Axes


def learning_curve(history: Iterable[Mapping[str, Any]], ax: Axes | None = None) -> Axes:
    """Draw the accuracy on training and test data over the epochs.

    Parameters
    ----------
    history : iterable of mappings
        One per epoch, with `epoch`, `train_acc` and `test_acc`: what Trainer gives to ``on_epoch``, or the
        lines of a history.jsonl.
    ax : matplotlib Axes, optional
        Where to draw; by default a new figure of pyplot's.

    Returns
    -------
    matplotlib Axes

    Raises
    ------
    ImportError
        matplotlib is not installed.
    """
    try:
        from matplotlib.ticker import MaxNLocator
    except ImportError as error:
        raise ImportError("learning_curve needs matplotlib: pip install matplotlib") from error
    if ax is None:
        from matplotlib import pyplot
        ax = pyplot.figure().subplots()
    records = list(history)
    epochs = [record["epoch"] for record in records]
    for key, label, marker in (("train_acc", "training data", "o"), ("test_acc", "test data", "s")):
        ax.plot(epochs, [record[key] for record in records], marker=marker, markersize=4, label=label)
    ax.set(xlabel="epoch", ylabel="accuracy", title="Learning curve")
    ax.xaxis.set_major_locator(MaxNLocator(integer=True))
    ax.grid(alpha=0.3)
    ax.legend(loc="lower right")
    return ax
