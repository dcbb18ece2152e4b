"""The Trainer's protocol: callbacks, stop, patience."""
from __future__ import annotations

import pytest
from toy_network import ToyNetwork, toy_trainer


class Notes:
    def __init__(self, stop_at=None):
        self.steps, self.epochs, self.stop_at = [], [], stop_at

    def on_step(self, trainer):
        self.steps.append((trainer.current_iter, trainer.train_loss_list[-1]))
        if trainer.current_iter == self.stop_at:
            trainer.stop()

    def on_epoch(self, trainer, record):
        self.epochs.append((trainer.current_epoch, record))


class OnlyEpochs:
    def __init__(self, notes):
        self.notes = notes

    def on_epoch(self, trainer, record):
        self.notes.append(record["epoch"])


class Scores(ToyNetwork):
    """A network whose test accuracies are given."""

    def __init__(self, *accuracies):
        super().__init__()
        self.accuracies = list(accuracies)

    def accuracy(self, x, t):
        return 0.5 if len(x) == 23 else self.accuracies.pop(0) if self.accuracies else 0.0


def test_callbacks():
    notes, epochs, told = Notes(), [], []
    _, trainer = toy_trainer(epochs=2, callbacks=[notes, OnlyEpochs(epochs)], on_epoch=told.append)
    trainer.train()
    assert notes.steps == [(i, 30.0 if i % 5 == 0 else 50.0) for i in range(1, 11)]
    assert notes.epochs == [(1, told[0]), (2, told[1])] and epochs == [1, 2]


@pytest.mark.parametrize("step, epochs", [(1, 0), (7, 1), (10, 2)])
def test_stop_ends_after_the_step_as_if_all_were_done(step, epochs, capsys):
    network, trainer = toy_trainer(callbacks=[Notes(stop_at=step)], verbose=True)
    trainer.train()
    assert (trainer.current_iter, trainer.current_epoch) == (step, epochs)
    assert not trainer.interrupted and trainer.final_test_acc == 0.07 and trainer.is_finished
    assert "test acc:0.07\n" in capsys.readouterr().out
    trainer.callbacks.clear()
    trainer.train()
    assert trainer.current_epoch == epochs + 3  # a further call trains `epochs` more
    assert [sorted(sum(network.batches[i:i + 5], [])) for i in (0, 5)] == 2 * [list(range(23))]


@pytest.mark.parametrize("accuracies, patience, epochs", [
    ((0.1, 0.2, 0.3, 0.4, 0.5, 0.6), 1, 6), ((0.1, 0.3, 0.3, 0.4), 1, 3), ((0.1, 0.3, 0.2, 0.3, 0.4), 2, 4),
    ((0.3, 0.2, 0.4, 0.1, 0.1), 2, 5), ((float("nan"), 0.1, float("nan"), float("nan")), 2, 4), ((0.1, 0.1), 5, 6)])
def test_patience(accuracies, patience, epochs):
    _, trainer = toy_trainer(Scores(*accuracies), epochs=6, patience=patience)
    trainer.train()
    assert trainer.current_epoch == epochs and trainer.final_test_acc is not None and not trainer.interrupted


def test_patience_is_that_of_one_call():
    _, trainer = toy_trainer(Scores(0.9, 0.1, 0.0, 0.2, 0.3, 0.1, 0.0), epochs=4, patience=1)
    trainer.train()
    assert trainer.current_epoch == 2  # and one test accuracy at the end
    trainer.train()
    assert trainer.current_epoch == 5


def test_a_resumed_run_is_as_patient(tmp_path):
    accuracies = [0.5, 0.4, 0.3, 0.2]
    network, trainer = toy_trainer(Scores(*accuracies), epochs=9, patience=3, checkpoint=tmp_path)
    network.on_gradient = lambda call: 1 / 0 if call == 11 else None
    with pytest.raises(ZeroDivisionError):
        trainer.train()
    _, other = toy_trainer(Scores(0.3, 0.2), epochs=9, patience=3)
    other.resume(tmp_path)
    assert other.current_epoch == 2
    other.train()
    assert other.current_epoch == 4
    _, again = toy_trainer(epochs=9, patience=3)
    again.resume(tmp_path)
    again.train()  # it was out of patience
    assert again.current_epoch == 4 and again.final_test_acc == 0.07


@pytest.mark.parametrize("callback", [print, object(), 3])
def test_what_is_no_callback(callback):
    with pytest.raises(TypeError, match=r"Trainer: callbacks has .*expected objects with on_step\(trainer\) or on_"):
        toy_trainer(callbacks=[callback])


@pytest.mark.parametrize("name", ["every", "patience"])
def test_wrong_counts(name):
    with pytest.raises(ValueError, match=f"Trainer: {name} must be at least 1, got 0"):
        toy_trainer(**{name: 0})
