"""fastconv bench."""
import json

import numpy as np
import pytest

from fastconv import dispatch
from fastconv.cli import bench, main


@pytest.fixture(autouse=True)
def in_a_hurry(monkeypatch):
    monkeypatch.setattr(bench, "SECONDS", 0.01)


def test_for_people(capsys):
    assert main(["bench", "--batch", "2"]) == 0
    text = capsys.readouterr().out
    for words in ("measured limits:", "speed-up over NumPy", "convolution, forward", "max pooling", "matrix product",
                  "DeepConvNet training step, 2 images", "layer by layer", "0 Convolution", "15 Affine", "Adam"):
        assert words in text


def test_json_and_html(capsys, tmp_path):
    assert main(["bench", "--batch", "2", "--threads", "1", "--json", "--html", "page.html"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["config"]["threads"] == found["limits"]["threads"] == 1
    assert len(found["speed_up"]) == 6
    for row in found["speed_up"]:
        assert row["times"] == pytest.approx(row["numpy_ms"] / row["fastconv_ms"])
    assert sum(row["share"] for row in found["profile"]) == pytest.approx(1)
    assert sum(row["ms"] for row in found["profile"]) == pytest.approx(found["step_ms"])
    page = (tmp_path / "page.html").read_text()
    assert page.startswith("<!doctype html>") and "0 Convolution" in page and 'name="viewport"' in page


def test_a_wrong_kernel_gets_no_time(capsys, monkeypatch):
    def wrong(x, weight, bias, stride, pad, dilation, groups, out, n_threads):
        out[...] = np.nan

    real = dispatch.kernel
    monkeypatch.setattr(dispatch, "kernel", lambda op, backend: wrong if (op, backend) == (
        "convolution_forward", dispatch.backend()) else real(op, backend))
    assert main(["bench", "--batch", "2"]) == 1
    text = capsys.readouterr()
    assert "convolution, forward: the compiled kernels and the reference disagree" in text.err
    assert "ms" not in text.out.split("NumPy (float32 reference)")[1]


def test_without_compiled_kernels(capsys, monkeypatch):
    monkeypatch.setattr(dispatch, "BACKENDS", {"reference": dispatch.BACKENDS["reference"]})
    with dispatch.use("reference"):
        assert main(["bench", "--batch", "2", "--json"]) == 0
    text = capsys.readouterr()
    assert json.loads(text.out)["speed_up"] == [] and "not installed" in text.err


def test_no_folder_for_the_page(capsys):
    assert main(["bench", "--html", "nowhere/page.html"]) == 1
    assert "there is no folder nowhere" in capsys.readouterr().err


def test_wrong_batch(capsys):
    with pytest.raises(SystemExit) as stop:
        main(["bench", "--batch", "0"])
    assert stop.value.code == 2


def test_help_has_examples(capsys):
    with pytest.raises(SystemExit) as stop:
        main(["bench", "--help"])
    assert stop.value.code == 0 and "  fastconv bench --html" in capsys.readouterr().out
