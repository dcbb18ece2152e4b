"""The table of the book's scripts: numbers in what they print, their differences, the README."""
from __future__ import annotations

import json
from dataclasses import asdict

import pytest
from mnist_files import write_mnist

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
    assert scripts.measure(tmp_path, Script("a.py", 1), 70) == Row("a.py", [2.0] * 5, [1.0] * 5, 0.5, False, 70)
    assert calls == [None, []] * 5
    assert scripts.measure(tmp_path, Script("a.py", 1, by_design=True), 70).difference == 0.25
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
    data, _, _, _, first, second = readme.read_text().splitlines()[2:8]
    assert data == "Data: the 5,000 digits that come with fastconv."
    assert first == "| a.py | 1 s | 100 ms | 10.0 | 0.0e+00 (strict) |"
    assert second == "| b.py | 1.5 s | 500 ms | 3.00 | 1.0e-09 |"
    assert readme.read_text().endswith(f"{END}\nafter\n") and "old" not in readme.read_text()


@pytest.mark.parametrize("digits, said", [(70000, "Data: the whole of MNIST, 70,000 digits."),
                                          (1234, "Data: 1,234 digits.")])
def test_the_table_says_which_data(digits, said):
    assert scripts.markdown([Row("a.py", [1.0], [1.0], 0.0, False, digits)]).splitlines()[0] == said


def test_rows_of_different_data_make_no_table(tmp_path, capsys):
    file = tmp_path / "scripts.json"
    file.write_text(json.dumps([asdict(Row(name, [1.0], [1.0], 0.0, False, digits))
                                for name, digits in (("a.py", 5000), ("b.py", 70000))]))
    assert main(["--output", str(file), "--readme", str(tmp_path / "README.md")]) == 1
    assert "with 5000 and with 70000 digits" in capsys.readouterr().err


def test_the_readers_folder_may_hold_other_data(tmp_path):
    (tmp_path / "data").mkdir()
    (images, labels), (test_images, test_labels) = write_mnist(tmp_path / "data")
    folder = scripts.reader_folder(tmp_path / "reader", tmp_path / "data")
    assert scripts.digits_in(folder) == len(images) + len(test_images)
    (folder / "shows.py").write_text("from dataset.mnist import load_mnist\n"
                                     "for x, t in load_mnist(normalize=False): print(*x.sum(axis=1), *t)\n")
    printed, _ = scripts.run(folder, "shows.py")
    assert numbers(printed) == [*images.reshape(len(images), -1).sum(axis=1), *labels,
                                *test_images.reshape(len(test_images), -1).sum(axis=1), *test_labels]
    assert scripts.run(folder, "shows.py", options=[])[0] == printed


def test_data_that_is_not_there_is_an_error(tmp_path, capsys):
    assert main(["--output", str(tmp_path / "a.json"), "--data", str(tmp_path / "none"), "ch06/optimizers_in*"]) == 1
    assert "none" in capsys.readouterr().err and not (tmp_path / "a.json").exists()


def test_a_readme_without_markers_is_an_error(tmp_path, capsys):
    (tmp_path / "README.md").write_text("nothing")
    assert main(["--output", str(tmp_path / "none.json"), "--readme", str(tmp_path / "README.md")]) == 1
    assert BEGIN in capsys.readouterr().err


def test_every_script_is_there():
    there = {str(path.relative_to(scripts.BOOK)) for path in scripts.BOOK.glob("ch0[3-8]/*.py")}
    assert {script.name for script in SCRIPTS} <= there
