"""Pictures, without a display."""
import sys

import pytest

from fastconv.plot import learning_curve

HISTORY = [{"epoch": n, "loss": 1 / n, "train_acc": n / 4, "test_acc": n / 8} for n in (1, 2, 3)]


def test_learning_curve():
    figure = pytest.importorskip("matplotlib.figure").Figure()
    ax = figure.subplots()
    assert learning_curve(iter(HISTORY), ax) is ax
    train, test = ax.get_lines()
    assert list(train.get_xdata()) == [1, 2, 3] and list(train.get_ydata()) == [0.25, 0.5, 0.75]
    assert list(test.get_ydata()) == [0.125, 0.25, 0.375]
    assert [text.get_text() for text in ax.get_legend().get_texts()] == ["training data", "test data"]


def test_makes_its_own_axes():
    matplotlib = pytest.importorskip("matplotlib")
    matplotlib.use("Agg")
    first, second = learning_curve(HISTORY), learning_curve([])
    assert first.figure is not second.figure
    for ax in (first, second):
        matplotlib.pyplot.close(ax.figure)


def test_without_matplotlib(monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib.ticker", None)
    with pytest.raises(ImportError, match="pip install matplotlib"):
        learning_curve(HISTORY)
