"""The Trainer: true epochs, the book's lists and lines, optimizers by name, wrong arguments."""
from __future__ import annotations

import io
import os
import re
import subprocess
import sys

import numpy as np
import pytest
from toy_network import N, ToyNetwork, numbered, toy_trainer

from fastconv.models import DeepConvNet
from fastconv.optimizers import OPTIMIZERS, Adam
from fastconv.trainer import Trainer

# epochs and batches


def test_an_epoch_takes_each_sample_once():
    network, trainer = toy_trainer(seed=0)
    trainer.train()
    sizes = [len(batch) for batch in network.batches]
    assert sizes == 3 * [5, 5, 5, 5, 3]
    epochs = [sum(network.batches[i:i + 5], []) for i in (0, 5, 10)]
    for order in epochs:
        assert sorted(order) == list(range(N)) != order
    assert epochs[0] != epochs[1] != epochs[2]
    assert (trainer.current_epoch, trainer.current_iter, len(trainer.train_loss_list)) == (3, 15, 15)


def test_a_batch_larger_than_the_data_is_all_of_it():
    network, trainer = toy_trainer(mini_batch_size=100, epochs=2)
    trainer.train()
    assert [len(batch) for batch in network.batches] == [N, N]


def test_the_order_comes_from_the_seed_or_from_numpys_global_generator():
    def order(global_seed, **arguments):
        np.random.seed(global_seed)
        network, trainer = toy_trainer(epochs=1, mini_batch_size=N, **arguments)
        trainer.train()
        return network.batches[0]

    np.random.seed(4)
    expected = np.random.permutation(N).tolist()
    assert order(4) == expected != order(5)
    assert order(4, seed=1) == order(5, seed=1) != order(5, seed=2)
    assert order(0, seed=np.random.default_rng(1)) == order(0, seed=1)


def test_seed_reaches_the_network():
    given = []

    class Seeded(ToyNetwork):
        def seed(self, rng):
            given.append(rng.random())

    for seed in (None, 1, 1, 2):
        toy_trainer(Seeded(), seed=seed)
    assert len(given) == 3 and given[0] == given[1] != given[2]


def test_train_step_by_step():
    network, trainer = toy_trainer()
    for _ in range(4):
        trainer.train_step()
    assert (trainer.current_epoch, trainer.current_iter, trainer.train_acc_list) == (0, 4, [])
    trainer.train_step()
    assert (trainer.current_epoch, trainer.current_iter, trainer.train_acc_list) == (1, 5, [0.23])


def test_train_again_counts_on():
    network, trainer = toy_trainer(epochs=2)
    epochs = []
    trainer.on_epoch = lambda record: epochs.append(record["epoch"])
    trainer.train()
    trainer.train()
    assert epochs == [1, 2, 3, 4]
    assert (trainer.current_epoch, trainer.current_iter, len(trainer.test_acc_list)) == (4, 20, 4)


def test_no_epochs_only_evaluate():
    network, trainer = toy_trainer(epochs=0)
    trainer.train()
    assert (network.batches, network.evaluated, trainer.final_test_acc) == ([], [7], 0.07)
    assert not trainer.interrupted


# losses and accuracies


def test_each_epoch_is_evaluated_and_at_the_end_the_test_data():
    network, trainer = toy_trainer()
    assert trainer.final_test_acc is None
    trainer.train()
    assert network.evaluated == 3 * [23, 7] + [7]
    assert trainer.train_acc_list == 3 * [0.23] and trainer.test_acc_list == 3 * [0.07]
    assert trainer.final_test_acc == 0.07 and type(trainer.final_test_acc) is float


def test_evaluate_on_the_first_samples():
    network, trainer = toy_trainer(evaluate_sample_num_per_epoch=4)
    trainer.train()
    assert network.evaluated == 3 * [4, 4] + [7]


def test_a_network_without_the_loss_of_its_step_is_asked_for_it():
    network, trainer = toy_trainer(epochs=1)
    trainer.train()
    assert network.losses == 5
    assert trainer.train_loss_list == [50.0, 50.0, 50.0, 50.0, 30.0]


def test_the_loss_of_the_step_costs_no_second_pass():
    class LastLayer:
        loss = None

    class Remembers(ToyNetwork):
        last_layer = LastLayer()

        def gradient(self, x, t):
            self.last_layer.loss = np.float32(len(x))
            return super().gradient(x, t)

    network, trainer = toy_trainer(Remembers(), epochs=1)
    trainer.train()
    assert network.losses == 0
    assert trainer.train_loss_list == [5.0, 5.0, 5.0, 5.0, 3.0]
    assert {type(loss) for loss in trainer.train_loss_list} == {float}


def test_on_epoch_is_told_about_the_epoch():
    records = []
    network, trainer = toy_trainer(on_epoch=records.append)
    trainer.train()
    assert [record["epoch"] for record in records] == [1, 2, 3]
    for record in records:
        assert set(record) == {"epoch", "loss", "train_acc", "test_acc", "seconds", "images_per_second"}
        assert record["loss"] == pytest.approx((4 * 5 * 50 + 3 * 30) / 23)
        assert (record["train_acc"], record["test_acc"]) == (0.23, 0.07)
        assert record["images_per_second"] == pytest.approx(23 / record["seconds"])
    assert trainer.images_per_second == records[-1]["images_per_second"]


