"""The script of the long run: what it records, and when it fails."""
from __future__ import annotations

import json
import sys

import long_run
import pytest

pytestmark = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="it reads /proc")


def records(memory, times):
    return [{"step": 100 * i, "resident_mb": mb, "step_ms": ms, "cpu_ms": 2 + ms}
            for i, (mb, ms) in enumerate(zip(memory, times, strict=True), 1)]


def test_growth_counts_from_a_tenth_of_the_steps_on():
    times = [1.0] * 20
    assert long_run.judge(records([50, 80] + [83] * 18, times), 5)["steady"]
    judged = long_run.judge(records([50, 80] + [83] * 17 + [85.5], times), 5)
    assert not judged["steady"] and judged["grown_mb"] == 5.5
    assert long_run.judge(records([90] * 19 + [10], times), 5)["grown_mb"] == -80


def test_drift_compares_the_first_fifth_with_the_last():
    judged = long_run.judge(records([1] * 10, [2, 4, 9, 9, 9, 9, 9, 9, 6, 6]), 5)
    assert judged["drift"] == 2 and judged["cpu_drift"] == 1.6 and judged["steady"]


def test_a_short_run(tmp_path, capsys):
    output = tmp_path / "run.jsonl"
    assert long_run.main(["--steps", "60", "--every", "25", "--growth", "1000", "--output", str(output)]) == 0
    head, *found, judged = map(json.loads, output.read_text().splitlines())
    assert head["steps"] == 60 and [record["step"] for record in found] == [25, 50, 60]
    assert all(record["resident_mb"] > 10 and record["step_ms"] > 0 and record["cpu_ms"] > 0 for record in found)
    assert judged["steady"] and judged["allowed_mb"] == 1000
    assert long_run.main(["--steps", "2", "--every", "1", "--growth", "-1000", "--output", str(output)]) == 1
    for wrong in (["--steps", "0"], ["--every", "0"]):
        with pytest.raises(SystemExit):
            long_run.main(wrong)
    assert "at least 1" in capsys.readouterr().err
