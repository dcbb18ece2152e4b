"""Interleaved timing, the probes, the profile."""
from __future__ import annotations

import time

import numpy as np
import pytest

from fastconv import SGD, DeepConvNet, timing
from fastconv.probe import limits
from fastconv.profile import profile
from fastconv.timing import Timed, interleave


def test_calls_take_turns(monkeypatch):
    monkeypatch.setattr(timing, "SETTLE", 0.0)
    monkeypatch.setattr(timing, "TURN", 0.0)
    order = []
    calls = {name: Timed(lambda name=name: order.append(name) or time.sleep(0.001)) for name in "AB"}
    times = interleave(calls, seconds=0.0, least=4)
    assert [len(times[name]) for name in "AB"] == [4, 4]
    assert "".join(order).endswith("ABABABAB")


def test_times_are_right_and_short_calls_are_repeated():
    runs = []
    times = interleave({"sleep": Timed(lambda: time.sleep(0.01)), "short": Timed(lambda: runs.append(1))},
                       seconds=0.02, least=3)
    assert min(times["sleep"]) >= 0.01
    assert max(times["short"]) < min(times["sleep"]) and len(runs) > 1000


def test_a_slow_call_gets_few_rounds_between_those_of_a_fast_one(monkeypatch):
    monkeypatch.setattr(timing, "PATIENCE", 0.05)
    order = []
    calls = {"slow": Timed(lambda: order.append("S") or time.sleep(0.03)), "fast": Timed(lambda: time.sleep(0.003))}
    times = interleave(calls, seconds=0.03, least=5)
    assert len(times["slow"]) == 1 and len(times["fast"]) >= 5


def test_a_call_known_to_be_slow_is_not_warmed_up():
    runs = []
    times = interleave({"slow": Timed(lambda: runs.append(1))}, known={"slow": 5.0})
    assert len(times["slow"]) == len(runs) == 1


def test_nothing_to_measure():
    assert interleave({}) == {}


@pytest.mark.parametrize("n", [1, 2])
def test_limits(n):
    found = limits(n)
    assert found.threads == n
    assert 1e8 < found.flops_per_second < 1e14 and 1e8 < found.bytes_per_second < 1e13


def test_the_copy_probe_copies_every_byte():
    from importlib import import_module

    from fastconv.kernels import native
    probe = import_module(f"{native.__name__}.{native.level}.probe")
    source, target = np.arange(200_003, dtype=np.float32), np.zeros(200_003, np.float32)
    assert probe.copy(source, target, 2) == 2 * source.nbytes
    np.testing.assert_array_equal(target, source)
    assert probe.multiply_add(1000, 2) == 2 * probe.multiply_add(1000, 1) > 0


def test_profile_runs_the_networks_own_step():
    rng = np.random.default_rng(0)
    x, t = rng.random((4, 1, 28, 28), np.float32), rng.integers(0, 10, 4)
    profiled, trained = DeepConvNet(seed=0), DeepConvNet(seed=0)
    rows = profile(profiled, x, t, SGD(0.1), steps=2)
    sgd = SGD(0.1)
    for _ in range(3):
        sgd.update(trained.params, trained.gradient(x, t))
    for key, value in trained.params.items():
        np.testing.assert_allclose(profiled.params[key], value, rtol=1e-4, atol=1e-6)  # layer by layer, and by the plan
    assert [row.name.split()[-1] for row in rows] == [type(layer).__name__ for layer in profiled.layers] + [
        "SoftmaxWithLoss", "SGD"]
    assert all(row.forward >= 0 and row.backward >= 0 for row in rows)
    assert rows[0].flops == 2 * 2 * 4 * 28 * 28 * 16 * 9 and rows[2].flops == 3 * 2 * 4 * 28 * 28 * 16 * 144
    assert rows[1].flops == 0
