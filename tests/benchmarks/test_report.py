"""The report: README between the markers, charts, page, and what it says of files it cannot use."""
from __future__ import annotations

import sys
from html.parser import HTMLParser

import pytest
from benchmark_runs import full, row, run, save

from benchmarks.report import readme
from benchmarks.report.__main__ import main
from benchmarks.report.words import seconds, times

README = f"# Title\n\n{readme.BEGIN}\nold table\n{readme.END}\n\nThe end.\n"


@pytest.fixture
def write_report(tmp_path, capsys):
    """Return a function that reports a run: (exit code, README, folder of the output, errors)."""
    def write(data, *options, text=README):
        (tmp_path / "README.md").write_text(text)
        code = main([save(tmp_path / "r.json", data), "--output", str(tmp_path / "out"), "--readme",
                     str(tmp_path / "README.md"), *options])
        return code, (tmp_path / "README.md").read_text(), tmp_path / "out", capsys.readouterr().err

    return write


@pytest.fixture
def matplotlib():
    return pytest.importorskip("matplotlib")


def test_readme_table(write_report, matplotlib):
    code, text, _, _ = write_report(full())
    assert code == 0
    assert text.startswith(f"# Title\n\n{readme.BEGIN}\n") and text.endswith(f"\n{readme.END}\n\nThe end.\n")
    assert "old table" not in text
    assert "| gemm/square | 1 ms | 0.80 | 100 | 50 % | 12.3 | 3.00 | 0.80 (torch) |" in text
    assert "| gemm/tiny | 2 µs |" in text, "losing rows stay"
    assert "maps" not in text.split("Slower")[0], "only headlines"
    assert "Slower than the book's NumPy in 1 of 3 rows: gemm/tiny (0.50)." in text
    assert "Slower than the best peer in 1 of 1 rows: gemm/square (0.80)." in text
    assert "2026-01-02, Testing CPU (L1 Data 32K), 2 threads" in text and "200 GFLOP/s" in text
    assert ("gemm on 2 threads takes 0.50 of its time on one. A process that trains on 10,000 images at a time takes "
            "60 MB beside the images, 1.12 times as much as with 100 at a time; the steps add 20 MB of it, 1.50 times "
            "as much. 2,000 training steps leave the process 0.12 MB larger. training-step/vgg16-batch-64 takes "
            "4000 MB of memory for the whole process; required are 5000 MB, the aim is 3500 MB. "
            "inference/vgg16-batch-8 takes 3000 MB of memory beyond the network and the images; required are 5000 MB, "
            "the aim is 3500 MB. Denormal numbers make a training step 1.25 times as long. OpenVINO's default "
            "precision, here less than float32, is no peer of the table; "
            "against it fastconv is 0.75 (inference/batch-1) times as fast.") in text
    assert ("The Numba kernels reach 0.65 of this speed in 1 of 2 rows of convolutions and matrix products; below it: "
            "gemm/tiny (0.25)." in text)
    assert "The first prediction of a process takes 2.5 s with numba." in text
    assert "](out/speed_up.svg)" in text


def test_numba_shares_of_another_run(write_report, matplotlib, tmp_path):
    alone = run(row("gemm/square", "native", 1e-3, ratio_numba=1.0), row("gemm/other", "native", 1e-3, ratio_numba=9.0))
    code, text, _, _ = write_report(full(), "--numba", save(tmp_path / "alone.json", alone))
    assert code == 0
    assert "| gemm/square | 1 ms | 1.00 | 100 |" in text
    assert ("in 1 of 2 rows of convolutions and matrix products; below it: gemm/tiny (0.25). Numba's shares are from a "
            "run without the peers" in text.replace("\n\n", " "))
    assert "Numba's shares are from" not in write_report(full())[1]


def test_twice_gives_the_same(write_report, matplotlib):
    _, once, _, _ = write_report(full())
    assert write_report(full(), text=once)[1] == once


def test_failed_rows_are_named(write_report, matplotlib):
    _, text, out, _ = write_report(full(failed=({"row": "test[relu-native]", "reason": "Mismatch: off by 1"},)))
    assert "test[relu-native]: Mismatch: off by 1" in text
    assert "test[relu-native]: Mismatch: off by 1" in (out / "report.html").read_text()


