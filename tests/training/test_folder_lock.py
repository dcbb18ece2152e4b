"""One run at a time in a folder: a second process is refused, until the first has ended, however it ends."""
from __future__ import annotations

import os
import signal
import subprocess
import sys
from contextlib import contextmanager

import pytest
from mnist_files import write_mnist
from toy_network import toy_trainer

from fastconv.cli import main
from fastconv.training.folder_lock import locked

pytest.importorskip("fcntl")
HOLDER = """
import sys
from fastconv.training.folder_lock import locked
with locked(sys.argv[1]):
    print("in", flush=True)
    sys.stdin.read()
"""


@contextmanager
def other_process(folder):
    """Let another process have the folder."""
    process = subprocess.Popen([sys.executable, "-c", HOLDER, folder], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                               text=True)
    try:
        assert process.stdout.readline() == "in\n"
        yield process
    finally:
        process.kill()
        process.communicate()


def files(folder):
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def test_a_trainer_keeps_off_until_the_other_process_has_ended(tmp_path):
    _, trainer = toy_trainer(checkpoint=tmp_path)
    with other_process(tmp_path) as other:
        with pytest.raises(FileExistsError, match=f"another process is training in {tmp_path}; wait until"):
            trainer.train()
        assert files(tmp_path) == {} and trainer.current_iter == 0
        other.communicate("")
        trainer.train()
    assert trainer.is_finished and "checkpoint.npz" in files(tmp_path)


def test_a_killed_process_leaves_the_folder_free(tmp_path):
    with other_process(tmp_path) as other:
        os.kill(other.pid, signal.SIGKILL)
        other.wait()
        with locked(tmp_path):
            assert refused(tmp_path)


@pytest.mark.parametrize("options", [["--output"], ["--overwrite", "--output"], ["--resume"]])
def test_fastconv_train_says_who_is_there(tmp_path, capsys, options):
    data, folder = tmp_path / "data", tmp_path / "run"
    data.mkdir()
    write_mnist(data, 60, 20)
    command = ["train", "--data", str(data), "--quiet"]
    assert main([*command, "--epochs", "1", "--output", str(folder)]) == 0
    before = files(folder)
    assert "checkpoint.npz" in before
    with other_process(folder):
        assert main([*command, *options, str(folder)]) == 1
    assert "another process is training in" in capsys.readouterr().err
    assert files(folder) == before


def test_blocks_of_one_process_nest(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with locked("."), locked(tmp_path):
        assert refused(tmp_path)
    assert not refused(tmp_path)


def test_a_forked_child_is_another_process(tmp_path):
    if not hasattr(os, "fork"):
        pytest.skip("this system has no fork")
    with locked(tmp_path):
        child = os.fork()
        if child == 0:
            try:
                with locked(tmp_path):
                    os._exit(1)
            except FileExistsError:
                os._exit(0)
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0


def refused(folder):
    """Say whether another process is kept out."""
    done = subprocess.run([sys.executable, "-c", HOLDER, folder], stdin=subprocess.DEVNULL, capture_output=True)
    return b"another process is training" in done.stderr
