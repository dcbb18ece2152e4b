"""Trainer.resume: every kind of network and optimizer goes on bit for bit; what does not fit changes nothing."""
from __future__ import annotations

import json

import numpy as np
import pytest
from training.killed_run import BATCH, EPOCHS, SHAPE, N, make
from training.same_run import assert_same_arrays, assert_same_run

import fastconv.params as params
from fastconv import Affine, BatchNormalization, Dropout, MultiLayerNetExtend, Network, Relu, SmallResNet, Trainer
from fastconv.layers import SoftmaxWithLoss
from fastconv.optimizers import OPTIMIZERS
from fastconv.training.network_state import take_parameters, take_statistics
from fastconv.training.optimizer_state import take_optimizer


class StopAt:
    """Stops a run after some step, as if it had been killed after its checkpoint."""

    def __init__(self, step):
        self.step = step

    def on_step(self, trainer):
        if trainer.current_iter == self.step:
            trainer.stop()


class Readers:
    """A network of a reader's, in the book's protocol: layers in a dictionary, a parameter that is a number."""

    def __init__(self):
        self.params = {"W1": 0.1 * np.random.randn(12, 6), "b1": np.zeros(6), "W2": 0.1 * np.random.randn(6, 10),
                       "b2": np.zeros(10), "temperature": 1.5}
        p = self.params
        self.layers = {"affine": Affine(p["W1"], p["b1"]), "norm": BatchNormalization(np.ones(6), np.zeros(6)),
                       "relu": Relu(), "drop": Dropout(0.3), "out": Affine(p["W2"], p["b2"])}
        self.last = SoftmaxWithLoss()

    def predict(self, x, train_flg=False):
        for layer in self.layers.values():
            more = {"train_flg": train_flg} if isinstance(layer, (BatchNormalization, Dropout)) else {}
            x = layer.forward(x, **more)
        return x * self.params["temperature"]

    def loss(self, x, t):
        return self.last.forward(self.predict(x, True), t)

    def accuracy(self, x, t):
        return np.mean(self.predict(x).argmax(axis=1) == t)

    def gradient(self, x, t):
        self.loss(x, t)
        dout = self.last.backward()
        for layer in reversed(self.layers.values()):
            dout = layer.backward(dout)
        affine, out = self.layers["affine"], self.layers["out"]
        return {"W1": affine.dW, "b1": affine.db, "W2": out.dW, "b2": out.db, "temperature": 0.01}


class BooksMomentum:
    """As in the book: nothing is remembered before the first update."""

    def __init__(self):
        self.lr, self.momentum, self.v = np.float32(0.01), 0.9, None

    def update(self, params, grads):
        if self.v is None:
            self.v = {key: np.zeros_like(value) for key, value in params.items()}
        for key in params:
            self.v[key] = self.momentum * self.v[key] - self.lr * grads[key]
            params[key] += self.v[key]


def unnamed():
    network = Network(dtype=np.float64)
    for layer in (Affine(0.2 * np.random.randn(12, 7), np.zeros(7)), BatchNormalization(np.ones(7), np.zeros(7)),
                  Relu(), Affine(0.2 * np.random.randn(7, 10), np.zeros(10)), Dropout(0.2, inverted=True)):
        network.add(layer)
    return network


KINDS = {
    "reader's": Readers,
    "unnamed": unnamed,
    "numbered": lambda: MultiLayerNetExtend(12, [7, 5], 10, use_dropout=True, use_batchnorm=True,
                                            weight_decay_lambda=0.1),
}


def small(kind=unnamed, optimizer="Adam", seed=None, epochs=3, **more):
    np.random.seed(5)
    rng = np.random.default_rng(6)
    x, t = rng.standard_normal((23, 12)), rng.integers(0, 10, 23)
    return Trainer(kind(), x, t, x[:8], t[:8], epochs, 5, optimizer, {}, verbose=False, seed=seed, **more)


NAMES = dict.fromkeys(kind.__name__ for kind in OPTIMIZERS.values())


