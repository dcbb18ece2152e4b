"""A loss that is nan or inf ends the training: where it begins is said, and the last checkpoint stays."""
from __future__ import annotations

import importlib

import numpy as np
import pytest
from toy_network import toy_trainer
from training.same_run import assert_same_arrays

import fastconv
from fastconv import DeepConvNet, SmallResNet, Trainer, params
from fastconv.training.network_state import take_parameters, take_statistics

SHAPE = (1, 12, 12)


def images(n=20):
    rng = np.random.default_rng(0)
    return rng.random((n, *SHAPE), np.float32), rng.integers(0, 10, n)


def trainer_of(network, x=None, t=None, **more):
    given = images()
    x, t = given[0] if x is None else x, given[1] if t is None else t
    more = {"epochs": 3, "mini_batch_size": 6, "verbose": False, "seed": 1, **more}
    return Trainer(network, x, t, *images(7), **more)


def stops(trainer, reason):
    with np.errstate(all="ignore"), pytest.raises(FloatingPointError, match=reason) as error:
        trainer.train()
    return str(error.value)


def state_of(trainer):
    return {key: value.copy() for key, value in
            {**take_parameters(trainer.network), **take_statistics(trainer.network)}.items()}


class Break:
    """Spoils something before a step, and remembers what the network was then."""

    def __init__(self, step, spoil):
        self.step, self.spoil = step, spoil

    def on_step(self, trainer):
        if trainer.current_iter == self.step:
            self.spoil(trainer)
            self.state = state_of(trainer)


@pytest.mark.parametrize("network", [DeepConvNet, SmallResNet])
@pytest.mark.parametrize("backend", [fastconv.dispatch.backend(), "reference"])  # by a plan, and by layers
def test_the_first_layer_is_named(network, backend):
    def spoil(trainer):
        layer = trainer.network.layers[node]
        assert type(layer) is fastconv.Convolution
        layer.W[...] = 3e38

    made = DeepConvNet(SHAPE, seed=0) if network is DeepConvNet else SmallResNet(8, SHAPE, seed=0)
    breaking = Break(2, spoil)
    trainer = trainer_of(made, callbacks=[breaking])
    node = 5 if network is DeepConvNet else 6
    name = "" if network is DeepConvNet else r" \('layer1.0.conv2'\)"
    with fastconv.use(backend):
        text = stops(trainer, r"Trainer: the loss is (nan|inf) at step 3, in epoch 1. The first values that are not "
                              rf"finite are the output of layers\[{node}\]{name}, a Convolution. ")
    assert "smaller learning rate, now 0.01," in text and "clip=1.0" in text and "data" in text
    assert "was not taken" in text
    assert_same_arrays(state_of(trainer), breaking.state)  # running statistics, too
    assert trainer.current_iter == len(trainer.train_loss_list) == 2 and trainer.interrupted


def test_the_first_layer_of_a_large_batch_that_goes_in_parts(monkeypatch):
    from fastconv.engine import parts
    monkeypatch.setattr(parts, "PART_BYTES", 1)  # eight images at a time
    x, t = images(20)
    network = DeepConvNet(SHAPE, seed=0)
    for layer in network.layers:
        if type(layer) is fastconv.Convolution:
            layer.W[...] = np.abs(layer.W)
    x[:] = 0
    x[17] = 3e38
    stops(trainer_of(network, x, t, mini_batch_size=20), r"the output of layers\[0\], a Convolution")


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_data_that_are_not_finite(value):
    x, t = images()
    x[13, 0, 5, 5] = value
    stops(trainer_of(DeepConvNet(SHAPE, seed=0), x, t), r"x_train\[13\] has a value that is not finite")


@pytest.mark.parametrize("smoothing", [0, 0.1])
@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_labels_that_are_not_finite(value, smoothing):
    x, t = images()
    soft = np.eye(10)[t]
    soft[4, 2] = value
    network = DeepConvNet(SHAPE, seed=0)
    network.last_layer.label_smoothing = smoothing
    stops(trainer_of(network, x, soft), r"t_train\[4\] has a value that is not finite")


