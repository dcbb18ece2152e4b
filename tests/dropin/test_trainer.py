"""A network that the Trainer recognises trains on the engine as it does layer by layer; any other as it is."""
from __future__ import annotations

import importlib
import os
import signal

import numpy as np
import pytest

import fastconv
from fastconv.dropin.report import report

X = np.random.default_rng(0).random((60, 1, 12, 12), np.float32)
T = np.random.default_rng(1).integers(0, 10, 60)


@pytest.fixture
def reader(load):
    """Return the reader's network module and the replaced Trainer."""
    def modules(**options):
        fastconv.install(**options)
        return load("deep_net"), load("common.trainer").Trainer

    return modules


def train(Trainer, network, seed=7, x=X, **options):
    np.random.seed(seed)
    settings = {"epochs": 2, "mini_batch_size": 16, "optimizer": "Adam", "optimizer_param": {"lr": 0.01},
                "evaluate_sample_num_per_epoch": 30, "verbose": False, **options}
    trainer = Trainer(network, x, T, x[:20], T[:20], **settings)
    report.clear()
    trainer.train()
    return trainer


def make(kind, seed=3):
    np.random.seed(seed)
    return kind()


def layer_by_layer(Trainer, network, **options):
    """Train a network that is not recognised: its gradient is a copy of what the layers computed."""
    kind = type(network)
    network.__class__ = type("Other", (kind,), {"gradient": lambda self, x, t: {
        key: value.copy() for key, value in kind.gradient(self, x, t).items()}})
    trainer = train(Trainer, network, **options)
    assert "layer by layer" in report.notes[0]
    return trainer


@pytest.mark.parametrize("precision, close", [("float64", 1e-9), ("float32", 2e-3)])
@pytest.mark.parametrize("optimizer, param", [("Adam", {"lr": 0.01}), ("momentum", {"lr": 0.02}), ("rmsprpo", {})])
def test_engine_and_layers_agree(reader, precision, close, optimizer, param):
    module, Trainer = reader(precision=precision)
    networks, trainers = [], []
    for trained in (train, layer_by_layer):
        networks.append(make(module.DeepNet))
        trainers.append(trained(Trainer, networks[-1], optimizer=optimizer, optimizer_param=param))
        if trained is train:
            assert report.notes == [f"DeepNet trained on the engine in {precision}"]
    fast, slow = trainers
    np.testing.assert_allclose(fast.train_loss_list, slow.train_loss_list, close)
    np.testing.assert_allclose([fast.train_acc_list, fast.test_acc_list], [slow.train_acc_list, slow.test_acc_list],
                               atol=0 if precision == "float64" else 0.07)
    for key, value in networks[0].params.items():
        assert value.dtype == np.float64
        np.testing.assert_allclose(value, networks[1].params[key], close, 10 * close, err_msg=key)
    assert (fast.current_iter, fast.current_epoch, fast.max_iter, fast.iter_per_epoch) == (8, 2, 7, 3.75)


def test_parameters_stay_the_readers_arrays(reader):
    module, Trainer = reader()
    network = make(module.DeepNet)
    arrays = dict(network.params)
    before = {key: value.copy() for key, value in arrays.items()}
    trainer = train(Trainer, network)
    assert all(network.params[key] is value for key, value in arrays.items())
    assert network.layers[0].W is arrays["W1"]
    assert all(np.abs(value - before[key]).max() > 1e-4 for key, value in arrays.items())
    assert "predict" not in vars(network)
    assert all("forward" not in vars(layer) for layer in network.layers)
    # the reader's own code predicts what the trained network does
    assert network.accuracy(X[:20], T[:20]) == trainer.final_test_acc


def test_training_again_goes_on(reader):
    module, Trainer = reader(precision="float64")
    once, twice = make(module.DeepNet), make(module.DeepNet)
    train(Trainer, once, epochs=2)
    trainer = train(Trainer, twice, epochs=1)
    trainer.train()
    for key, value in once.params.items():
        np.testing.assert_allclose(twice.params[key], value, 1e-9, 1e-11, err_msg=key)


def test_double_images_stay_double(reader):
    module, Trainer = reader()
    train(Trainer, make(module.DeepNet), x=X.astype(np.float64))
    assert report.notes == ["DeepNet trained on the engine in float64"]


