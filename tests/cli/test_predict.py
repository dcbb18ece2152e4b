"""fastconv predict."""
import json
import os
import sys

import numpy as np
import pytest

from fastconv import load_mnist
from fastconv.cli import main

Image = pytest.importorskip("PIL.Image")


@pytest.fixture
def digits(tmp_path):
    """The excerpt's first three test images as PNG files."""
    x = load_mnist(normalize=False, flatten=False, source="excerpt")[1][0][:3]
    for number, image in enumerate(x):
        Image.fromarray(image[0]).save(tmp_path / f"{number}.png")
    return x


def test_class_and_probabilities(capsys, network, digits):
    assert main(["predict", "--params", "p.npz", "0.png", "1.png", "2.png", "--json"]) == 0
    text = capsys.readouterr()
    images = json.loads(text.out)["images"]
    scores = network.predict(digits / np.float32(255))
    for path, row, score in zip(("0.png", "1.png", "2.png"), images, scores, strict=True):
        expected = np.exp(score - score.max()) / np.exp(score - score.max()).sum()
        assert row["image"] == path and row["digit"] == score.argmax()
        np.testing.assert_allclose(row["probabilities"], expected, rtol=1e-5)
    assert len(text.err.splitlines()) == 4


def test_for_people(capsys, network, digits):
    assert main(["predict", "--params", "p.npz", "1.png"]) == 0
    header, line = capsys.readouterr().out.splitlines()
    digit, *probabilities, path = line.split()
    assert path == "1.png" and int(digit) == np.argmax([float(p) for p in probabilities])
    assert len(header.split()) == len(line.split()) == 12


def test_default_parameters_are_those_of_train(capsys, digits):
    assert main(["predict", "0.png"]) == 1
    assert "fastconv-run/params.pkl" in capsys.readouterr().err


def test_without_pillow(capsys, network, monkeypatch):
    monkeypatch.setitem(sys.modules, "PIL", None)
    assert main(["predict", "--params", "p.npz", "0.png"]) == 1
    assert "pip install pillow" in capsys.readouterr().err


def test_images_that_cannot_be_read(capsys, network, tmp_path):
    (tmp_path / "text.png").write_text("no image")
    (tmp_path / "half.png").write_bytes(b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR")
    for name in ("missing.png", "text.png", "half.png"):
        assert main(["predict", "--params", "p.npz", name]) == 1
        text = capsys.readouterr()
        assert f"cannot read {name}" in text.err and not text.out


def test_reads_handwriting_with_the_books_parameters(capsys, tmp_path):
    if "FASTCONV_BOOK_PARAMS" not in os.environ:
        pytest.skip("FASTCONV_BOOK_PARAMS does not name the book's deep_convnet_params.pkl")
    _, (x, t) = load_mnist(normalize=False, flatten=False, source="excerpt")
    names = []
    for number, image in enumerate(x[:100]):  # drawn in dark ink on a sheet of paper
        sheet = Image.new("L", (400, 300), 230)
        sheet.paste(Image.fromarray(230 - image[0] // 5 * 4).resize((200, 200)), (30 + number, 70))
        names.append(str(tmp_path / f"{number}.jpg"))
        sheet.save(names[-1])
    assert main(["predict", "--json", "--params", os.environ["FASTCONV_BOOK_PARAMS"], *names]) == 0
    images = json.loads(capsys.readouterr().out)["images"]
    assert sum(row["digit"] == label for row, label in zip(images, t, strict=False)) >= 97


@pytest.mark.parametrize("option", [["--top", "3"], ["--class-names", "names.txt"], ["--size", "64"],
                                    ["--preprocessing", "half"]], ids=lambda option: option[0])
def test_options_for_photos_without_a_model(option, capsys):
    with pytest.raises(SystemExit) as stopped:
        main(["predict", *option, "digit.png"])
    assert stopped.value.code == 2
    assert f"{option[0]} is for photos: it needs --model and --weights" in capsys.readouterr().err