def test_a_parameter_that_was_spoiled_before():
    def spoil(trainer):
        trainer.network.params["b3"][1] = np.nan

    stops(trainer_of(DeepConvNet(SHAPE, seed=0), callbacks=[Break(2, spoil)]),
          "at step 3, .*The parameter b3 was not finite already")


def test_a_penalty_that_is_not_finite():
    network = DeepConvNet(SHAPE, seed=0)
    network.weight_decay_lambda = np.inf
    stops(trainer_of(network), "the loss is inf at step 1, .*each layer's output is finite .*penalty")


def test_training_that_diverges_by_itself_leaves_the_last_good_checkpoint(tmp_path):
    text = stops(trainer_of(DeepConvNet(SHAPE, seed=0), checkpoint=tmp_path, every=1,
                            optimizer_param={"lr": 1e30}), "Trainer: ")
    assert f"The last checkpoint, {tmp_path}/checkpoint.npz, is as it was" in text
    kept = params.load(tmp_path / "checkpoint.npz")
    assert all(np.isfinite(value).all() for value in kept.values())
    other = trainer_of(DeepConvNet(SHAPE, seed=0), checkpoint=tmp_path)
    other.resume()
    assert other.current_iter < 3


@pytest.mark.parametrize("every", [1, None])
def test_parameters_that_are_not_finite_are_not_kept(tmp_path, every):
    """The loss of a step is that of before its update, so the last update's harm has not shown yet."""
    def spoil(trainer):
        trainer.network.params["W2"][0] = np.inf

    trainer = trainer_of(DeepConvNet(SHAPE, seed=0), checkpoint=tmp_path, every=every, mini_batch_size=20,
                         callbacks=[Break(2, spoil)])
    stops(trainer, "Trainer: the parameter W2 is not finite after step 2")
    other = trainer_of(DeepConvNet(SHAPE, seed=0), mini_batch_size=20)
    other.resume(tmp_path)
    assert other.current_iter == 1 and np.isfinite(other.network.params["W2"]).all()
    best = params.load(tmp_path / "best.pkl")
    assert all(np.isfinite(value).all() for value in best.values())


def test_parameters_that_are_not_finite_are_not_kept_amid_an_epoch(tmp_path):
    def spoil(trainer):
        trainer.network.params["W2"][0] = np.nan

    trainer = trainer_of(DeepConvNet(SHAPE, seed=0), checkpoint=tmp_path, every=1, mini_batch_size=5,
                         callbacks=[Break(2, spoil)])
    stops(trainer, "Trainer: the parameter W2 is not finite after step 2")
    other = trainer_of(DeepConvNet(SHAPE, seed=0), mini_batch_size=5)
    other.resume(tmp_path)
    assert other.current_iter == 1 and np.isfinite(other.network.params["W2"]).all()


def test_it_goes_on_with_a_smaller_rate(tmp_path):
    trainer = trainer_of(DeepConvNet(SHAPE, seed=0), checkpoint=tmp_path, optimizer_param={"lr": 1e30})
    stops(trainer, "Trainer: ")
    trainer.resume()
    trainer.optimizer.lr = 0.01
    trainer.train()
    assert trainer.current_epoch == 3 and np.isfinite(trainer.train_loss_list).all()


def test_networks_of_other_kinds():
    network, trainer = toy_trainer()
    network.loss = lambda x, t: np.nan if len(network.batches) == 7 else 1.0
    text = stops(trainer, "Trainer: the loss is nan at step 7, in epoch 2. The data and the parameters are finite.")
    assert "has changed the parameters already" in text
    np.testing.assert_allclose(network.params["w"], -0.07)


def test_the_books_trainer_goes_on_with_nan():
    dropin = importlib.import_module("fastconv.dropin.trainer")
    network, trainer = toy_trainer()
    trainer.__class__ = dropin.BookTrainer
    network.loss = lambda x, t: np.nan
    trainer._is_known, trainer._twin, trainer._predicts = True, None, False
    Trainer.train(trainer)
    assert trainer.current_epoch == 3 and np.isnan(trainer.train_loss_list).all()
