"""Layers in several threads: one's forward for all of them, or each thread its own."""
from __future__ import annotations

import inspect
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from layers.zoo import LAYERS, make, results

from fastconv import layers
from fastconv.layers import Affine, affine

FOLDER = str(Path(layers.__file__).parent)
every_layer = pytest.mark.parametrize("name", LAYERS)


def amid_each_line(call, action):
    """Return what the call returns where `action` runs before each line of the layers, as another thread's work may."""
    def trace(frame, event, argument):
        if not frame.f_code.co_filename.startswith(FOLDER):
            return None
        if event == "line":
            action()
            lines.append(frame.f_lineno)
        return trace

    lines, before = [], sys.gettrace()
    sys.settrace(trace)  # within the action nothing is traced
    try:
        result = call()
    finally:
        sys.settrace(before)
    assert len(lines) >= 3
    return result


def forward(layer, x):
    """Return the output of a pass outside training, where there is such a thing."""
    takes = inspect.signature(layer.forward).parameters
    return layer.forward(x, **{"train_flg": False} if "train_flg" in takes else {})


def pair(name):
    """Return a layer, and two inputs of different sizes."""
    layer, x = make(name)
    if hasattr(layer, "running_mean"):
        layer.forward(x)
    return layer, x, np.concatenate([x[::-1] * 1.5, x])


@every_layer
def test_forward_returns_its_own_result_whatever_another_thread_does_between_two_lines(name):
    layer, x, other = pair(name)
    expected = forward(layer, x).copy()
    found = amid_each_line(lambda: forward(layer, x), lambda: forward(layer, other))
    np.testing.assert_array_equal(found, expected)


def test_forward_of_parts_returns_its_own_result(monkeypatch):
    monkeypatch.setattr(affine, "CONVERTED", 8)
    rng = np.random.default_rng(0)
    layer = Affine(rng.normal(size=(6, 3)).astype(np.float32), None)
    x = rng.integers(0, 9, (7, 6))
    expected = layer.forward(x)
    np.testing.assert_array_equal(amid_each_line(lambda: layer.forward(x), lambda: layer.forward(x[:2] + 1)), expected)


@every_layer
def test_one_layer_forward_in_many_threads(name):
    layer, *inputs = pair(name)
    expected = [forward(layer, x).tobytes() for x in inputs]
    with ThreadPoolExecutor(4) as executor:
        found = list(executor.map(lambda i: forward(layer, inputs[i % 2]).tobytes(), range(40)))
    assert found == [expected[i % 2] for i in range(40)]


def test_a_layer_of_its_own_for_each_thread():
    names = list(LAYERS)
    expected = {name: results(*make(name)) for name in names}

    def work(seed):
        for name in np.random.default_rng(seed).permutation(names):
            for key, value in results(*make(name)).items():
                np.testing.assert_array_equal(value, expected[name][key], err_msg=f"{name}: {key}")
        return True

    with ThreadPoolExecutor(6) as executor:
        assert all(executor.map(work, range(12)))
