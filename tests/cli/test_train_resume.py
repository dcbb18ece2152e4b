"""fastconv train: runs that end before their time and go on later, other models, schedules, full disks."""
import errno
import json
import os
import signal
import subprocess
import sys

import numpy as np
import pytest
from mnist_files import write_mnist

from fastconv import DeepConvNet, params
from fastconv.cli import main
from fastconv.kernels import settings
from fastconv.models import SMALL
from fastconv.training import run_folder
from fastconv.training.checkpoint import read_checkpoint
from fastconv.winograd import use_winograd

SHORT = ["--epochs", "3", "--batch-size", "20", "--seed", "3", "--quiet"]


def train(*options):
    return main(["train", *options])


def at_epoch(monkeypatch, epoch, number):
    """Let the process get a signal when the parameters of an epoch were saved."""
    save, calls = DeepConvNet.save_params, []

    def saving(network, path):
        save(network, path)
        calls.append(path)
        if len(calls) == epoch:
            monkeypatch.setattr(DeepConvNet, "save_params", save)
            signal.raise_signal(number)

    monkeypatch.setattr(DeepConvNet, "save_params", saving)


def same_parameters(a, b):
    a, b = params.load(a), params.load(b)
    return a.keys() == b.keys() and all(np.array_equal(a[key], b[key]) for key in a)


