"""A small training run; as a program, one that is killed at each of `MOMENTS` and resumed by the next process.

Arguments: folder, network, optimizer, seed or "none".
"""
from __future__ import annotations

import os
import signal
import sys
from pathlib import Path

import numpy as np

from fastconv import DeepConvNet, SmallResNet, Trainer

N, BATCH, EPOCHS, EVERY = 26, 8, 3, 3  # 4 steps an epoch, the last of 2 samples
SHAPE = (1, 12, 12)
NETWORKS = {"deep": lambda seed: DeepConvNet(SHAPE, seed=seed),
            "resnet": lambda seed: SmallResNet(8, SHAPE, width=0.25, seed=seed)}
# in the update of step 3, in the evaluation of epoch 1, while the checkpoint of step 6 is written, after step 8, which
# ends an epoch, right after the checkpoint of step 9 took its place, in the last evaluation
MOMENTS = [("update", 2), ("evaluate", 4), ("write", 6), ("step", 8), ("written", 9), ("final", 12)]


def make(folder, network, optimizer, seed):
    """Return a trainer, made as every process of the run makes it."""
    np.random.seed(11)
    rng = np.random.default_rng(0)
    x, t = rng.random((N, *SHAPE), np.float32), rng.integers(0, 10, N)
    return Trainer(NETWORKS[network](seed), x, t, x[:9], t[:9], EPOCHS, BATCH, optimizer, {"lr": 0.003}, seed=seed,
                   verbose=False, checkpoint=folder, every=EVERY)


def kill():
    os.kill(os.getpid(), signal.SIGKILL)


def kill_at(trainer, moment, step):
    """Let the process be killed at this moment of the run."""
    class OnStep:
        def on_step(self, trainer):
            if moment == "step" and trainer.current_iter == step:
                kill()

    update, accuracy, replace = trainer.optimizer.update, trainer.network.accuracy, os.replace

    def updating(params, grads):
        if moment == "update" and trainer.current_iter == step:
            params[next(iter(params))][...] = 7  # half of it is done
            kill()
        update(params, grads)

    def evaluating(x, t):
        if trainer.current_iter == step and (moment == "evaluate" or moment == "final" and trainer.current_epoch == 3):
            kill()
        return accuracy(x, t)

    def replacing(old, new):
        is_it = Path(new).name == "checkpoint.npz" and trainer.current_iter == step
        if is_it and moment == "write":
            kill()
        replace(old, new)
        if is_it and moment == "written":
            kill()

    trainer.callbacks.append(OnStep())
    trainer.optimizer.update, trainer.network.accuracy, os.replace = updating, evaluating, replacing


def main(folder, network, optimizer, seed):
    seed = None if seed == "none" else int(seed)
    for moment in MOMENTS:
        child = os.fork()  # before there is a pool of threads
        if not child:
            trainer = make(folder, network, optimizer, seed)
            if moment is not MOMENTS[0]:
                trainer.resume()
            kill_at(trainer, *moment)
            trainer.train()
            os._exit(0)
        _, status = os.waitpid(child, 0)
        if not os.WIFSIGNALED(status) or os.WTERMSIG(status) != signal.SIGKILL:
            sys.exit(f"the run was not killed at {moment}: status {status}")


if __name__ == "__main__":
    main(*sys.argv[1:])
