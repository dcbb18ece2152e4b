"""Learning-rate schedules, and how the Trainer follows them."""
from __future__ import annotations

import math

import pytest
from toy_network import toy_trainer

from fastconv.schedules import Cosine, Steps


def test_cosine():
    schedule = Cosine(0.8, 10)
    assert [schedule(done) for done in (0, 5, 10, 11)] == pytest.approx([0.8, 0.4, 0, 0])
    assert schedule(2.5) == pytest.approx(0.4 * (1 + math.sqrt(0.5)))


def test_cosine_with_a_rise():
    schedule = Cosine(0.8, 10, warmup=2)
    assert [schedule(done) for done in (0, 0.5, 1.5, 2, 6, 10, 12)] == pytest.approx([0, 0.2, 0.6, 0.8, 0.4, 0, 0])


def test_steps():
    schedule = Steps(0.5, {3: 0.1, 1.5: 0.2, 6: 0.5})
    assert [schedule(done) for done in (0, 1.4, 1.5, 2.9, 3, 6)] == pytest.approx([0.5, 0.5, 0.1, 0.1, 0.01, 0.005])


@pytest.mark.parametrize("make, message", [
    (lambda: Cosine(0, 3), "Cosine: lr must be above 0"),
    (lambda: Cosine(1, math.nan), "Cosine: epochs must be above 0"),
    (lambda: Cosine(1, 3, 3), "Cosine: warmup must be from 0 to below epochs, 3, got 3"),
    (lambda: Cosine(1, 3, -1), "Cosine: warmup"), (lambda: Steps(math.inf, {}), "Steps: lr"),
    (lambda: Steps(1, {2: -0.1}), "Steps: each factor must be above 0"),
])
def test_wrong_numbers(make, message):
    with pytest.raises(ValueError, match=message):
        make()


@pytest.mark.parametrize("optimizer", ["SGD", "Momentum", "Adam"])
def test_the_trainer_asks_for_each_step(optimizer):
    asked, used = [], []
    _, trainer = toy_trainer(optimizer=optimizer, epochs=2, schedule=lambda done: asked.append(done) or done + 1)
    update = trainer.optimizer.update
    trainer.optimizer.update = lambda params, grads: (used.append(trainer.optimizer.lr), update(params, grads))
    trainer.train()
    expected = [epoch + done / 23 for epoch in (0, 1) for done in (0, 5, 10, 15, 20)]
    assert asked == pytest.approx(expected) and used == pytest.approx([done + 1 for done in expected])


def test_a_resumed_run_follows_the_same_schedule(tmp_path):
    def made(**more):
        return toy_trainer(epochs=2, optimizer="Momentum", schedule=Cosine(0.1, 2), **more)

    network, trainer = made(checkpoint=tmp_path, every=2)
    network.on_gradient = lambda call: 1 / 0 if call == 6 else None
    with pytest.raises(ZeroDivisionError):
        trainer.train()
    (resumed, trainer), (whole, other) = made(), made()
    trainer.resume(tmp_path)
    assert trainer.current_iter == 4
    trainer.train()
    other.train()
    assert resumed.params["w"].tobytes() == whole.params["w"].tobytes()


def test_an_optimizer_without_a_learning_rate():
    class Own:
        def update(self, params, grads):
            pass

    with pytest.raises(TypeError, match="schedule sets the optimizer's lr, and a Own has none"):
        toy_trainer(optimizer=Own(), schedule=Cosine(0.1, 3))
