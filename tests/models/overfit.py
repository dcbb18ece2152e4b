"""Training on 256 images until all are right."""
from __future__ import annotations

from fastconv import Trainer, load_mnist


def assert_overfits(network, batch=32, most=60):
    """The network has all of 256 digits right after at most so many epochs."""
    (x, t), _ = load_mnist(normalize=False, flatten=False, source="excerpt")
    x, t = x[:256], t[:256]
    trainer = Trainer(network, x, t, x[:1], t[:1], epochs=1, mini_batch_size=batch, optimizer="Adam",
                      optimizer_param={"lr": 0.001}, verbose=False, seed=3)
    for _ in range(most):
        trainer.train()
        if network.accuracy(x, t) == 1:
            return
    raise AssertionError(f"accuracy {network.accuracy(x, t):.3f} after {most} epochs, loss "
                         f"{trainer.train_loss_list[-1]:.3f}")