def test_interrupted_training_keeps_what_was_learned(reader):
    module, Trainer = reader()
    network = make(module.DeepNet)
    before = network.params["W1"].copy()
    trainer = Trainer(network, X, T, X[:20], T[:20], epochs=50, mini_batch_size=16, verbose=False)
    update, calls = trainer.optimizer.update, []

    def interrupting(params, grads):
        update(params, grads)
        calls.append(1)
        if len(calls) == 5:
            os.kill(os.getpid(), signal.SIGINT)

    trainer.optimizer.update = interrupting
    with pytest.raises(KeyboardInterrupt):
        trainer.train()
    assert len(calls) == 5
    assert np.abs(network.params["W1"] - before).max() > 0 and network.layers[0].W is network.params["W1"]
    assert "predict" not in vars(network)


def test_an_error_while_training_keeps_what_was_learned(reader):
    module, Trainer = reader()
    network = make(module.DeepNet)
    before = network.params["b1"].copy()
    labels = T.copy()
    labels[:] = 3
    trainer = Trainer(network, X, labels, X[:20], T[:20], epochs=5, mini_batch_size=60, verbose=False)
    trainer.train_step()
    trainer.t_train = np.full_like(labels, 99)
    with pytest.raises(ValueError, match="expected 0 to 9"):
        trainer.train()
    assert np.abs(network.params["b1"] - before).max() > 0


def test_networks_in_other_forms_are_recognised(reader):
    module, Trainer = reader(precision="float64")
    layers = importlib.import_module("common.layers")

    class Normalized:
        """Layers as attributes and in a dictionary, no predict in gradient, keywords, other names."""

        def __init__(self):
            self.params = {"first": np.random.randn(144, 8) * 0.1, "shift": np.zeros(8), "scale": np.ones(8),
                           "move": np.zeros(8), "last": np.random.randn(8, 10) * 0.3, "bias": np.zeros(10)}
            p = self.params
            self.affine = layers.Affine(p["first"], p["shift"])
            self.rest = {"norm": layers.BatchNormalization(p["scale"], p["move"]), "act": layers.Sigmoid(),
                         "out": layers.Affine(p["last"], p["bias"])}
            self.last_layer = layers.SoftmaxWithLoss()

        def predict(self, x):
            return self.run(x, False)

        def run(self, x, train):
            x = self.rest["norm"].forward(self.affine.forward(x), train_flg=train)
            return self.rest["out"].forward(self.rest["act"].forward(x))

        def loss(self, x, t):
            return self.last_layer.forward(self.run(x, True), t)

        def accuracy(self, x, t):
            return np.mean(self.predict(x).argmax(axis=1) == t)

        def gradient(self, x, t):
            self.loss(x, t)
            dout = self.rest["act"].backward(self.rest["out"].backward(self.last_layer.backward()))
            self.affine.backward(self.rest["norm"].backward(dout))
            return {"first": self.affine.dW, "shift": self.affine.db, "scale": self.rest["norm"].dgamma,
                    "move": self.rest["norm"].dbeta, "last": self.rest["out"].dW, "bias": self.rest["out"].db}

    networks, trainers = [], []
    for trained in (train, layer_by_layer):
        networks.append(make(Normalized))
        trainers.append(trained(Trainer, networks[-1]))
        if trained is train:
            assert report.notes == ["Normalized trained on the engine in float64"]
    np.testing.assert_allclose(trainers[0].train_loss_list, trainers[1].train_loss_list, 1e-9)
    np.testing.assert_allclose(trainers[0].test_acc_list, trainers[1].test_acc_list)
    for key, value in networks[0].params.items():
        np.testing.assert_allclose(value, networks[1].params[key], 1e-8, 1e-10, err_msg=key)
    for name in ("running_mean", "running_var"):
        np.testing.assert_allclose(*(getattr(network.rest["norm"], name) for network in networks), 1e-9)


def scaled_input(kind):
    return {"predict": lambda self, x, train_flg=False: kind.predict(self, x * 1.0, train_flg)}