@pytest.mark.parametrize("number, code", [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_an_interrupted_run_goes_on_with_its_own_settings(data, monkeypatch, capsys, number, code):
    options = ["--data", os.path.relpath(data), *SHORT, "--optimizer", "Momentum", "--lr", "0.02"]
    options += ["--schedule", "cosine", "--clip", "2"]
    assert train(*options, "--output", "whole") == 0
    at_epoch(monkeypatch, 2, number)
    assert train(*options, "--output", "run", "--json") == code
    text = capsys.readouterr()
    assert json.loads(text.out.splitlines()[-1])["interrupted"] is True
    assert "interrupted after 2 of 3 epochs (6 steps)" in text.err and "fastconv train --resume run" in text.err
    kept = read_checkpoint("run/checkpoint.npz").run["settings"]
    assert (kept["optimizer"], kept["lr"], kept["schedule"], kept["clip"]) == ("Momentum", 0.02, "cosine", 2)

    os.mkdir("elsewhere")
    monkeypatch.chdir("elsewhere")
    assert train("--resume", "../run") == 0
    assert "resumed after 2 of 3 epochs (6 steps)" in capsys.readouterr().out
    assert same_parameters("../run/params.pkl", "../whole/params.pkl")
    lines = [json.loads(line)["epoch"] for line in open("../run/history.jsonl")]
    assert lines == [1, 2, 3]


def test_a_killed_process_goes_on(data, capsys):
    program = ("import os, sys; from fastconv.cli import main; from fastconv import Trainer\n"
               "step = Trainer.train_step\n"
               "def stepping(trainer):\n"
               "    step(trainer)\n"
               "    if trainer.current_iter == 5: os.kill(os.getpid(), 9)\n"
               "Trainer.train_step = stepping\n"
               "main(sys.argv[1:])")
    options = ["--data", data, *SHORT, "--checkpoint-every", "2"]
    done = subprocess.run([sys.executable, "-c", program, "train", *options, "--output", "run"], timeout=120,
                          env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}, stdout=subprocess.DEVNULL)
    assert done.returncode == -signal.SIGKILL
    assert read_checkpoint("run/checkpoint.npz").run["steps_done"] == 4
    assert train("--resume", "run", "--quiet") == 0
    assert train(*options, "--output", "whole") == 0
    assert same_parameters("run/params.pkl", "whole/params.pkl")
    assert same_parameters("run/best.pkl", "whole/best.pkl")


def test_a_finished_run_says_so_and_trains_on_with_more_epochs(data, capsys):
    assert train("--data", data, *SHORT[2:], "--epochs", "2", "--output", "run") == 0
    before = params.load("run/params.pkl")
    assert train("--resume", "run") == 0
    assert "resumed a run that is finished, after 2 of 2 epochs" in capsys.readouterr().out
    assert all(np.array_equal(before[key], value) for key, value in params.load("run/params.pkl").items())
    assert train("--resume", "run", "--epochs", "3", "--quiet") == 0
    assert train("--data", data, *SHORT, "--output", "whole") == 0
    assert same_parameters("run/params.pkl", "whole/params.pkl")
    assert train("--resume", "run", "--epochs", "2") == 1
    assert "the run in run has 3 epochs already; --epochs is how many it has in the end" in capsys.readouterr().err


def test_other_settings_do_not_go_with_resume(data, capsys):
    assert train("--data", data, *SHORT, "--output", "run") == 0
    before = {name: open(f"run/{name}", "rb").read() for name in os.listdir("run")}
    assert train("--resume", "run", "--lr", "0.1", "--model", "vgg", "--no-winograd", "--overwrite") == 1
    assert ("--resume goes on with the settings of that run; leave out --no-winograd, --model, --lr, --overwrite"
            in capsys.readouterr().err)
    assert {name: open(f"run/{name}", "rb").read() for name in os.listdir("run")} == before
    with pytest.raises(SystemExit):
        train("--resume", "run", "--output", "other")


def test_what_cannot_be_resumed(data, capsys, tmp_path):
    assert train("--resume", "nowhere") == 1
    assert "there is no nowhere/checkpoint.npz" in capsys.readouterr().err and not os.path.exists("nowhere")
    assert train("--data", data, *SHORT, "--output", "run") == 0
    assert train("--resume", "run", "--data", "excerpt") == 1
    assert "train_size is 60, expected this trainer's 4000" in capsys.readouterr().err
    entries = params.load("run/checkpoint.npz")
    run = json.loads(entries["run"].tobytes())
    for changed, reason in (({}, " are not those of fastconv train"),
                            (run["settings"] | {"epochs": "many"}, ": epochs: 'many' is not a whole number"),
                            (run["settings"] | {"epochs": None}, ": epochs is None"),
                            (run["settings"] | {"data": 3}, ": data is 3"),
                            (run["settings"] | {"model": "../x"}, ": model: '../x' is none of")):
        text = json.dumps(run | {"settings": changed}).encode()
        params.save("run/checkpoint.npz", entries | {"run": np.frombuffer(text, np.uint8)})
        assert train("--resume", "run") == 1
        assert f"run/checkpoint.npz, entry 'run': settings{reason}" in capsys.readouterr().err
    (tmp_path / "run" / "checkpoint.npz").write_bytes(b"PK")
    assert train("--resume", "run") == 1
    assert "run/checkpoint.npz" in capsys.readouterr().err


def test_a_run_that_is_not_finished_is_replaced_only_on_demand(data, monkeypatch, capsys):
    at_epoch(monkeypatch, 1, signal.SIGINT)
    assert train("--data", data, *SHORT) == 130
    before = {name: open(f"fastconv-run/{name}", "rb").read() for name in os.listdir("fastconv-run")}
    assert train("--data", data, *SHORT) == 1
    text = capsys.readouterr().err
    assert "a run that is not finished (1 of 3 epochs, 3 steps)" in text
    assert "fastconv train --resume fastconv-run" in text and "--overwrite" in text
    assert {name: open(f"fastconv-run/{name}", "rb").read() for name in os.listdir("fastconv-run")} == before
    assert train("--data", data, *SHORT, "--overwrite") == 0
    assert train("--data", data, *SHORT) == 0  # one that is finished makes room


@pytest.mark.parametrize("model", [name for name in SMALL if name not in ("resnet32", "resnet56")])
def test_models(data, model, capsys):
    one = ["--data", data, "--epochs", "1", "--batch-size", "60", "--seed", "1", "--model", model, "--json", "--quiet"]
    assert train(*one) == 0
    result = json.loads(capsys.readouterr().out)
    assert result["model"] == model and result["steps"] == 1 and result["best_epoch"] == 1
    SMALL[model](input_dim=(1, 28, 28), num_classes=10).load_params("fastconv-run/params.pkl")
    assert train("--resume", "fastconv-run", "--quiet") == 0


@pytest.mark.parametrize("command", ["train", "evaluate"])
@pytest.mark.parametrize("sizes", [(0, 20), (60, 0)])
def test_data_without_images(tmp_path, network, capsys, command, sizes):
    write_mnist(tmp_path, *sizes)
    assert main([command, "--data", ".", *["--params", "p.npz"] * (command == "evaluate")]) == 1
    assert "there are no images in " in capsys.readouterr().err


def test_patience(data, capsys):
    options = ["--data", data, "--epochs", "9", "--batch-size", "60", "--seed", "1", "--patience", "1"]
    assert train(*options, "--optimizer", "SGD", "--lr", "1e-12") == 0  # nothing is learned
    assert "stopped after 2 of 9 epochs; saved in" in capsys.readouterr().out


def test_patience_checkpoints_and_winograd_stay_those_of_the_run(data, monkeypatch, capsys):
    options = ["--data", data, "--epochs", "9", "--batch-size", "20", "--seed", "1", "--patience", "1"]
    options += ["--optimizer", "SGD", "--lr", "1e-12", "--checkpoint-every", "2", "--no-winograd", "--quiet"]
    steps, write = [], run_folder.write_checkpoint
    monkeypatch.setattr(run_folder, "write_checkpoint",
                        lambda path, trainer: (steps.append(trainer.current_iter), write(path, trainer)))
    at_epoch(monkeypatch, 1, signal.SIGINT)
    with use_winograd(True):
        assert train(*options, "--output", "run") == 130
        assert not settings.winograd and steps == [0, 2, 3]
    with use_winograd(True):
        assert train("--resume", "run") == 0
        assert not settings.winograd and steps == [0, 2, 3, 4, 6]
    assert "stopped after 2 of 9 epochs; saved in" in capsys.readouterr().out


@pytest.mark.parametrize("option, value", [("--model", "resnet50"), ("--schedule", "linear"), ("--clip", "0"),
                                           ("--patience", "0"), ("--checkpoint-every", "no")])
def test_wrong_options(option, value, capsys):
    with pytest.raises(SystemExit) as ended:
        train(option, value)
    assert ended.value.code == 2 and option in capsys.readouterr().err


@pytest.mark.parametrize("name", ["checkpoint.npz", "params.pkl"])
@pytest.mark.parametrize("stays_full", [True, False])
def test_a_full_disk(data, capsys, monkeypatch, name, stays_full):
    fsync, failed = os.fsync, []

    def no_space(number):
        if f".{name}." in os.readlink(f"/proc/self/fd/{number}") and (stays_full or not failed):
            failed.append(1)
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        fsync(number)

    monkeypatch.setattr(os, "fsync", no_space)
    assert train("--data", data, *SHORT, "--json") == (1 if stays_full else 0)
    text = capsys.readouterr()
    assert json.loads(text.out)["epochs"] == 3
    assert (f"fastconv train: warning: fastconv-run/{name} could not be written: " in text.err
            and "No space left on device" in text.err)
    assert (f"error: fastconv-run/{name} is not from the end of this run" in text.err) is stays_full


@pytest.mark.parametrize("option", ["--output", "--resume"])
def test_a_folder_without_a_name(option, capsys):
    before = os.listdir()
    with pytest.raises(SystemExit) as ended:
        main(["train", option, ""])
    assert ended.value.code == 2 and f"{option}: the name of the folder is empty" in capsys.readouterr().err
    assert os.listdir() == before
