"""The book's fully connected networks: their layers, their random numbers, weight decay, their errors."""
from __future__ import annotations

import inspect

import numpy as np
import pytest

from fastconv.layers import Affine, BatchNormalization, Dropout, Relu, Sigmoid, SoftmaxWithLoss
from fastconv.models import MultiLayerNet, MultiLayerNetExtend, TwoLayerNet
from fastconv.trainer import Trainer

SHAPES = {"W1": (6, 5), "b1": (5,), "W2": (5, 4), "b2": (4,), "W3": (4, 3), "b3": (3,)}
DECAY = 0.3
NEAR = {"rtol": 1e-6, "atol": 5e-7}  # the numerical gradient includes the 1e-7 of the book's loss, 1e-7 / y of it


def net(kind=MultiLayerNet, **changes):
    """Three Affine layers in float64, all biases, gammas and betas other than they start."""
    network = kind(6, [5, 4], 3, **{"dtype": np.float64, "seed": 0, **changes})
    rng = np.random.default_rng(1)
    for key, value in network.params.items():
        if key[0] != "W":
            value += rng.uniform(0.1, 0.5, value.shape)
    return network


def batch(seed=2, n=8):
    rng = np.random.default_rng(seed)
    return rng.normal(0.3, 1, (n, 6)), rng.integers(0, 3, n)


def relu(a):
    return np.maximum(a, 0)


def sigmoid(a):
    return 1 / (1 + np.exp(-a))


def scores(params, x, activation=relu, normalize=False, kept=1.0):
    """What the networks compute, in plain NumPy; `normalize` takes the statistics of `x`, as in training."""
    count = sum(key[0] == "W" for key in params)
    for i in range(1, count):
        a = x @ params[f"W{i}"] + params[f"b{i}"]
        if normalize:
            a = params[f"gamma{i}"] * (a - a.mean(axis=0)) / np.sqrt(a.var(axis=0) + 1e-6) + params[f"beta{i}"]
        x = kept * activation(a)
    return x @ params[f"W{count}"] + params[f"b{count}"]


def cross_entropy(y, t):
    e = np.exp(y)
    return -np.log((e / e.sum(axis=1, keepdims=True))[np.arange(len(t)), t] + 1e-7).mean()


def squares(params):
    return sum((W.astype(np.float64) ** 2).sum() for key, W in params.items() if key[0] == "W")


def test_two_layer_net_has_the_books_layers():
    network = TwoLayerNet(6, 5, 3)
    assert [(name, type(layer)) for name, layer in network.layers.items()] == [
        ("Affine1", Affine), ("Relu1", Relu), ("Affine2", Affine)]
    assert type(network.lastLayer) is SoftmaxWithLoss and network.lastLayer is network.last_layer
    assert {key: value.shape for key, value in network.params.items()} == {
        "W1": (6, 5), "b1": (5,), "W2": (5, 3), "b2": (3,)}


@pytest.mark.parametrize("activation, kind", [("relu", Relu), ("sigmoid", Sigmoid)])
def test_multi_layer_net_has_the_books_layers(activation, kind):
    network = MultiLayerNet(6, [5, 4], 3, activation)
    assert [(name, type(layer)) for name, layer in network.layers.items()] == [
        ("Affine1", Affine), ("Activation_function1", kind), ("Affine2", Affine), ("Activation_function2", kind),
        ("Affine3", Affine)]
    assert {key: value.shape for key, value in network.params.items()} == SHAPES


@pytest.mark.parametrize("dropout", [False, True])
@pytest.mark.parametrize("batchnorm", [False, True])
def test_extend_has_the_books_layers(dropout, batchnorm):
    network = MultiLayerNetExtend(6, [5, 4], 3, "sigmoid", use_dropout=dropout, dropout_ration=0.2,
                                  use_batchnorm=batchnorm)
    kinds = {"Affine": Affine, "BatchNorm": BatchNormalization, "Activation_function": Sigmoid, "Dropout": Dropout}
    block = ["Affine"] + batchnorm * ["BatchNorm"] + ["Activation_function"] + dropout * ["Dropout"]
    names = [f"{name}{i}" for i in (1, 2) for name in block] + ["Affine3"]
    assert [(name, type(layer)) for name, layer in network.layers.items()] == [
        (name, kinds[name[:-1]]) for name in names]
    assert {layer.dropout_ratio for name, layer in network.layers.items() if "Dropout" in name} == (
        {0.2} if dropout else set())
    of_batchnorm = {"gamma1": (5,), "beta1": (5,), "gamma2": (4,), "beta2": (4,)} if batchnorm else {}
    assert {key: value.shape for key, value in network.params.items()} == SHAPES | of_batchnorm