def doubled_gradient(kind):
    def gradient(self, x, t):
        self.loss(x, t)
        dout = self.last_layer.backward(1) * 2
        for layer in reversed(self.layers):
            dout = layer.backward(dout)
        return {name: getattr(self.layers[place], f"d{name[0]}") for place, names in
                ((0, ("W1", "b1")), (2, ("W2", "b2")), (5, ("W3", "b3")), (8, ("W4", "b4"))) for name in names}

    return {"gradient": gradient}


def weight_decay(kind):
    return {"gradient": lambda self, x, t: {key: value + 0.1 * self.params[key]
                                            for key, value in kind.gradient(self, x, t).items()}}


def weight_decay_in_place(kind):
    def gradient(self, x, t):
        grads = kind.gradient(self, x, t)
        grads["W2"] += 1e-6 * self.params["W2"]
        return grads

    return {"gradient": gradient}


def centred_in_place(kind):
    def predict(self, x, train_flg=False):
        x -= x.mean()
        return kind.predict(self, x, train_flg)

    return {"predict": predict}


def scores_in_place(kind):
    def predict(self, x, train_flg=False):
        y = kind.predict(self, x, train_flg)
        y *= 0.5
        return y

    return {"predict": predict}


def clipped_in_place(kind):
    def gradient(self, x, t):
        np.clip(self.params["W1"], -0.1, 0.1, out=self.params["W1"])
        return kind.gradient(self, x, t)

    return {"gradient": gradient}


def fewer_gradients(kind):
    def gradient(self, x, t):
        grads = kind.gradient(self, x, t)
        grads["b1"] = np.zeros_like(grads["b1"])
        return grads

    return {"gradient": gradient}


def twice(kind):
    def loss(self, x, t):
        kind.loss(self, x, t)
        return kind.loss(self, x, t)

    return {"loss": loss}


@pytest.mark.parametrize("change, reason", [
    (scaled_input, "the input of a Convolution is not the output of the layer before"),
    (doubled_gradient, "the gradient of a SoftmaxWithLoss is changed on its way"),
    (weight_decay, "the gradient of W1 is not just what a layer computed for it"),
    (fewer_gradients, "the gradient of b1 is not just what a layer computed for it"),
    (twice, "a layer runs twice in a pass"),
    *((change, "an array is changed in place on its way") for change in (
        weight_decay_in_place, centred_in_place, scores_in_place, clipped_in_place)),
])
def test_networks_that_do_more_train_layer_by_layer(reader, change, reason):
    module, Trainer = reader()
    kind = type("Own", (module.DeepNet,), change(module.DeepNet))
    network = make(kind)
    trainer = train(Trainer, network, x=X.copy())
    assert report.notes == [f"Own trained layer by layer: {reason}"]
    # and as the reader's own code has it
    expected = make(kind)
    np.random.seed(7)
    x = X.copy()
    other = fastconv.Trainer(expected, x, T, x[:20], T[:20], 2, 16, "Adam", {"lr": 0.01}, 30, False)
    other.train()
    assert trainer.train_loss_list == other.train_loss_list


def test_a_layer_of_ones_own_trains_layer_by_layer(reader):
    module, Trainer = reader()
    layers = importlib.import_module("common.layers")

    class Leaky(layers.Relu):
        def forward(self, x):
            return super().forward(x) + 0.1 * np.minimum(x, 0)

    network = make(module.DeepNet)
    network.layers[1] = Leaky()
    train(Trainer, network)
    assert report.notes == ["DeepNet trained layer by layer: Leaky is a layer of the script's own"]


def test_a_prediction_of_ones_own_is_used(reader):
    module, Trainer = reader()

    class Mean(module.DeepNet):
        def predict(self, x, train_flg=False):
            if train_flg:
                return super().predict(x, True)
            return (super().predict(x) + super().predict(x[..., ::-1])) / 2

    network = make(Mean)
    trainer = train(Trainer, network, evaluate_sample_num_per_epoch=None)
    assert report.notes == ["Mean trained on the engine in float32"]
    assert trainer.test_acc_list[-1] == network.accuracy(X[:20], T[:20]) == trainer.final_test_acc


def test_fastconvs_own_networks_need_no_recognition(reader):
    _, Trainer = reader()
    np.random.seed(0)
    network = fastconv.SimpleConvNet((1, 12, 12), hidden_size=10)
    train(Trainer, network)
    assert report.notes == []
