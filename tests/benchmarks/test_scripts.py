"""The table of the book's scripts: numbers in what they print, their differences, the README."""
from __future__ import annotations

import json
from dataclasses import asdict

import pytest

from benchmarks import scripts
from benchmarks.scripts import BEGIN, END, SCRIPTS, Row, Script, difference, main, numbers


def test_numbers_in_what_a_script_prints():
    assert numbers("losses 1.5 -2e-3 W1 is off by 3, nan\n=== epoch:4 ===") == pytest.approx(
        [1.5, -2e-3, 3, float("nan"), 4], nan_ok=True)


@pytest.mark.parametrize("found, expected, off", [
    ("a 0.5", "a 0.25", 0.25), ("a 110 b 0.5", "a 100 b 0.25", 0.25), ("a 150", "a 100", 0.5),
    ("a 1", "a 1 2", float("inf")), ("none", "none", 0.0)])
def test_difference(found, expected, off):
    assert difference(found, expected) == pytest.approx(off)


def test_a_script_is_measured_before_and_after_in_turns(tmp_path, monkeypatch):
    calls = []

    def run(folder, script, *arguments, options=None):
        calls.append(options)
        return ("loss 1.0", 2.0) if options is None else ("loss 1.5", 1.0) if options == [] else ("loss 1.25", 3.0)

    monkeypatch.setattr(scripts, "run", run)
    assert scripts.measure(tmp_path, Script("a.py", 1)) == Row("a.py", [2.0] * 5, [1.0] * 5, 0.5, False)
    assert calls == [None, []] * 5
    assert scripts.measure(tmp_path, Script("a.py", 1, by_design=True)).difference == 0.25
    assert calls[-1] == ["--strict-book"]


def test_a_script_that_fails_says_why(tmp_path):
    (tmp_path / "broken.py").write_text("print(1 / 0)\n")
    with pytest.raises(RuntimeError, match=r"broken.py ends with exit code 1(.|\n)*ZeroDivisionError"):
        scripts.run(tmp_path, "broken.py")


def test_the_table_goes_between_the_markers(tmp_path):
    readme, file = tmp_path / "README.md", tmp_path / "scripts.json"
    readme.write_text(f"before\n{BEGIN}\nold\n{END}\nafter\n")
    file.write_text(json.dumps([asdict(row) for row in (Row("b.py", [2.0, 1.5], [0.5, 0.75], 1e-9, False),
                                                        Row("a.py", [1.0], [0.1], 0.0, True))]))
    assert main(["--output", str(file), "--readme", str(readme)]) == 0
    first, second = readme.read_text().splitlines()[4:6]
    assert first == "| a.py | 1 s | 100 ms | 10.0 | 0.0e+00 (strict) |"
    assert second == "| b.py | 1.5 s | 500 ms | 3.00 | 1.0e-09 |"
    assert readme.read_text().endswith(f"{END}\nafter\n") and "old" not in readme.read_text()


def test_a_readme_without_markers_is_an_error(tmp_path, capsys):
    (tmp_path / "README.md").write_text("nothing")
    assert main(["--output", str(tmp_path / "none.json"), "--readme", str(tmp_path / "README.md")]) == 1
    assert BEGIN in capsys.readouterr().err


def test_every_script_is_there():
    there = {str(path.relative_to(scripts.BOOK)) for path in scripts.BOOK.glob("ch0[3-8]/*.py")}
    assert {script.name for script in SCRIPTS} <= there
