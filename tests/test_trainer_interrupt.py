"""Ctrl-C ends the training where it can go on later, and never in the middle of a step."""
from __future__ import annotations

import os
import signal
import threading

import numpy as np
import pytest
from toy_network import N, toy_trainer


def press_ctrl_c(*_):
    os.kill(os.getpid(), signal.SIGINT)


def at(n, action):
    return lambda call: action() if call == n else None


def consistent(trainer):
    return (len(trainer.train_loss_list) == trainer.current_iter
            and len(trainer.train_acc_list) == len(trainer.test_acc_list) == trainer.current_epoch)


def test_ctrl_c_finishes_the_step(capsys):
    network, trainer = toy_trainer(verbose=True)
    network.on_gradient = at(7, press_ctrl_c)
    trainer.train()
    assert trainer.interrupted and trainer.final_test_acc is None
    assert (trainer.current_epoch, trainer.current_iter) == (1, 7) and consistent(trainer)
    np.testing.assert_allclose(network.params["w"], -0.07)
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
    assert "=== interrupted after step 7; train() again goes on from here ===\n" in capsys.readouterr().out

    trainer.train()
    assert not trainer.interrupted and trainer.final_test_acc == 0.07
    assert (trainer.current_epoch, trainer.current_iter) == (3, 15) and consistent(trainer)
    for i in (0, 5, 10):
        assert sorted(sum(network.batches[i:i + 5], [])) == list(range(N))


@pytest.mark.parametrize("evaluation, epochs", [(1, 0), (2, 0), (3, 1), (6, 2)])
def test_ctrl_c_drops_a_running_evaluation_until_training_goes_on(evaluation, epochs):
    network, trainer = toy_trainer()
    after = []
    network.on_accuracy = at(evaluation, lambda: (press_ctrl_c(), after.append("not reached")))
    trainer.train()
    assert trainer.interrupted and after == []
    assert (trainer.current_epoch, trainer.current_iter) == (epochs, 5 * epochs + 5) and consistent(trainer)

    trainer.train()
    assert (trainer.current_epoch, trainer.current_iter) == (3, 15) and consistent(trainer)
    assert len(network.batches) == 15 and not trainer.interrupted


def test_ctrl_c_in_the_last_step_of_an_epoch_leaves_the_evaluation_for_later():
    network, trainer = toy_trainer()
    network.on_gradient = at(5, press_ctrl_c)
    trainer.train()
    assert (trainer.current_epoch, trainer.current_iter, network.evaluated) == (0, 5, [])
    trainer.train_step()
    assert (trainer.current_epoch, trainer.current_iter, network.evaluated) == (1, 5, [23, 7])


def test_ctrl_c_in_the_final_evaluation():
    network, trainer = toy_trainer()
    network.on_accuracy = at(7, press_ctrl_c)
    trainer.train()
    assert trainer.interrupted and trainer.current_epoch == 3 and trainer.final_test_acc is None
    trainer.train()
    assert not trainer.interrupted and trainer.current_epoch == 3 and trainer.final_test_acc == 0.07


def test_a_second_ctrl_c_raises():
    network, trainer = toy_trainer()
    network.on_gradient = at(2, lambda: (press_ctrl_c(), press_ctrl_c()))
    with pytest.raises(KeyboardInterrupt):
        trainer.train()
    assert trainer.interrupted and consistent(trainer)
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def test_an_own_handler_stays_in_place():
    pressed = []
    before = signal.signal(signal.SIGINT, lambda *_: pressed.append(1))
    try:
        network, trainer = toy_trainer()
        network.on_gradient = at(2, press_ctrl_c)
        trainer.train()
    finally:
        signal.signal(signal.SIGINT, before)
    assert pressed == [1] and not trainer.interrupted and trainer.current_epoch == 3


def test_trains_in_another_thread():
    network, trainer = toy_trainer()
    thread = threading.Thread(target=trainer.train)
    thread.start()
    thread.join()
    assert trainer.current_epoch == 3 and trainer.final_test_acc == 0.07


def test_an_error_passes_through_and_the_handler_is_restored():
    network, trainer = toy_trainer()
    network.on_gradient = at(3, lambda: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        trainer.train()
    assert trainer.interrupted and trainer.current_iter == 2 and consistent(trainer)
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
