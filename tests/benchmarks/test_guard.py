"""The guard compares ratios, not times."""
from __future__ import annotations

import pytest
from benchmark_runs import row, run, save

from benchmarks.guard import main

SAVED = run(row("gemm/a", "native", 1e-3, ratio_book=10.0, ratio_reference=4.0),
            row("gemm/b", "native", 1e-3, ratio_book=10.0, ratio_reference=4.0),
            row("gemm/a", "reference", 4e-3, ratio_book=2.5),
            row("gemm/a", "torch", 1e-3, ratio_book=9.0))


@pytest.fixture
def guard(tmp_path, capsys):
    """Return a function that compares a run with SAVED: (exit code, output, errors)."""
    def compare(now, *options):
        code = main([save(tmp_path / "now.json", now), save(tmp_path / "saved.json", SAVED), *options])
        return code, *capsys.readouterr()

    return compare


def with_ratios(book, reference, median=1e-3):
    return run(row("gemm/a", "native", median, ratio_book=book, ratio_reference=reference), *SAVED["benchmarks"][1:])


def test_the_same_run(guard):
    assert guard(SAVED) == (0, "3 rows compared, 0 fell by more than 20%\n", "")


def test_a_slower_machine_is_no_fall(guard):
    assert guard(with_ratios(10.0, 4.0, median=1.0))[0] == 0


def test_a_fall_of_both_ratios(guard):
    code, output, _ = guard(with_ratios(2.5, 1.2))
    assert code == 1 and "fell: gemm/a (native): 0.30 of what it was" in output and "1 fell" in output


def test_one_ratio_alone_is_the_baselines_noise(guard):
    assert guard(with_ratios(2.5, 3.9))[0] == 0


def test_threshold(guard):
    assert guard(with_ratios(8.5, 3.4))[0] == 0
    assert guard(with_ratios(8.5, 3.4), "--threshold", "0.1")[0] == 1


def test_missing_and_failed_rows(guard):
    code, output, _ = guard(run(*SAVED["benchmarks"][1:]))
    assert code == 1 and "missing: gemm/a (native)" in output
    code, output, _ = guard(run(*SAVED["benchmarks"], failed=({"row": "x", "reason": "off"},)))
    assert code == 1 and "failed: x: off" in output


def test_what_cannot_be_compared(guard, tmp_path, capsys):
    code, _, errors = guard(run(row("other/row", "native", 1.0, ratio_book=2.0)))
    assert code == 2 and "no row in common" in errors
    code, _, errors = guard(run(*SAVED["benchmarks"], schema=99))
    assert code == 2 and "another version" in errors
    assert main([str(tmp_path / "none.json"), str(tmp_path / "saved.json")]) == 2
    assert "there is no file" in capsys.readouterr().err


@pytest.mark.parametrize("threshold", ["0", "1", "x", "nan"])
def test_a_threshold_that_is_none(threshold):
    with pytest.raises(SystemExit) as stop:
        main(["a", "b", "--threshold", threshold])
    assert stop.value.code == 2
