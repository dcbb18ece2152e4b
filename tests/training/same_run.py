"""Whether two trainers have come to the same place, bit for bit."""
from __future__ import annotations

from fastconv.training.network_state import layers_of, take_parameters, take_statistics
from fastconv.training.optimizer_state import take_optimizer
from fastconv.training.random_state import generators_of, take_random


def assert_same_run(actual, expected):
    for take in (lambda trainer: take_parameters(trainer.network), lambda trainer: take_statistics(trainer.network),
                 lambda trainer: take_optimizer(trainer.optimizer)[1]):
        assert_same_arrays(take(actual), take(expected))
    assert take_optimizer(actual.optimizer)[0] == take_optimizer(expected.optimizer)[0]
    for name in ("train_loss_list", "train_acc_list", "test_acc_list", "current_iter", "current_epoch", "best_epoch",
                 "final_test_acc"):
        assert getattr(actual, name) == getattr(expected, name), name
    assert without_speed(actual.history) == without_speed(expected.history)
    own = [take_random(generators_of(trainer._rng, layers_of(trainer.network)))["own"]
           for trainer in (actual, expected)]
    assert own[0] == own[1]


def assert_same_arrays(actual, expected):
    assert actual.keys() == expected.keys()
    for key, array in actual.items():
        assert array.dtype == expected[key].dtype and array.shape == expected[key].shape, key
        assert array.tobytes() == expected[key].tobytes(), key


def without_speed(history):
    return [{key: value for key, value in record.items() if key not in ("seconds", "images_per_second")}
            for record in history]
