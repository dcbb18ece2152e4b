"""fastconv evaluate."""
import json

import numpy as np
import pytest

from fastconv import load_mnist
from fastconv.cli import main
from fastconv.models import SMALL


def test_accuracy_and_loss(capsys, data, network):
    _, (x, t) = load_mnist(flatten=False, data_dir=data)
    assert main(["evaluate", "--params", "p.npz", "--data", data, "--json", "-v"]) == 0
    text = capsys.readouterr()
    result = json.loads(text.out)
    assert result["accuracy"] == network.accuracy(x, t) and result["images"] == 20
    assert result["loss"] == pytest.approx(float(network.last_layer.forward(network.predict(x), t)), rel=1e-5)
    assert [row["images"] for row in result["classes"]] == np.bincount(t, minlength=10).tolist()
    assert sum(row["correct"] for row in result["classes"]) == result["correct"]
    assert f"accuracy {result['accuracy']:.4f} ({result['correct']} of 20 images)" in text.err
    assert len(text.err.splitlines()) == 1 + 1 + 1 + 10


def test_for_people(capsys, data, network):
    assert main(["evaluate", "--params", "p.npz", "--data", data]) == 0
    text = capsys.readouterr()
    assert "of 20 images), loss" in text.out and len(text.out.splitlines()) == 2 and not text.err


@pytest.mark.parametrize("name, content, reason", [
    ("missing.pkl", None, "train a network first"),
    ("broken.pkl", b"not a pickle", "broken.pkl"),
    ("params.txt", b"", "expected .pkl, .npz, .safetensors"),
    ("other.pkl", b"\x80\x04}.", "other.pkl"),
])
def test_parameters_that_cannot_be_used(capsys, tmp_path, data, name, content, reason):
    if content is not None:
        (tmp_path / name).write_bytes(content)
    assert main(["evaluate", "--params", name, "--data", data]) == 1
    text = capsys.readouterr()
    assert text.err.startswith("fastconv evaluate: error: ") and reason in text.err and not text.out


@pytest.mark.parametrize("model", ["alexnet", "resnet20"])
def test_other_networks(capsys, data, model):
    _, (x, t) = load_mnist(flatten=False, data_dir=data)
    network = SMALL[model](input_dim=(1, 28, 28), num_classes=10, seed=3)
    network.save_params("other.npz")
    assert main(["evaluate", "--params", "other.npz", "--data", data, "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["accuracy"] == network.accuracy(x, t)
