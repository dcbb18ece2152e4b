"""A wrong result is a failed row and never a time."""
from __future__ import annotations

import weakref
from dataclasses import replace

import numpy as np
import pytest

from benchmarks.figures import add_limits, figures
from benchmarks.measure import Mismatch, compare, made_anew, measure
from benchmarks.workload import Runner, Workload, of

RIGHT = np.array([1.0, -4.0, 2.0])


def returns(array):
    return lambda inputs, n_threads: of(lambda result: [result], lambda: array)


def workload(**makers):
    return Workload("toy/row", "toy", 1e6, lambda inputs: 100.0, lambda rng: None, makers, tolerance=1e-3)


def quick(row):
    return measure(row, 1, seconds=0.001, least=2)


def test_right_results_are_timed():
    done = quick(workload(native=returns(RIGHT * 1.0001), reference=returns(RIGHT), book=returns(RIGHT)))
    assert not done.errors
    assert list(done.times) == ["native", "reference", "book"] and all(min(times) > 0 for times in done.times.values())
    assert done.traffic == 100


@pytest.mark.parametrize("wrong, words", [
    (RIGHT * 1.01, "off by 4.00e-02 where the largest value is 4.00e+00"),
    (np.array([1.0, np.nan, 2.0]), "off by nan"),
    (RIGHT[:2], "shape (2,), expected (3,)"),
])
def test_a_wrong_result_is_no_time(wrong, words):
    done = quick(workload(native=returns(wrong), reference=returns(RIGHT), book=returns(RIGHT)))
    assert list(done.errors) == ["native"] and set(done.times) == {"reference", "book"}
    assert words in done.errors["native"]


def test_an_exception_fails_its_row_alone():
    def broken(inputs, n_threads):
        raise MemoryError("no memory for 1 TB")

    done = quick(workload(native=broken, reference=returns(RIGHT)))
    assert done.errors == {"native": "MemoryError: no memory for 1 TB"} and list(done.times) == ["reference"]


def test_without_the_reference_there_is_nothing_to_compare_with():
    def broken(inputs, n_threads):
        raise ValueError("cannot")

    done = quick(workload(native=returns(RIGHT), reference=broken))
    assert not done.times and done.errors["native"] == "the reference failed: ValueError: cannot"


def test_another_oracle():
    row = workload(native=returns(RIGHT), book=returns(RIGHT * 2), torch=returns(RIGHT))
    done = quick(replace(row, oracle="torch"))
    assert list(done.errors) == ["book"] and list(done.times) == ["native", "torch"]


def test_patience_is_in_units_of_the_runs_time(monkeypatch):
    given = []
    monkeypatch.setattr("benchmarks.measure.interleave", lambda calls, seconds, *more: given.append(seconds) or {})
    for patience in (1, 50):
        measure(replace(workload(reference=returns(RIGHT)), patience=patience), 1, seconds=0.2)
    assert given == [0.2, 10]


def test_one_at_a_time():
    alive, most, runs = [], [], []

    class Network:
        def __init__(self):
            self.itself = self  # only the garbage collector finds out
            alive.append(weakref.ref(self))
            most.append(sum(network() is not None for network in alive))

        def run(self):
            runs.append(True)
            return [RIGHT]

    def maker(inputs, n_threads):
        network = Network()
        return Runner(network.run, network.run)

    row = replace(workload(reference=maker, native=maker, torch=maker), one_at_a_time=True)
    done = measure(row, 1, seconds=0.001, least=1)
    assert not done.errors and all(done.times.values())
    assert set(most) == {1} and all(network() is None for network in alive)
    runs.clear()
    timed = made_anew(lambda: maker(None, 1))
    with timed.context():
        assert len(runs) == 1, "a warm-up before the time is taken"
        timed.call()
    assert len(runs) == 2 and alive[-1]() is None


def test_an_array_that_changes_later_is_still_compared_as_it_was():
    shared = RIGHT.copy()

    def overwrites(inputs, n_threads):
        def run():
            shared[0] = 99.0
            return shared
        return of(lambda result: [result], run)

    done = quick(workload(reference=returns(shared), native=overwrites))
    assert list(done.errors) == ["native"]


def test_numbers_below_the_smallest_normal_one_may_be_zero():
    compare([np.zeros(2)], [np.full(2, 1e-39)], 0.0)
    with pytest.raises(Mismatch):
        compare([np.zeros(2)], [np.full(2, 1e-37)], 0.0)


def test_errors_overall():
    one_of_many = np.ones(10_000)
    one_of_many[3] = 2
    compare([one_of_many], [np.ones(10_000)], 0.0101, overall=True)
    for wrong in (np.full(10_000, 1.02), one_of_many * np.nan):
        with pytest.raises(Mismatch, match="where the root of the mean square is 1.00e"):
            compare([wrong], [np.ones(10_000)], 0.0101, overall=True)
    compare([np.empty(0)], [np.empty(0)], 0.0, overall=True)


def test_the_number_of_results_counts():
    with pytest.raises(Mismatch, match="1 results, expected 2"):
        compare([RIGHT], [RIGHT, RIGHT], 1e-3)


def test_context_is_entered_for_check_and_turns():
    from contextlib import contextmanager
    inside = []

    @contextmanager
    def context():
        inside.append(True)
        yield
        inside.pop()

    def only_inside():
        assert inside
        return [RIGHT]

    def maker(inputs, n_threads):
        return Runner(only_inside, only_inside, context)

    assert not quick(workload(reference=maker, native=maker)).errors


def test_less_than_float32_is_listed_but_no_peer():
    def coarse(inputs, n_threads):
        return replace(returns(RIGHT * 1.01)(inputs, n_threads), tolerance=0.05)

    done = quick(workload(native=returns(RIGHT), reference=returns(RIGHT), openvino=returns(RIGHT),
                          **{"openvino-default": coarse}))
    assert not done.errors and done.reduced == {"openvino-default"}
    done.times |= {"native": [2e-3], "openvino": [4e-3], "openvino-default": [1e-3]}
    found = figures(done, "native", 0)
    assert found["best_peer"] == "openvino" and found["ratio_peer"] == 2 and found["ratio_reduced"] == 0.5


def test_a_workload_may_have_its_own_number_of_threads():
    given = []

    def maker(inputs, n_threads):
        given.append(n_threads)
        return returns(RIGHT)(inputs, n_threads)

    done = measure(replace(workload(reference=maker), threads=1), 2, timed=False)
    assert given == [1] and done.n_threads == 1
    assert measure(workload(reference=maker), 2, timed=False).n_threads == 2


def test_figures_and_limits():
    done = quick(workload(native=returns(RIGHT), reference=returns(RIGHT), book=returns(RIGHT), torch=returns(RIGHT),
                          onnxruntime=returns(RIGHT)))
    done.times = {"native": [2e-3, 2e-3, 9.0], "reference": [4e-3], "book": [20e-3], "torch": [1e-3],
                  "onnxruntime": [5e-3]}
    found = figures(done, "native", done.traffic)
    assert found["median"] == 2e-3 and found["fastest"] == 2e-3 and found["ours"]
    assert found["ratio_reference"] == 2 and found["ratio_book"] == 10
    assert found["best_peer"] == "torch" and found["ratio_peer"] == 0.5
    assert "ratio_book" not in figures(done, "book", 0) and not figures(done, "book", 0)["ours"]
    add_limits(found, {1: (1, 1e9, 1e6)})
    assert found["gflops"] == pytest.approx(0.5) and found["peak_share"] == pytest.approx(0.5)
    assert found["gbytes"] == pytest.approx(5e-5) and found["copy_share"] == pytest.approx(0.05)