def test_parameters_are_those_of_the_layers():
    network = net(MultiLayerNetExtend, use_batchnorm=True)
    for i in (1, 2, 3):
        assert network.layers[f"Affine{i}"].W is network.params[f"W{i}"]
        assert network.layers[f"Affine{i}"].b is network.params[f"b{i}"]
    for i in (1, 2):
        assert network.layers[f"BatchNorm{i}"].gamma is network.params[f"gamma{i}"]
        assert network.layers[f"BatchNorm{i}"].beta is network.params[f"beta{i}"]


def test_a_layer_that_is_added_later_is_in_layers():
    network, more, named = net(), Affine(np.zeros((3, 2)), np.zeros(2)), Relu()
    network.add(more)
    network.add(named, name="last")
    assert list(network.layers)[-3:] == ["Affine3", 5, "last"]
    assert network.layers[5] is more and network.layers["last"] is named


def test_layers_cannot_be_replaced_without_effect():
    with pytest.raises(TypeError, match="does not support item assignment"):
        net().layers["Activation_function1"] = Sigmoid()


MULTI_LAYER = {"activation": "relu", "weight_init_std": "relu", "weight_decay_lambda": 0}


@pytest.mark.parametrize("kind, sizes, defaults", [
    (TwoLayerNet, ["input_size", "hidden_size", "output_size"], {"weight_init_std": 0.01}),
    (MultiLayerNet, ["input_size", "hidden_size_list", "output_size"], MULTI_LAYER),
    (MultiLayerNetExtend, ["input_size", "hidden_size_list", "output_size"],
     MULTI_LAYER | {"use_dropout": False, "dropout_ration": 0.5, "use_batchnorm": False}),
])
def test_the_books_arguments(kind, sizes, defaults):
    arguments = [p for p in inspect.signature(kind).parameters.values() if p.kind is p.POSITIONAL_OR_KEYWORD]
    assert [p.name for p in arguments] == sizes + list(defaults)
    assert [p.default for p in arguments[3:]] == list(defaults.values())


@pytest.mark.parametrize("std, gain", [("relu", 2), ("he", 2), ("He", 2), ("sigmoid", 1), ("xavier", 1), (0.05, None)])
@pytest.mark.parametrize("kind", [MultiLayerNet, MultiLayerNetExtend])
def test_random_numbers_are_those_of_the_book(kind, std, gain):
    np.random.seed(11)
    network = kind(6, [5, 4], 3, weight_init_std=std)
    np.random.seed(11)
    for key, shape in SHAPES.items():
        scale = np.sqrt(gain / shape[0]) if gain else std
        expected = scale * np.random.randn(*shape) if key[0] == "W" else np.zeros(shape)
        assert network.params[key].dtype == np.float32
        np.testing.assert_array_equal(network.params[key], expected.astype(np.float32))


def test_random_numbers_of_two_layer_net_are_those_of_the_book():
    np.random.seed(11)
    network = TwoLayerNet(6, 5, 3)
    np.random.seed(11)
    for key, shape in (("W1", (6, 5)), ("W2", (5, 3))):
        assert network.params[key].dtype == np.float32
        np.testing.assert_array_equal(network.params[key], (0.01 * np.random.randn(*shape)).astype(np.float32))
    assert not network.params["b1"].any() and not network.params["b2"].any()


def test_batch_normalization_starts_as_the_identity():
    params = MultiLayerNetExtend(6, [5], 3, use_batchnorm=True).params
    np.testing.assert_array_equal(params["gamma1"], np.ones(5, np.float32), strict=True)
    np.testing.assert_array_equal(params["beta1"], np.zeros(5, np.float32), strict=True)


@pytest.mark.parametrize("kind, arguments, train_flg, plain", [
    (MultiLayerNet, {}, False, {}),
    (MultiLayerNet, {"activation": "sigmoid"}, False, {"activation": sigmoid}),
    (MultiLayerNetExtend, {}, True, {}),
    (MultiLayerNetExtend, {"use_dropout": True, "dropout_ration": 0.2}, False, {"kept": 0.8}),
    (MultiLayerNetExtend, {"use_batchnorm": True}, True, {"normalize": True}),
    (MultiLayerNetExtend, {"use_batchnorm": True, "use_dropout": True, "dropout_ration": 0.0}, True,
     {"normalize": True}),
])
def test_predict_and_loss_are_those_of_plain_numpy(kind, arguments, train_flg, plain):
    x, t = batch()
    network = net(kind, weight_decay_lambda=DECAY, **arguments)
    expected = scores(network.params, x, **plain)
    np.testing.assert_allclose(network.predict(x, train_flg=train_flg), expected, 1e-12)
    more = {"train_flg": train_flg} if kind is MultiLayerNetExtend else {}
    np.testing.assert_allclose(network.loss(x, t, **more),
                               cross_entropy(expected, t) + 0.5 * DECAY * squares(network.params), 1e-12)


