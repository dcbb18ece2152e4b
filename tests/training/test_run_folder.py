"""The folder of a run: history, best parameters, runs that are not finished, and a disk that is full."""
from __future__ import annotations

import errno
import json
import os
import resource
import signal

import numpy as np
import pytest
from toy_network import ToyNetwork, toy_trainer

from fastconv import DeepConvNet, params
from fastconv.training.run_folder import NotWritten

FILES = {"checkpoint.npz", "best.pkl", "history.jsonl"}


class Improving(ToyNetwork):
    """A network with these test accuracies, one after the other."""

    def __init__(self, *accuracies):
        super().__init__()
        self.accuracies = list(accuracies)

    def accuracy(self, x, t):
        super().accuracy(x, t)
        return self.accuracies[min(len(self.evaluated) // 2, len(self.accuracies)) - 1] if len(x) == 7 else 0.5


class Stopping:
    def __init__(self, step):
        self.step = step

    def on_step(self, trainer):
        if trainer.current_iter == self.step:
            os.kill(os.getpid(), signal.SIGINT)


def history(folder):
    return [json.loads(line)["epoch"] for line in (folder / "history.jsonl").read_text().splitlines()]


def unfinished(folder, step=7, **more):
    network, trainer = toy_trainer(checkpoint=folder, callbacks=[Stopping(step)], **more)
    trainer.train()
    assert trainer.interrupted and trainer.current_iter == step
    return trainer


def test_the_folder_of_a_run(tmp_path):
    folder = tmp_path / "a" / "b"
    _, trainer = toy_trainer(checkpoint=folder)
    assert folder.is_dir()
    trainer.train()
    assert {path.name for path in folder.iterdir()} == FILES and trainer.unwritten == {}
    lines = [json.loads(line) for line in (folder / "history.jsonl").read_text().splitlines()]
    assert lines == trainer.history and [line["epoch"] for line in lines] == [1, 2, 3]


def test_each_line_is_there_when_its_epoch_is_done(tmp_path):
    seen = []
    _, trainer = toy_trainer(checkpoint=tmp_path, on_epoch=lambda record: seen.append(history(tmp_path)))
    trainer.train()
    assert seen == [[1], [1, 2], [1, 2, 3]]


@pytest.mark.parametrize("accuracies, best", [
    ((0.5, 0.7, 0.6), 2), ((0.5, 0.5, 0.5), 1), ((float("nan"), 0.1, 0.2), 3), ((0.9, float("nan"), 0.2), 1)])
def test_the_best_parameters_are_kept(tmp_path, accuracies, best):
    network, trainer = toy_trainer(Improving(*accuracies), checkpoint=tmp_path)
    trainer.train()
    assert trainer.best_epoch == best
    np.testing.assert_allclose(params.load(tmp_path / "best.pkl")["w"], -0.05 * best)


def test_the_best_parameters_of_a_network_are_for_load_params(tmp_path):
    x, t = np.random.default_rng(0).random((6, 1, 28, 28), np.float32), np.arange(6)
    from fastconv import Trainer
    network = DeepConvNet(seed=1)
    Trainer(network, x, t, x, t, 1, 3, verbose=False, checkpoint=tmp_path).train()
    other = DeepConvNet(seed=2)
    other.load_params(tmp_path / "best.pkl")
    assert all(np.array_equal(other.params[key], value) for key, value in network.params.items())


@pytest.mark.parametrize("every, expected", [(None, {0, 5, 10, 15}), (4, {0, 4, 8, 12, 15}), (1, set(range(16)))])
def test_when_checkpoints_are_written(tmp_path, monkeypatch, every, expected):
    written, replace = [], os.replace
    _, trainer = toy_trainer(checkpoint=tmp_path, every=every)

    def replacing(old, new):
        replace(old, new)
        if str(new).endswith("checkpoint.npz"):
            written.append(trainer.current_iter)

    monkeypatch.setattr(os, "replace", replacing)
    trainer.train()
    assert written == sorted(expected)  # each once


def test_steps_without_train_are_kept_too(tmp_path):
    _, trainer = toy_trainer(checkpoint=tmp_path, every=2)
    for _ in range(4):
        trainer.train_step()
    _, other = toy_trainer(checkpoint=tmp_path)
    other.resume()
    assert other.current_iter == 4
    other.train()
    assert other.current_iter == 15


def test_lines_that_came_after_the_checkpoint_are_dropped_and_none_is_lost(tmp_path):
    unfinished(tmp_path, step=7)
    path = tmp_path / "history.jsonl"
    line = path.read_text()
    for content in (line + '{"epoch": 2}\n{"epo', "", line[:20]):
        path.write_text(content)
        _, trainer = toy_trainer(checkpoint=tmp_path)
        trainer.resume()
        assert path.read_text() == line
    path.unlink()
    trainer.resume()
    assert path.read_text() == line
    trainer.train()
    assert history(tmp_path) == [1, 2, 3]


def test_a_run_that_is_not_finished_is_not_replaced(tmp_path):
    unfinished(tmp_path)
    before = {path: path.read_bytes() for path in tmp_path.iterdir()}
    assert len(before) == 3
    network, trainer = toy_trainer(checkpoint=tmp_path)
    for start in (trainer.train, trainer.train_step):
        with pytest.raises(FileExistsError, match=r"checkpoint.npz is of a run that is not finished \(1 of 3 epochs, "
                                                  r"7 steps\); go on with it .*--resume.*--overwrite"):
            for _ in range(5):
                start()
    assert {path: path.read_bytes() for path in tmp_path.iterdir()} == before
    (tmp_path / "checkpoint.npz").write_bytes(b"damaged")
    with pytest.raises(FileExistsError, match="checkpoint.npz of another run cannot be read"):
        toy_trainer(checkpoint=tmp_path)[1].train()


@pytest.mark.parametrize("finish", [True, False])
def test_a_run_that_is_finished_or_has_not_begun_is_replaced(tmp_path, finish):
    if finish:
        toy_trainer(checkpoint=tmp_path)[1].train()
    else:
        network, trainer = toy_trainer(checkpoint=tmp_path)
        network.on_gradient = lambda call: 1 / 0
        with pytest.raises(ZeroDivisionError):
            trainer.train()
        assert (tmp_path / "checkpoint.npz").exists()
    seen = []
    network, trainer = toy_trainer(checkpoint=tmp_path, epochs=1)
    network.on_gradient = lambda call: seen.append(set(os.listdir(tmp_path)))
    trainer.train()
    assert seen[0] == {"checkpoint.npz"}  # nothing of the earlier run beside the new one
    assert history(tmp_path) == [1]


def test_what_a_killed_process_left_is_removed(tmp_path):
    unfinished(tmp_path)
    for name in FILES:
        (tmp_path / f".{name}.0a1b2c3d.tmp").write_text("half")
    (tmp_path / ".notes.0a1b2c3d.tmp").write_text("somebody's")
    _, trainer = toy_trainer(checkpoint=tmp_path)
    trainer.resume()
    assert set(os.listdir(tmp_path)) == FILES | {".notes.0a1b2c3d.tmp"}


# a full disk


def full(monkeypatch, name, times):
    """Let writing of a file fail so often."""
    fsync, left = os.fsync, [times]

    def no_space(number):
        if left[0] and f".{name}." in os.readlink(f"/proc/self/fd/{number}"):
            left[0] -= 1
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        fsync(number)

    monkeypatch.setattr(os, "fsync", no_space)


@pytest.mark.parametrize("name", ["checkpoint.npz", "best.pkl"])
def test_a_full_disk_is_a_warning_and_the_training_goes_on(tmp_path, monkeypatch, name):
    unfinished(tmp_path, 7)
    before = (tmp_path / name).read_bytes()
    _, trainer = toy_trainer(Improving(0.1, 0.2, 0.3), checkpoint=tmp_path)
    trainer.resume()
    full(monkeypatch, name, 99)
    with pytest.warns(NotWritten, match=rf"{tmp_path}/{name} could not be written: .*No space left on device; the tr"):
        trainer.train()
    assert trainer.current_iter == 15 and trainer.final_test_acc is not None
    assert (tmp_path / name).read_bytes() == before and set(os.listdir(tmp_path)) == FILES
    assert list(trainer.unwritten) == [name] and trainer.unwritten[name].errno == errno.ENOSPC


def test_what_is_written_later_is_no_longer_unwritten(tmp_path, monkeypatch):
    _, trainer = toy_trainer(checkpoint=tmp_path)
    full(monkeypatch, "checkpoint.npz", 2)
    with pytest.warns(NotWritten) as warned:
        trainer.train()
    assert len([one for one in warned if one.category is NotWritten]) == 2 and trainer.unwritten == {}
    other = toy_trainer()[1]
    other.resume(tmp_path)
    assert other.current_iter == 15


def test_a_line_that_did_not_fit_is_written_with_the_next(tmp_path):
    _, trainer = toy_trainer(checkpoint=tmp_path)
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)

    def limit(size):
        resource.setrlimit(resource.RLIMIT_FSIZE, (size, limits[1]))

    append, lines = trainer._folder._append, []

    def appending(line):
        lines.append(line)
        try:
            if len(lines) == 2:
                limit((tmp_path / "history.jsonl").stat().st_size + 9)  # a part of the line
            append(line)
        finally:
            limit(limits[0])

    trainer._folder._append = appending
    with pytest.warns(NotWritten, match="history.jsonl could not be written: File too large"):
        trainer.train()
    assert history(tmp_path) == [1, 2, 3] and len(lines) == 2 and trainer.unwritten == {}


def test_a_folder_that_cannot_be_made(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(OSError, match="file/run"):
        toy_trainer(checkpoint=tmp_path / "file" / "run")
