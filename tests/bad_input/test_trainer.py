"""A Trainer refuses what it cannot take when it is made: nothing is trained then, and nothing written."""
from __future__ import annotations

import os
import re
from pathlib import Path

import numpy as np
import pytest
from bad_input.values import NO_NUMBERS, NO_SIZES, WORDS
from toy_network import ToyNetwork, numbered, toy_trainer

from fastconv import DeepConvNet, Trainer
from fastconv.layers import Relu

nan, inf = float("nan"), float("inf")
COUNTS = ["epochs", "mini_batch_size", "evaluate_sample_num_per_epoch", "every", "patience"]


def refused(words, kind=(TypeError, ValueError), **arguments):
    with pytest.raises(kind, match=f"^Trainer: {words}"):
        toy_trainer(**arguments)


@pytest.mark.parametrize("name", COUNTS)
@pytest.mark.parametrize("value", [n for n in NO_SIZES if n is not None], ids=repr)
def test_counts_that_are_none(name, value):
    refused(f"{name} must be an integer, got {re.escape(repr(value))}", TypeError, **{name: value})


@pytest.mark.parametrize("name", COUNTS)
@pytest.mark.parametrize("value", [-1, -(2**63), -(10**30), 2**63, 10**30])
def test_counts_out_of_range(name, value):
    refused(f"{name} must be at (least|most) .*, got {value}", ValueError, **{name: value})


@pytest.mark.parametrize("name", ["epochs", "mini_batch_size"])
def test_counts_that_cannot_be_left_out(name):
    refused(f"{name} must be an integer, got None", TypeError, **{name: None})


@pytest.mark.parametrize("name, values, words", [
    ("schedule", [3, 0.1, "cosine", [0.1], {1: 0.1}], r"schedule is .*, expected a callable such as .*Cosine\("),
    ("on_epoch", [3, "print", [print]], "on_epoch is .*, expected a callable"),
    ("clip", ["1", True, [1.0], np.ones(2), 1j, {}], "clip must be a number"),
    ("clip", [0, 0.0, -1, nan, inf, -inf], "clip must be above 0 and finite"),
    ("callbacks", [3, None, print, True], r"callbacks is .*, expected a list of objects with on_step\(trainer\)"),
    ("callbacks", ["ab", [None], [print], [3]], "callbacks has .*, expected objects with on_step"),
    ("seed", ["1", 1.5, -1, True, {}, nan, b"1"], "seed is .*, expected an integer of at least 0 or a Generator"),
    ("optimizer_param", [None, 3, "lr", [("lr", 1)]], "optimizer_param is .*, expected a mapping"),
    ("optimizer_param", [{"rate": 1}, {1: 2}], "optimizer_param: "),
    ("optimizer", [None, 3, b"SGD", print, ToyNetwork, {}], "optimizer is .*, expected a name or an object"),
    ("optimizer", ["", "sgd ", "adamw"], "there is no optimizer"),
    ("checkpoint", [3, True, b"run", 1.0, [], object()], "checkpoint is .*, expected the path of a folder"),
    ("checkpoint", ["", "a\0b"], r"checkpoint is .*, expected the path of a folder; the working directory is '\.'"),
])
def test_other_arguments(tmp_path, monkeypatch, name, values, words):
    monkeypatch.chdir(tmp_path)
    for value in values:
        refused(words, **{"checkpoint": "run", name: value})
    assert not os.listdir(tmp_path)


@pytest.mark.parametrize("network", [None, 3, DeepConvNet, Relu(), {"params": {}}], ids=repr)
def test_what_is_no_network(network):
    with pytest.raises(TypeError, match="^Trainer: network is .*, expected an object with params, loss, gradient and"):
        Trainer(network, *numbered(), *numbered())


@pytest.mark.parametrize("which", range(4))
@pytest.mark.parametrize("value", NO_NUMBERS.values(), ids=NO_NUMBERS)
def test_data_for_a_network_of_ours(which, value):
    data = [np.ones((2, 1, 12, 12)), np.zeros(2, int)] * 2
    data[which] = value
    name = ("x_train", "t_train", "x_test", "t_test")[which]
    with pytest.raises((TypeError, ValueError), match=f"^Trainer: {name} .*({WORDS})"):
        Trainer(DeepConvNet((1, 12, 12), seed=0), *data)


@pytest.mark.parametrize("which", range(4))
def test_data_for_any_network(which):
    """What another kind of network makes of strings or objects is its own affair; masks and single things are not."""
    data = [*numbered(), *numbered()]
    for value in (None, {}, "abc", 3, np.ma.masked_array(data[which], data[which] == 1), [[1], [2, 3]]):
        wrong = [*data[:which], value, *data[which + 1:]]
        with pytest.raises((TypeError, ValueError), match=r"^Trainer: (x|t)_(train|test) "):
            Trainer(ToyNetwork(), *wrong)


@pytest.mark.parametrize("name, first", [("train", 0), ("test", 2)])
def test_data_sets_without_samples(name, first):
    data = [*numbered(), *numbered()]
    data[first:first + 2] = data[first][:0], data[first + 1][:0]
    with pytest.raises(ValueError, match=f"^Trainer: x_{name} has no samples"):
        Trainer(ToyNetwork(), *data)


def test_a_subclass_of_arrays_stays_one(tmp_path):
    """A data set larger than the memory may be a file."""
    x = np.memmap(tmp_path / "x", np.float32, "w+", shape=(23, 1))
    trainer = Trainer(ToyNetwork(), x, np.arange(23) % 10, *numbered())
    assert isinstance(trainer.x_train, np.memmap) and trainer.x_train.base is x.base


@pytest.mark.parametrize("folder", ["", 3, b"run", None])
def test_resume(tmp_path, monkeypatch, folder):
    monkeypatch.chdir(tmp_path)
    with pytest.raises((TypeError, ValueError), match=r"^Trainer.resume: (folder is .*expected|there is no folder)"):
        toy_trainer()[1].resume(folder)
    assert not os.listdir(tmp_path)


@pytest.mark.parametrize("rate", ["x", None, 1j, [0.1], np.ones(2)], ids=repr)
def test_a_schedule_that_gives_no_number(rate):
    network, trainer = toy_trainer(schedule=lambda done: rate)
    with pytest.raises(TypeError, match="lr must be a number"):
        trainer.train()
    np.testing.assert_array_equal(network.params["w"], np.zeros(2))


def test_paths_are_paths(tmp_path):
    for folder in (tmp_path / "a", str(tmp_path / "b")):
        toy_trainer(checkpoint=folder, epochs=1)[1].train()
        assert Path(folder, "checkpoint.npz").is_file()