def test_two_layer_net_is_that_of_plain_numpy():
    x, t = batch()
    network = TwoLayerNet(6, 5, 3, weight_init_std=0.7, dtype=np.float64, seed=0)
    expected = scores(network.params, x)
    np.testing.assert_allclose(network.predict(x), expected, 1e-12)
    np.testing.assert_allclose(network.loss(x, t), cross_entropy(expected, t), 1e-12)


@pytest.mark.parametrize("kind, arguments", [
    (MultiLayerNet, {}),
    (MultiLayerNet, {"activation": "sigmoid", "weight_decay_lambda": DECAY}),
    (MultiLayerNetExtend, {"use_batchnorm": True, "weight_decay_lambda": DECAY}),
    (MultiLayerNetExtend, {"use_batchnorm": True, "activation": "sigmoid"}),
])
def test_gradient_is_the_numerical_one(kind, arguments):
    network, (x, t) = net(kind, weight_init_std=0.3, **arguments), batch()
    grads, expected = network.gradient(x, t), network.numerical_gradient(x, t)
    assert list(grads) == list(expected) == list(network.params)
    for key in grads:
        np.testing.assert_allclose(grads[key], expected[key], **NEAR, err_msg=key)


def test_gradient_of_two_layer_net_is_the_numerical_one():
    network, (x, t) = TwoLayerNet(6, 5, 3, weight_init_std=0.3, dtype=np.float64, seed=0), batch()
    expected = network.numerical_gradient(x, t)
    for key, grad in network.gradient(x, t).items():
        np.testing.assert_allclose(grad, expected[key], **NEAR, err_msg=key)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_weight_decay_adds_to_the_gradients_of_W_alone(dtype):
    x, t = batch()
    with_decay = net(MultiLayerNetExtend, use_batchnorm=True, weight_decay_lambda=DECAY, dtype=dtype)
    without = net(MultiLayerNetExtend, use_batchnorm=True, dtype=dtype)
    grads, plain = with_decay.gradient(x, t), without.gradient(x, t)
    for key, W in with_decay.params.items():
        added = DECAY * W if key[0] == "W" else 0
        assert grads[key].dtype == dtype
        np.testing.assert_allclose(grads[key], plain[key] + added, 4 * np.finfo(dtype).eps, 1e-7, err_msg=key)


@pytest.mark.parametrize("dtype", [np.float16, np.float32])
def test_the_penalty_of_many_small_weights_is_exact(dtype):
    network = MultiLayerNet(300, [2000], 10, weight_decay_lambda=DECAY, dtype=dtype, seed=0)
    np.testing.assert_allclose(network.penalty, 0.5 * DECAY * squares(network.params), 1e-12)


def test_extends_loss_is_of_a_prediction_unless_it_trains():
    network, (x, t) = net(MultiLayerNetExtend, use_batchnorm=True), batch()
    network.gradient(*batch(3))
    normalization = network.layers["BatchNorm1"]
    before = normalization.running_mean.copy()
    np.testing.assert_allclose(network.loss(x, t), cross_entropy(network.predict(x), t), 1e-12)
    np.testing.assert_array_equal(normalization.running_mean, before)
    np.testing.assert_allclose(network.loss(x, t, train_flg=True),
                               cross_entropy(scores(network.params, x, normalize=True), t), 1e-12)
    a = x @ network.params["W1"] + network.params["b1"]
    np.testing.assert_allclose(normalization.running_mean, 0.9 * before + 0.1 * a.mean(axis=0), 1e-12)


def test_extends_loss_drops_only_where_it_trains():
    network, (x, t) = net(MultiLayerNetExtend, use_dropout=True), batch(n=50)
    predicted = cross_entropy(scores(network.params, x, kept=0.5), t)
    np.testing.assert_allclose([network.loss(x, t), network.loss(x, t)], predicted, 1e-12)
    trained = {network.loss(x, t, train_flg=True) for _ in range(3)}
    assert len(trained) == 3 and predicted not in trained