def test_charts_and_page(write_report, matplotlib):
    _, _, out, _ = write_report(full())
    for name in ("speed_up", "roofline", "threads", "memory"):
        assert (out / f"{name}.png").read_bytes().startswith(b"\x89PNG")
        assert "<svg" in (out / f"{name}.svg").read_text()
    page = Page((out / "report.html").read_text())
    assert page.counts["svg"] == 4 and page.counts["table"] == 6
    assert not page.outside, "self-contained"
    assert page.viewport == "width=device-width, initial-scale=1"
    assert "relu_forward/<maps>" in page.text and not page.open
    assert "Denormal numbers make a training step 1.25 times as long." in page.text


def test_without_data_there_is_no_chart(write_report, matplotlib):
    write_report(full())
    _, text, out, _ = write_report(run(row("gemm/square", "native", 1e-3, ratio_book=2.0)))
    assert (out / "speed_up.svg").exists() and not (out / "memory.svg").exists(), "an earlier run's chart is gone"
    assert "memory.svg" not in text


def test_readme_is_left_alone_on_request(write_report, matplotlib):
    assert write_report(full(), "--no-readme")[:2] == (0, README)


@pytest.mark.parametrize("text", ["no markers", readme.BEGIN, f"{readme.END}\n{readme.BEGIN}",
                                  f"{readme.BEGIN}{readme.BEGIN}{readme.END}"])
def test_readme_without_its_markers(write_report, matplotlib, text):
    code, after, _, errors = write_report(full(), text=text)
    assert code == 1 and after == text and readme.BEGIN in errors


def test_without_matplotlib(write_report, monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    code, text, _, errors = write_report(full())
    assert code == 1 and text == README and "pip install -e '.[plot]'" in errors


@pytest.mark.parametrize("content, words", [
    (None, "there is no file"), ("{", "is no JSON"), ("[]", "is not from fastconv's benchmarks"),
    ('{"machine_info": {}, "benchmarks": []}', "is not from fastconv's benchmarks"),
    ('{"machine_info": {"fastconv": {}}, "fastconv": {"schema": 0}}', "another version of these benchmarks"),
    ('{"machine_info": {"fastconv": {}}, "benchmarks": [], "datetime": "", "fastconv": '
     '{"schema": 1, "limits": [], "threads": 1, "failed": []}}', "has no rows"),
])
def test_files_that_cannot_be_used(tmp_path, capsys, content, words):
    path = tmp_path / "r.json"
    if content is not None:
        path.write_text(content)
    assert main([str(path), "--output", str(tmp_path / "out"), "--no-readme"]) == 1
    error = capsys.readouterr().err
    assert words in error and str(path) in error
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("value, text", [(1.234, "1.23 s"), (0.01, "10 ms"), (1.5e-3, "1.5 ms"), (2.5e-6, "2.5 µs"),
                                         (9.996e-4, "1000 µs"), (1234.5, "1234 s")])
def test_seconds(value, text):
    assert seconds(value) == text


def test_times():
    assert [times(ratio) for ratio in (None, 0.123, 9.99, 12.34, 123.4)] == ["", "0.12", "9.99", "12.3", "123"]


class Page(HTMLParser):
    """What a test wants to know of a page: elements, links to elsewhere, text, elements left open."""

    def __init__(self, html):
        super().__init__()
        self.counts, self.outside, self.text, self.open, self.viewport = {}, [], "", [], None
        self.feed(html)

    def handle_starttag(self, tag, attributes):
        found = dict(attributes)
        self.counts[tag] = self.counts.get(tag, 0) + 1
        if tag in ("link", "img", "iframe") or (tag == "script" and "src" in found):
            self.outside.append(tag)
        if tag == "a" and not found.get("href", "").startswith("#"):
            self.outside.append(found)
        if found.get("name") == "viewport":
            self.viewport = found["content"]
        if tag in ("table", "section", "figure", "div", "body", "html", "svg", "nav"):
            self.open.append(tag)

    def handle_endtag(self, tag):
        if self.open and self.open[-1] == tag:
            self.open.pop()

    def handle_data(self, data):
        self.text += data
