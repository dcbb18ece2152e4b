"""fastconv train."""
import json
import signal
import sys

import numpy as np
import pytest

from fastconv import DeepConvNet, load_mnist, params, set_num_threads
from fastconv.cli import main


def train(data, *options):
    short = ["--epochs", "2", "--batch-size", "20", "--seed", "3"]
    return main(["train", "--data", data, *short, *options])


def test_trains_and_saves(capsys, data, tmp_path):
    set_num_threads(2)
    assert train(data, "--threads", "1") == 0
    text = capsys.readouterr()
    assert "60 training and 20 test images" in text.out and data in text.out
    assert "backend" in text.out and "1 threads" in text.out
    assert "epoch:2" in text.out and "images/s" in text.out and "saved in fastconv-run" in text.out
    assert not text.err

    run = tmp_path / "fastconv-run"
    assert {path.name for path in run.iterdir()} == {"params.pkl", "best.pkl", "checkpoint.npz", "history.jsonl",
                                                     "learning_curve.png"}
    history = [json.loads(line) for line in (run / "history.jsonl").read_text().splitlines()]
    assert [record["epoch"] for record in history] == [1, 2]
    assert {"loss", "train_acc", "test_acc", "seconds", "images_per_second"} < history[0].keys()
    assert (run / "learning_curve.png").read_bytes().startswith(b"\x89PNG")
    network = DeepConvNet()
    network.load_params(run / "params.pkl")
    _, (x, t) = load_mnist(flatten=False, data_dir=data)
    assert f"test accuracy {network.accuracy(x, t):.4f} on 20 images" in text.out


def test_json(capsys, data):
    assert train(data, "--json", "--output", "out") == 0
    text = capsys.readouterr()
    result = json.loads(text.out)
    assert result["epochs"] == 2 and result["steps"] == 6 and result["interrupted"] is False
    assert result["data_dir"] == data and result["output"] == "out"
    assert 0 <= result["test_accuracy"] <= 1 and result["images_per_second"] > 0
    assert result["config"]["threads"] == 1
    assert "epoch:1" in text.err and "test accuracy" in text.err


def test_quiet_leaves_out_the_progress(capsys, data):
    assert train(data, "--quiet") == 0
    text = capsys.readouterr().out
    assert "epoch:1" not in text and "test accuracy" in text and data in text


def test_a_seed_repeats_the_run(data, capsys):
    for folder, options in (("a", ()), ("b", ()), ("c", ("--seed", "4"))):
        assert train(data, "--output", folder, "--quiet", *options) == 0
    a, b, c = (params.load(f"{folder}/params.pkl") for folder in "abc")
    assert all(np.array_equal(a[key], b[key]) for key in a)
    assert not np.array_equal(a["W1"], c["W1"])


def test_optimizer_and_learning_rate(data, monkeypatch, capsys):
    seen = []

    class Stop(Exception):
        pass

    def trainer(*_, **options):
        seen.append((options["optimizer"], options["optimizer_param"]))
        raise Stop

    monkeypatch.setattr("fastconv.trainer.Trainer", trainer)
    for options in ((), ("--optimizer", "momentum", "--lr", "0.5")):
        with pytest.raises(Stop):
            train(data, *options)
    assert seen == [("Adam", {}), ("momentum", {"lr": 0.5})]


def test_a_diverged_run_says_where_and_why(data, capsys):
    with np.errstate(all="ignore"):
        assert train(data, "--optimizer", "SGD", "--lr", "1e30", "--json", "--quiet") == 1
    text = capsys.readouterr()
    assert "fastconv train: error: Trainer: the loss is nan at step 2, in epoch 1" in text.err and not text.out
    assert "smaller learning rate" in text.err and "fastconv-run/checkpoint.npz, is as it was" in text.err


def test_a_curve_that_cannot_be_written_hides_no_result(data, capsys, tmp_path):
    (tmp_path / "out" / "learning_curve.png").mkdir(parents=True)
    assert train(data, "--output", "out", "--json", "--quiet") == 1
    text = capsys.readouterr()
    assert 0 <= json.loads(text.out)["test_accuracy"] <= 1
    assert "learning_curve.png" in text.err


def test_without_matplotlib(data, monkeypatch, capsys, tmp_path):
    (tmp_path / "fastconv-run").mkdir()
    (tmp_path / "fastconv-run" / "learning_curve.png").write_text("of an earlier run")
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    assert train(data) == 0
    assert "pip install matplotlib" in capsys.readouterr().out
    assert not (tmp_path / "fastconv-run" / "learning_curve.png").exists()


def test_ctrl_c_saves_what_was_trained(data, monkeypatch, capsys):
    save = DeepConvNet.save_params

    def save_and_press(network, path):
        save(network, path)
        monkeypatch.setattr(DeepConvNet, "save_params", save)
        signal.raise_signal(signal.SIGINT)

    monkeypatch.setattr(DeepConvNet, "save_params", save_and_press)
    assert main(["train", "--data", data, "--epochs", "5", "--json"]) == 130
    text = capsys.readouterr()
    result = json.loads(text.out)
    assert result["interrupted"] is True and result["epochs"] == 1 and result["test_accuracy"] is None
    assert "interrupted after 1 of 5 epochs (1 steps); what was trained is saved" in text.err
    assert set(params.load("fastconv-run/params.pkl")) == set(DeepConvNet().params)


def test_auto_says_that_it_takes_the_excerpt(monkeypatch, capsys):
    def stop():
        raise KeyboardInterrupt

    monkeypatch.setattr("fastconv.config.config", stop)
    assert main(["train"]) == 130
    text = capsys.readouterr().out
    assert "MNIST is out of reach: no intact MNIST in " in text
    assert "data: excerpt of MNIST, 4,000 training and 1,000 test images" in text


def test_an_unwritable_output_folder_is_found_at_once(capsys, tmp_path):
    (tmp_path / "out").write_text("a file")
    assert main(["train", "--data", "no such folder", "--output", "out/run"]) == 1
    assert "cannot write to the output folder out/run" in capsys.readouterr().err


@pytest.mark.parametrize("options, reason", [
    (["--data", "nowhere"], "no train-images-idx3-ubyte in nowhere"),
    (["--data", "mnist"], "source='excerpt'"),
])
def test_missing_data(capsys, options, reason):
    assert main(["train", *options]) == 1
    text = capsys.readouterr()
    assert reason in text.err and text.err.startswith("fastconv train: error: ") and not text.out


def test_a_data_set_without_images(capsys, tmp_path):
    from mnist_files import write_mnist
    write_mnist(tmp_path, 0, 0)
    assert main(["train", "--data", str(tmp_path)]) == 1
    assert "there are no images" in capsys.readouterr().err