def test_accuracy_is_the_share_of_right_predictions():
    network, (x, t) = net(MultiLayerNetExtend, use_dropout=True), batch(n=230)
    expected = np.mean(scores(network.params, x, kept=0.5).argmax(axis=1) == t)
    assert 0 < expected < 1
    assert network.accuracy(x, t) == network.accuracy(x, np.eye(3)[t]) == expected


@pytest.mark.parametrize("kind, arguments, error, words", [
    (MultiLayerNet, {"activation": "tanh"}, ValueError, "activation is 'tanh', expected 'relu' or 'sigmoid'"),
    (MultiLayerNet, {"weight_init_std": "lecun"}, ValueError,
     "weight_init_std is 'lecun', expected a number or 'relu', 'he', 'sigmoid', 'xavier'"),
    (MultiLayerNet, {"weight_init_std": None}, TypeError, "weight_init_std must be a number, got None"),
    (MultiLayerNet, {"weight_decay_lambda": "0.1"}, TypeError, "weight_decay_lambda must be a number, got '0.1'"),
    (MultiLayerNet, {"input_size": 0}, ValueError, "input_size must be at least 1, got 0"),
    (MultiLayerNet, {"hidden_size_list": 5}, TypeError, "hidden_size_list is 5, expected a sequence of integers"),
    (MultiLayerNet, {"hidden_size_list": [5, 0]}, ValueError, "each of hidden_size_list must be at least 1, got 0"),
    (MultiLayerNetExtend, {"output_size": 2.5}, TypeError, "output_size must be an integer, got 2.5"),
    (TwoLayerNet, {"hidden_size": -1}, ValueError, "hidden_size must be at least 1, got -1"),
])
def test_wrong_arguments_are_named(kind, arguments, error, words):
    hidden = {"hidden_size": 5} if kind is TwoLayerNet else {"hidden_size_list": [5]}
    with pytest.raises(error, match=f"{kind.__name__}: {words}"):
        kind(**{"input_size": 6, **hidden, "output_size": 3, **arguments})


def test_a_wrong_dropout_ration_is_refused():
    with pytest.raises(ValueError, match="dropout_ratio must be from 0 to 1, got 1.5"):
        MultiLayerNetExtend(6, [5], 3, use_dropout=True, dropout_ration=1.5)


def test_parameters_go_to_a_file_and_back(tmp_path):
    network, other = (net(MultiLayerNetExtend, use_batchnorm=True, seed=seed) for seed in (0, 1))
    network.params["gamma2"][:] = 3
    network.save_params(tmp_path / "params.npz")
    x, _ = batch()
    assert not np.array_equal(network.predict(x, train_flg=True), other.predict(x, train_flg=True))
    other.load_params(tmp_path / "params.npz")
    np.testing.assert_array_equal(network.predict(x, train_flg=True), other.predict(x, train_flg=True))
    for key, value in network.params.items():
        np.testing.assert_array_equal(other.params[key], value)
        assert other.params[key] is not value


def test_same_seed_same_network():
    x, _ = batch()
    for first, other, equal in ((3, 3, True), (3, np.random.default_rng(3), True), (3, 4, False)):
        a, b = (MultiLayerNetExtend(6, [50, 4], 3, use_dropout=True, seed=seed) for seed in (first, other))
        assert all(np.array_equal(a.params[key], b.params[key]) for key in a.params if key[0] == "W") == equal
        assert np.array_equal(a.predict(x, train_flg=True), b.predict(x, train_flg=True)) == equal


def test_a_seed_leaves_numpys_global_generator_alone():
    np.random.seed(5)
    TwoLayerNet(6, 5, 3, seed=0)
    MultiLayerNetExtend(6, [5], 3, use_dropout=True, seed=0).predict(np.ones((2, 6)), train_flg=True)
    drawn = np.random.rand()
    np.random.seed(5)
    assert drawn == np.random.rand()


def test_the_trainer_counts_the_penalty_and_the_network_learns():
    rng = np.random.default_rng(0)
    t = rng.integers(0, 3, 300)
    x = rng.normal(size=(300, 6)) + 4 * np.eye(3, 6)[t]
    network = net(weight_decay_lambda=0.01)
    trainer = Trainer(network, x[:200], t[:200], x[200:], t[200:], epochs=30, mini_batch_size=200,
                      optimizer_param={"lr": 0.3}, verbose=False, seed=1)
    expected = []
    for _ in range(3):
        expected.append(cross_entropy(scores(network.params, x[:200]), t[:200]) + 0.005 * squares(network.params))
        trainer.train_step()
    np.testing.assert_allclose(trainer.train_loss_list, expected, 1e-12)
    trainer.train()
    assert trainer.final_test_acc > 0.95
