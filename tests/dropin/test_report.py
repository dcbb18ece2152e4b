"""The report counts calls, and what the book's code would have taken for them."""
from __future__ import annotations

import numpy as np
import pytest

import fastconv
from fastconv.dropin.report import Report, report


@pytest.fixture
def reported(load):
    fastconv.install(report=True)
    yield load
    fastconv.install(report=False)
    report.clear()


def test_calls_are_counted_and_compared_with_the_book(reported):
    layers = reported("common.layers")
    layer = layers.Affine(np.ones((3, 2)), np.zeros(2))
    for n in (4, 4, 5):
        layer.forward(np.ones((n, 3)))
        layer.backward(np.ones((n, 2)))
    found = report.calls
    assert found["Affine.forward"][0] == found["Affine.backward"][0] == 3
    assert all(seconds > 0 for name in ("Affine.forward", "Affine.backward") for seconds in found[name][1:])
    text = report.text()
    assert "Affine.forward" in text and "time saved, estimated" in text and "by the book's own code: no call" in text
    assert set(found) == {"Affine.forward", "Affine.backward"}  # not those of the tests that modules pass


def test_results_are_those_without_a_report(reported):
    layers, functions = reported("common.layers"), reported("common.functions")
    x = np.random.default_rng(0).normal(size=(3, 4))
    dout = np.ones((3, 4))
    layer = layers.Relu()
    np.testing.assert_array_equal(layer.forward(x), np.maximum(x, 0))
    np.testing.assert_array_equal(layer.backward(dout), x > 0)
    np.testing.assert_array_equal(dout, 1)
    np.testing.assert_allclose(functions.sigmoid(x), 1 / (1 + np.exp(-x)))
    np.random.seed(0)
    first = layers.Dropout(0.5).forward(x)
    fastconv.install(report=False)
    np.random.seed(0)
    np.testing.assert_array_equal(reported("common.layers").Dropout(0.5).forward(x), first)


def test_what_was_left_alone_and_what_fell_back_is_told(reported):
    layers = reported("common.layers")
    reported("common.optimizer")
    layers.Sigmoid().forward(np.array([1j]))
    text = report.text()
    assert "left alone: common.optimizer.Nesterov computes something else than the book's" in text
    assert "by the book's own code: Sigmoid.forward, 1 times: Sigmoid.forward: x has dtype complex128" in text


def test_modules_that_were_there_before_are_told(load):
    load("common.functions")
    fastconv.install(report=True)
    try:
        assert "common.functions had been imported before: names that were copied" in report.text()
    finally:
        fastconv.install(report=False)
        report.clear()


def test_the_books_trainer_runs_each_step_forwards_twice():
    counted = Report()
    counted.add("Relu.forward", 1, 0.1, 5.0)
    with counted.book_seconds() as seconds:
        counted.add("Relu.forward", 1, 0.1, 3.0)
        counted.add("Affine.backward", 1, 0.1, 7.0)
    assert seconds == [2 * 3.0 + 7.0]


def test_nothing_was_replaced():
    empty = Report()
    assert "nothing was replaced: the script imported no module of the book's" in empty.text()


def test_the_least_time_of_a_call_counts(monkeypatch):
    ticks = iter(np.cumsum([0, 5e-3, 0, 1e-3, 0, 20e-3, 0, 7e-3]).tolist())  # three calls of the book's, one of ours
    monkeypatch.setattr("fastconv.dropin.report.time.perf_counter", lambda: next(ticks))
    timed = Report()
    timed.call("f", (), lambda: None, lambda: lambda: None)
    assert timed.calls["f"] == pytest.approx([1, 7e-3, 1e-3])


def test_a_book_that_fails_takes_no_time():
    failing = Report()
    assert failing.call("f", (), lambda: 3, lambda: lambda: 1 / 0) == 3
    assert failing.calls["f"][2] == 0