@pytest.mark.parametrize("kind, optimizer, step", [
    *((kind, "Adam", step) for kind in KINDS for step in (3, 5, 10)),
    *(("numbered", optimizer, 7) for optimizer in (*NAMES, BooksMomentum)), ("reader's", BooksMomentum, 7)])
def test_a_resumed_run_ends_as_the_whole_one(tmp_path, kind, optimizer, step):
    seed = 2 if step == 5 else None

    def made(folder, *callbacks):
        return small(KINDS[kind], optimizer if isinstance(optimizer, str) else optimizer(), seed,
                     checkpoint=folder and tmp_path / folder, callbacks=callbacks)

    made("run", StopAt(step)).train()
    resumed = made("run")
    resumed.resume()
    assert resumed.current_iter == step
    resumed.train()
    resumed_global = np.random.get_state(legacy=False)
    whole = made(None)
    whole.train()
    assert len(take_statistics(whole.network)) == (4 if kind == "numbered" else 2)
    assert_same_run(resumed, whole)
    np.testing.assert_equal(resumed_global, np.random.get_state(legacy=False))


def test_a_readers_own_arrays_are_filled_in_place(tmp_path):
    small(Readers, checkpoint=tmp_path).train()
    trainer = small(Readers)
    arrays = dict(trainer.network.params)
    trainer.resume(tmp_path)
    assert all(trainer.network.params[key] is arrays[key] for key in ("W1", "b1", "W2", "b2"))
    assert trainer.network.layers["affine"].W is arrays["W1"] and type(trainer.network.params["temperature"]) is float
    assert trainer.network.params["temperature"] != 1.5


def test_more_epochs_and_later_calls(tmp_path):
    small(epochs=2, checkpoint=tmp_path).train()
    more = small(epochs=5)
    more.resume(tmp_path)
    more.train()
    assert more.current_epoch == 5
    assert len((tmp_path / "history.jsonl").read_text().splitlines()) == 5
    whole = small(epochs=5)
    whole.train()
    assert_same_run(more, whole)

    more.epochs = 2
    more.callbacks = [StopAt(5 * 5 + 7)]
    more.train()  # a second call, which is not finished: 7 epochs are wanted
    again = small(epochs=2)
    again.resume(tmp_path)
    again.train()
    assert again.current_epoch == 7 and again.current_iter == 35


def test_a_finished_run_trains_nothing_but_a_further_call_does(tmp_path):
    small(epochs=2, checkpoint=tmp_path).train()
    trainer = small(epochs=2, checkpoint=tmp_path)
    trainer.resume()
    before = {key: value.copy() for key, value in take_parameters(trainer.network).items()}
    assert trainer.is_finished
    trainer.train()
    assert trainer.current_epoch == 2 and trainer.final_test_acc is not None and trainer.images_per_second > 0
    assert_same_arrays(take_parameters(trainer.network), before)
    trainer.train()
    assert trainer.current_epoch == 4


def test_the_time_of_the_running_epoch_goes_on(tmp_path):
    first = small(checkpoint=tmp_path, callbacks=[StopAt(7)])
    first.train()
    resumed = small(checkpoint=tmp_path)
    resumed.resume()
    assert resumed.images_per_second == first.images_per_second
    resumed.train()
    assert resumed.history[1]["seconds"] > first._seconds


def test_settings_and_numbers_of_the_optimizer_are_those_of_the_checkpoint(tmp_path):
    class Slower:
        def on_epoch(self, trainer, record):
            trainer.optimizer.lr *= 0.5

    trainer = small(checkpoint=tmp_path, callbacks=[Slower()])
    trainer.settings = {"why": ["a", 1.5, None]}
    trainer.train()
    resumed = small()
    resumed.resume(tmp_path)
    assert resumed.optimizer.lr == 0.001 / 8 and resumed.settings == trainer.settings


