"""The command as a whole: help, version, exit codes, info."""
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

import fastconv
from fastconv.cli import main
from fastconv.config import config, package_version


def test_python_m_fastconv():
    environment = os.environ | {"PYTHONPATH": str(Path(fastconv.__file__).parents[1])}
    command = [sys.executable, "-m", "fastconv", "--help"]
    run = subprocess.run(command, capture_output=True, text=True, env=environment)
    assert run.returncode == 0 and not run.stderr
    for word in ("usage: fastconv", "train", "evaluate", "predict", "summary", "info"):
        assert word in run.stdout


@pytest.mark.parametrize("command", ["train", "evaluate", "predict", "summary", "info"])
def test_help_has_examples(capsys, command):
    with pytest.raises(SystemExit) as stop:
        main([command, "--help"])
    assert stop.value.code == 0
    text = capsys.readouterr().out
    assert "examples:" in text and f"  fastconv {command}" in text and "--json" in text


def test_version(capsys):
    with pytest.raises(SystemExit) as stop:
        main(["--version"])
    assert stop.value.code == 0
    assert capsys.readouterr().out.strip() == f"fastconv {package_version()}"


@pytest.mark.parametrize("arguments, reason", [
    ([], "COMMAND"),
    (["fly"], "invalid choice: 'fly'"),
    (["train", "--epochs", "0"], "'0' is not a whole number from 1 on"),
    (["train", "--batch-size", "ten"], "'ten' is not a whole number"),
    (["train", "--threads", "0"], "'0' is not a whole number from 1 on"),
    (["train", "--lr", "nan"], "'nan' is not a positive number"),
    (["train", "--lr", "fast"], "'fast' is not a positive number"),
    (["train", "--seed", "x"], "'x' is not a whole number from 0 on"),
    (["train", "--optimizer", "LBFGS"], "'LBFGS' is none of SGD, Momentum"),
    (["predict"], "IMAGE"),
])
def test_a_wrong_command_line_is_2(capsys, arguments, reason):
    with pytest.raises(SystemExit) as stop:
        main(arguments)
    assert stop.value.code == 2
    assert reason in capsys.readouterr().err


def test_info(capsys):
    assert main(["info"]) == 0
    text = capsys.readouterr().out
    assert "backend" in text and config()["platform"] in text
    assert main(["info", "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == config()


@pytest.mark.parametrize("name, reason", [
    ("FASTCONV_BACKEND", "there is no backend 'fast'"),
    ("FASTCONV_MAX_ISA", "the levels are: baseline"),
])
def test_a_wrong_environment_is_told_without_a_traceback(name, reason):
    environment = os.environ | {"PYTHONPATH": str(Path(fastconv.__file__).parents[1]), "FASTCONV_BACKEND": ""}
    run = subprocess.run([sys.executable, "-m", "fastconv", "info"], capture_output=True, text=True,
                         env=environment | {name: "fast"})
    assert run.returncode == 1 and not run.stdout
    assert run.stderr.startswith("fastconv info: error: ") and reason in run.stderr


def test_ctrl_c_is_130(capsys, monkeypatch):
    def stop():
        raise KeyboardInterrupt

    monkeypatch.setattr("fastconv.config.show_config", stop)
    assert main(["info"]) == 130
    assert capsys.readouterr().err == "fastconv info: interrupted\n"