# optimizers


@pytest.mark.parametrize("name", [*OPTIMIZERS, "SGD", "Adam", "RMSprop", "rmsprpo".upper()])
def test_optimizers_by_name(name):
    _, trainer = toy_trainer(optimizer=name, optimizer_param={"lr": 0.25})
    assert type(trainer.optimizer) is OPTIMIZERS[name.lower()] and trainer.optimizer.lr == 0.25


def test_the_default_is_sgd_with_the_books_learning_rate():
    network, trainer = toy_trainer(epochs=1)
    trainer.train()
    np.testing.assert_allclose(network.params["w"], -0.05)


def test_an_optimizer_object_is_used_as_it_is():
    optimizer = Adam(lr=0.125)
    _, trainer = toy_trainer(optimizer=optimizer)
    trainer.train()
    assert trainer.optimizer is optimizer and optimizer.iter == 15


# wrong arguments


@pytest.mark.parametrize("arguments, message", [
    ({"optimizer": "adamw"}, "no optimizer 'adamw'; .* SGD, Momentum, Nesterov, AdaGrad, RMSprop, Adam"),
    ({"mini_batch_size": 0}, "mini_batch_size must be at least 1, got 0"),
    ({"epochs": -1}, "epochs must be at least 0, got -1"),
    ({"evaluate_sample_num_per_epoch": 0}, "evaluate_sample_num_per_epoch must be at least 1, got 0"),
])
def test_wrong_arguments(arguments, message):
    with pytest.raises(ValueError, match=f"Trainer: .*{message}"):
        toy_trainer(**arguments)


def test_wrong_types():
    with pytest.raises(TypeError, match="optimizer is 3, expected a name or an object"):
        toy_trainer(optimizer=3)
    with pytest.raises(TypeError, match="expected a name or an object"):
        toy_trainer(optimizer=Adam)
    with pytest.raises(TypeError, match="Trainer: epochs must be an integer, got 1.5"):
        toy_trainer(epochs=1.5)


def test_wrong_data():
    x, t = numbered()
    with pytest.raises(ValueError, match="Trainer: x_train has 23 samples but t_train has 22 labels"):
        Trainer(ToyNetwork(), x, t[1:], x, t)
    with pytest.raises(ValueError, match="Trainer: x_test has 22 samples but t_test has 23 labels"):
        Trainer(ToyNetwork(), x, t, x[1:], t)
    with pytest.raises(ValueError, match=r"Trainer: x_train has shape \(\) and t_train has shape \(23,\)"):
        Trainer(ToyNetwork(), 5, t, x, t)
    with pytest.raises(ValueError, match="Trainer: x_train has no samples"):
        Trainer(ToyNetwork(), x[:0], t[:0], x, t)


# what is printed


def test_lines(capsys):
    _, trainer = toy_trainer(verbose=True, epochs=2)
    trainer.train()
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 4
    for number, line in enumerate(lines[:2], 1):
        assert re.fullmatch(rf"=== epoch:{number}, train acc:0.23, test acc:0.07, loss:47.3913, "
                            r"images/s:\d+ ===", line)
    assert lines[2:] == ["=============== Final Test Accuracy ===============", "test acc:0.07"]


def test_silence(capfd):
    _, trainer = toy_trainer(verbose=False)
    trainer.train()
    assert capfd.readouterr() == ("", "")


def test_a_bar_on_a_terminal(monkeypatch):
    class Terminal(io.StringIO):
        def isatty(self):
            return True

    monkeypatch.setattr(sys, "stdout", terminal := Terminal())
    _, trainer = toy_trainer(verbose=True)
    trainer.train()
    text = terminal.getvalue()
    assert "69.0/69.0" in text and "100%" in text and "images/s" in text
    assert "loss=30.0000" in text and "test acc=0.0700" in text
    for line in ("=== epoch:3, train acc:0.23, test acc:0.07", "test acc:0.07\n"):
        assert line in text


def test_tqdm_is_imported_only_for_the_bar():
    code = ("import sys; sys.path.insert(0, sys.argv[1]); from toy_network import toy_trainer;"
            "toy_trainer(verbose=True)[1].train(); assert 'tqdm' not in sys.modules")
    folder = os.path.dirname(__file__)
    subprocess.run([sys.executable, "-c", code, folder], check=True, stdout=subprocess.PIPE)


def test_a_gradient_of_the_object_s_own_gets_the_batch():
    network, (x, t) = DeepConvNet(seed=0), (np.zeros((4, 1, 28, 28), np.float32), np.arange(4))
    seen, gradient = [], network.gradient
    network.gradient = lambda x, t: seen.append(len(x)) or gradient(x, t)
    Trainer(network, x, t, x, t, epochs=1, mini_batch_size=3, verbose=False).train()
    assert seen == [3, 1]