@pytest.mark.parametrize("other, reason", [
    (lambda: small(lambda: SmallResNet(8, SHAPE)), "parameters are those of another network: .*W1 has shape"),
    (lambda: small(lambda: MultiLayerNetExtend(12, [7], 10, dtype=np.float64)), "gamma1 is unknown"),
    (lambda: small(Readers), "temperature is missing"),
    (lambda: small(optimizer="SGD"), "the optimizer is Adam, expected this trainer's, SGD"),
    (lambda: small(seed=1), "there are 0 random generators, expected 2; was a seed given"),
    (lambda: Trainer(unnamed(), np.ones((22, 12)), np.ones(22, int), np.ones((8, 12)), np.ones(8, int), 3, 5, "Adam"),
     "train_size is 23, expected this trainer's 22"),
    (lambda: Trainer(unnamed(), np.ones((23, 12)), np.ones(23, int), np.ones((9, 12)), np.ones(9, int), 3, 5, "Adam"),
     "test_size is 8, expected this trainer's 9"),
    (lambda: Trainer(unnamed(), np.ones((23, 12)), np.ones(23, int), np.ones((8, 12)), np.ones(8, int), 3, 6, "Adam"),
     "batch_size is 5, expected this trainer's 6"),
])
def test_what_does_not_fit_changes_nothing(tmp_path, other, reason):
    small(checkpoint=tmp_path, callbacks=[StopAt(7)]).train()
    written = (tmp_path / "checkpoint.npz").read_bytes()
    trainer = other()
    assert_refused(trainer, tmp_path, rf"{tmp_path}/checkpoint.npz does not fit, nothing was changed: .*{reason}")
    assert (tmp_path / "checkpoint.npz").read_bytes() == written


def read_only(trainer):
    trainer.network.freeze()


def statistics_of_another_size(trainer):
    trainer.network.layers[1].running_mean = np.zeros(3)


@pytest.mark.parametrize("change, reason", [
    (read_only, "W1 is read-only"),
    (statistics_of_another_size, r"statistics/0.running_mean has shape \(7,\), expected \(3,\)"),
    (lambda trainer: setattr(trainer.optimizer, "own", 1), "the optimizer has lr, .*expected lr, .*own"),
])
def test_what_else_does_not_fit(tmp_path, change, reason):
    small(checkpoint=tmp_path).train()
    trainer = small()
    change(trainer)
    assert_refused(trainer, tmp_path, reason)


def edited(run=None, drop=None, **arrays):
    """Return a change of a checkpoint's entries."""
    def edit(entries):
        text = json.loads(entries["run"].tobytes())
        entries["run"] = np.frombuffer(json.dumps(text | (run or {})).encode(), np.uint8)
        entries |= arrays
        entries.pop(drop, None)

    return edit


@pytest.mark.parametrize("edit, reason", [
    (edited(drop="run"), "has no entry 'run'"),
    (edited(run={"format": 2}), "has format 2, written by a newer fastconv"),
    (edited(run={"steps_done": -1}), "steps_done is -1, expected at least 0"),
    (edited(run={"steps_done": 8}), "'train_loss_list' does not have 8 numbers"),
    (edited(run={"epochs_done": 2}), "history has 1 epochs, expected 2"),
    (edited(run={"samples_done": 24}), "samples_done is 24, expected at most 23"),
    (edited(run={"loss": "much"}), "loss is 'much'"),
    (edited(run={"optimizer_values": {"lr": [1]}}), "optimizer_values has something else than numbers"),
    (edited(run={"random": {"own": []}}), "random has no states of generators"),
    (edited(run={"random": {"own": [], "numpy": {"bit_generator": "MT19937"}}}), "the state of a random generator"),
    (edited(run={"random": {"own": [], "numpy": {"bit_generator": "MT19937", "state": {"key": [1], "pos": 3}}}}),
     "the state of a random generator"),
    (edited(drop="order"), "samples_done is 10, expected at most 0"),
    (edited(order=np.zeros(23, int)), "'order' is no order of 23 samples"),
    (edited(order=np.arange(22)), "'order' is no order of 23 samples"),
    (edited(drop="test_acc_list"), "'test_acc_list' does not have 1 numbers"),
    (edited(drop="params/W1"), "W1 is missing"),
    (edited(**{"params/W3": np.zeros(2)}), "W3 is unknown"),
    (edited(**{"params/b1": np.zeros(7, np.float32)}), "b1 has shape .7,. and dtype float32, expected .7,. and flo"),
    (edited(**{"statistics/5.running_var": np.zeros(7)}), "statistics/5.running_var is of a layer that"),
    (edited(**{"optimizer/w/W1": np.zeros(7)}), "optimizer/w/W1 is unknown"),
    (lambda entries: entries.update(run=np.frombuffer(b"[" * 100_000, np.uint8)), "entry 'run' is no JSON"),
])
def test_altered_checkpoints(tmp_path, edit, reason):
    path = tmp_path / "checkpoint.npz"
    small(checkpoint=tmp_path, callbacks=[StopAt(7)]).train()
    entries = params.load(path)
    edit(entries)
    params.save(path, entries)
    assert_refused(small(), tmp_path, f"{path}.*{reason}")


