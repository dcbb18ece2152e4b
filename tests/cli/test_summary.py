"""fastconv summary."""
import json

import pytest

from fastconv.cli import main


def test_for_people(capsys):
    assert main(["summary", "resnet18", "--input-dim", "3", "64", "48", "--num-classes", "5"]) == 0
    text = capsys.readouterr()
    lines = text.out.splitlines()
    assert not text.err and lines[0].split() == ["node", "name", "layer", "reads", "output", "parameters",
                                                 "multiply-adds"]
    assert lines[2].split() == ["input", "64x48x3"]
    assert lines[3].split() == ["0", "conv1", "Convolution", "7x7/2", "input", "32x24x64", "9,408", "7,225,344"]
    assert lines[-3].split()[1:] == ["fc", "Affine", "5", "2,565", "2,560"]
    assert lines[-1].startswith("in all: 11,179,077 parameters")


def test_as_json(capsys):
    assert main(["summary", "googlenet", "--json"]) == 0
    text = capsys.readouterr()
    result = json.loads(text.out)
    assert result["parameters"] == 13_004_888 and result["multiply_adds"] == 1_498_376_192
    assert result["input_dim"] == [3, 224, 224]
    first, last = result["layers"][0], result["layers"][-1]
    assert first == {"node": 0, "name": "conv1.conv", "layer": "Convolution 7x7/2", "reads": [-1],
                     "output": [64, 112, 112], "parameters": 9408, "multiply_adds": 118_013_952}
    assert (last["name"], last["output"]) == ("fc", [1000])
    assert text.err.startswith("node")


@pytest.mark.parametrize("arguments, reason", [
    (["vgg15"], "there is no network 'vgg15'; there are: alexnet, alexnet-paper, vgg11"),
    (["alexnet", "--input-dim", "3", "20", "20"], "are the images of (3, 20, 20) too small?"),
])
def test_what_cannot_be(capsys, arguments, reason):
    assert main(["summary", *arguments]) == 1
    text = capsys.readouterr()
    assert text.err.startswith("fastconv summary: error: ") and reason in text.err and not text.out


@pytest.mark.parametrize("arguments", [[], ["vgg16", "--input-dim", "3", "224"], ["vgg16", "--num-classes", "0"]])
def test_a_wrong_command_line(arguments):
    with pytest.raises(SystemExit) as stop:
        main(["summary", *arguments])
    assert stop.value.code == 2
