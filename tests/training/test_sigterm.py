"""SIGTERM ends a run with checkpoints after the step that is running; without, it is left alone."""
from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading

import numpy as np
import pytest
from toy_network import toy_trainer


def terminate(*_):
    os.kill(os.getpid(), signal.SIGTERM)


def at(n, action):
    return lambda call: action() if call == n else None


@pytest.mark.parametrize("evaluates", [False, True])
def test_sigterm_ends_after_the_step_with_a_checkpoint(tmp_path, evaluates):
    network, trainer = toy_trainer(checkpoint=tmp_path, every=3)
    if evaluates:  # the first one, after step 5
        network.on_accuracy = at(1, lambda: (terminate(), pytest.fail("not left at once")))
    else:
        network.on_gradient = at(7, terminate)
    with pytest.raises(SystemExit) as ended:
        trainer.train()
    step = 5 if evaluates else 7
    assert ended.value.code == 143 and trainer.interrupted and trainer.current_iter == step
    assert signal.getsignal(signal.SIGTERM) is signal.SIG_DFL
    np.testing.assert_allclose(network.params["w"], -0.01 * step)

    network, other = toy_trainer(checkpoint=tmp_path)
    other.resume()
    assert other.current_iter == step
    other.train()
    assert other.current_iter == 15 and other.current_epoch == 3
    np.testing.assert_allclose(network.params["w"], -0.15)


@pytest.mark.parametrize("step", [7, 15])  # that of an interrupted epoch, or the last one
def test_sigterm_while_a_checkpoint_is_written(tmp_path, monkeypatch, step):
    replace, pressed = os.replace, []

    def replacing(old, new):
        if str(new).endswith("checkpoint.npz") and trainer.current_iter == step:
            pressed.append(terminate())
        replace(old, new)

    network, trainer = toy_trainer(checkpoint=tmp_path)
    network.on_gradient = at(7, lambda: step == 7 and os.kill(os.getpid(), signal.SIGINT))
    monkeypatch.setattr(os, "replace", replacing)
    with pytest.raises(SystemExit):
        trainer.train()
    assert pressed and set(os.listdir(tmp_path)) == {"checkpoint.npz", "best.pkl", "history.jsonl"}
    other = toy_trainer()[1]
    other.resume(tmp_path)
    assert other.current_iter == step


def test_a_second_sigterm_leaves_at_once(tmp_path):
    network, trainer = toy_trainer(checkpoint=tmp_path)
    network.on_gradient = at(2, lambda: (terminate(), terminate()))
    with pytest.raises(SystemExit) as ended:
        trainer.train()
    assert ended.value.code == 143 and trainer.current_iter == 1
    assert signal.getsignal(signal.SIGTERM) is signal.SIG_DFL


def test_ctrl_c_writes_a_checkpoint_too(tmp_path):
    network, trainer = toy_trainer(checkpoint=tmp_path)
    network.on_gradient = at(7, lambda: os.kill(os.getpid(), signal.SIGINT))
    trainer.train()
    assert trainer.interrupted
    other = toy_trainer()[1]
    other.resume(tmp_path)
    assert other.current_iter == 7


def test_without_checkpoints_sigterm_kills():
    program = ("import os, signal, sys; sys.path.insert(0, sys.argv[1]); from toy_network import toy_trainer;"
               "network, trainer = toy_trainer();"
               "network.on_gradient = lambda call: os.kill(os.getpid(), signal.SIGTERM); trainer.train()")
    folder = os.path.dirname(os.path.dirname(__file__))
    assert subprocess.run([sys.executable, "-c", program, folder], timeout=60).returncode == -signal.SIGTERM


def test_an_own_handler_and_other_threads_are_left_alone(tmp_path):
    came = []
    before = signal.signal(signal.SIGTERM, lambda *_: came.append(1))
    try:
        network, trainer = toy_trainer(checkpoint=tmp_path / "own")
        network.on_gradient = at(2, terminate)
        trainer.train()
    finally:
        signal.signal(signal.SIGTERM, before)
    assert came == [1] and trainer.current_epoch == 3
    trainer = toy_trainer(checkpoint=tmp_path / "thread")[1]
    thread = threading.Thread(target=trainer.train)
    thread.start()
    thread.join()
    assert trainer.current_epoch == 3