def test_damaged_checkpoints(tmp_path):
    path = tmp_path / "checkpoint.npz"
    small(checkpoint=tmp_path).train()
    whole = path.read_bytes()
    for damaged in (whole[:len(whole) // 2], whole[:500] + bytes([whole[500] ^ 1]) + whole[501:], b""):
        path.write_bytes(damaged)
        assert_refused(small(), tmp_path, f"{path}")


def test_there_is_no_checkpoint(tmp_path):
    with pytest.raises(FileNotFoundError, match="there is no .*checkpoint.npz"):
        small(checkpoint=tmp_path).resume()
    with pytest.raises(ValueError, match="there is no folder; give one here or to Trainer"):
        small().resume()


def test_what_cannot_be_kept_is_said_before_the_first_step(tmp_path):
    class Odd(BooksMomentum):
        def __init__(self):
            super().__init__()
            self.memory = [1, 2]

    class Drawing:
        def integers(self, *_, **__):
            return 3

    trainer = small(optimizer=Odd(), checkpoint=tmp_path)
    with pytest.raises(TypeError, match="the optimizer's memory is a list"):
        trainer.train()
    other = small(checkpoint=tmp_path)
    other.network.layers[-1].rng = Drawing()
    with pytest.raises(TypeError, match="a layer draws from a Drawing"):
        other.train()
    assert trainer.current_iter == other.current_iter == 0


def test_a_networks_and_a_trainers_generators_may_be_one(tmp_path):
    def made(folder, *callbacks):
        rng = np.random.default_rng(4)
        trainer = make(folder, "deep", "SGD", rng)
        trainer.network.seed(rng)
        trainer.callbacks += callbacks
        return trainer

    made(tmp_path / "run", StopAt(6)).train()
    resumed, whole = made(tmp_path / "run"), made(tmp_path / "whole")
    resumed.resume()
    for trainer in (resumed, whole):
        trainer.train()
    assert whole.current_iter == EPOCHS * -(-N // BATCH)
    assert_same_run(resumed, whole)


def assert_refused(trainer, folder, reason):
    """Check that `resume` fails and leaves everything as it was."""
    def everything():
        return {**take_parameters(trainer.network), **take_statistics(trainer.network),
                **take_optimizer(trainer.optimizer)[1]}

    before, numbers = {key: value.copy() for key, value in everything().items()}, take_optimizer(trainer.optimizer)[0]
    random, place = np.random.get_state(legacy=False), (trainer.current_iter, trainer.current_epoch, trainer.history)
    with pytest.raises(ValueError, match=reason):
        trainer.resume(folder)
    assert_same_arrays(everything(), before)
    assert take_optimizer(trainer.optimizer)[0] == numbers
    np.testing.assert_equal(np.random.get_state(legacy=False), random)
    assert (trainer.current_iter, trainer.current_epoch, trainer.history) == place
