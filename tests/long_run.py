"""Trains for a long time, and says whether the process grows or slows down: python tests/long_run.py --steps 100000

DeepConvNet on small batches of the embedded digits, in between predictions of batches of many sizes, layers of their
own and copies of the network. A JSONL file takes a line of the resident memory and of the median time of a step, and
of the processor's time for all, for every thousand steps; the last line is the judgement. The exit code is 1 where
the memory grew by more than --growth MB between a tenth of the steps and the end.
"""
from __future__ import annotations

import argparse
import copy
import gc
import json
import platform
import statistics
import sys
import time
from pathlib import Path
from typing import IO, Any

import numpy as np

from fastconv import Adam, DeepConvNet, dispatch
from fastconv.datasets import load_mnist
from fastconv.layers import BatchNormalization, Convolution, Pooling, Relu
from fastconv.threads import get_num_threads

BATCH = 10
SIZES = 1, 2, 3, 7, 10, 33, 64, 100, 257  # of the batches that are predicted
FEW = SIZES[:5]  # of those that go through layers, which remember them: 0.7 MB at most, else it would hide a growth


def resident_megabytes() -> float:
    """Return the resident memory of this process."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith("VmRSS:"):
            return int(line.split()[1]) / 1024
    raise OSError("/proc/self/status has no line VmRSS")


class Training:
    """A network, its optimizer and what else a long-lived process does with them."""

    def __init__(self, seed: int) -> None:
        (self.x, self.t), (self.x_test, _) = load_mnist(normalize=False, flatten=False, source="excerpt")
        self.rng = np.random.default_rng(seed)
        self.network, self.optimizer = DeepConvNet(seed=seed), Adam(0.0005)
        filters = self.rng.normal(0, 0.1, (24, 1, 5, 3)).astype(np.float32)
        self.layers = [Convolution(filters, np.zeros(24, np.float32), 1, 2),
                       BatchNormalization(np.ones(24, np.float32), np.zeros(24, np.float32)), Relu(), Pooling(3, 2, 2)]

    def step(self) -> float:
        """Take one step; return its seconds."""
        batch = self.rng.integers(0, len(self.x), BATCH)
        start = time.perf_counter()
        self.optimizer.update(self.network.params, self.network.gradient(self.x, self.t, batch))
        return time.perf_counter() - start

    def others(self, step: int) -> None:
        """Do what is done now and then beside the steps."""
        if step % 10 == 0:
            self.network.predict(self._images(self.rng.choice(SIZES)))
        if step % 25 == 0:
            self._by_layers(self.rng.choice(FEW))
        if step % 500 == 0:
            gc.collect()  # the last copy, so that never two of them need memory at once
            copy.deepcopy(self.network).predict(self._images(self.rng.choice(SIZES)))

    def settle(self) -> None:
        """Do all that takes memory with the largest batch: what is measured then does not depend on the last one."""
        gc.collect()
        copy.deepcopy(self.network).predict(self._images(SIZES[-1]))
        self._by_layers(FEW[-1])

    def _by_layers(self, n: int) -> None:
        x = self._images(n).astype(np.float32)
        for layer in self.layers:
            x = layer.forward(x)
        for layer in reversed(self.layers):
            x = layer.backward(x)

    def _images(self, n: int) -> np.ndarray:
        first = self.rng.integers(0, 100)
        return self.x_test[first:first + n]


def run(steps: int, every: int, seed: int, file: IO[str], say: Any = print) -> list[dict[str, float]]:
    """Return a record for every so many steps, and write each to the file when it is known."""
    training, records, seconds = Training(seed), [], []
    training.settle()
    start, used = time.monotonic(), time.process_time()
    for step in range(1, steps + 1):
        seconds.append(training.step())
        training.others(step)
        if step % every == 0 or step == steps:
            training.settle()
            record = {"step": step, "resident_mb": round(resident_megabytes(), 2),
                      "step_ms": round(1000 * statistics.median(seconds), 4),
                      "cpu_ms": round(1000 * (time.process_time() - used) / len(seconds), 4),
                      "loss": round(training.network.last_layer.loss, 4),
                      "hours": round((time.monotonic() - start) / 3600, 4)}
            records.append(record)
            write(file, record)
            say(record)
            seconds, used = [], time.process_time()
    return records


def judge(records: list[dict[str, float]], growth: float) -> dict[str, Any]:
    """Compare the memory at a tenth of the steps with the end, and the first fifth's speed with the last one's.

    Parameters
    ----------
    records : list of dict
        With `step`, `resident_mb`, `step_ms` and `cpu_ms`, in order.
    growth : float
        MB that the memory may grow by.

    Returns
    -------
    dict
        `grown_mb`, `drift` (how many times as long a step takes at the end), `cpu_drift` (how many times as much of the
        processor's time, which other programs disturb less) and `steady`, whether the memory kept to the bound.
    """
    begun = next(record for record in records if 10 * record["step"] >= records[-1]["step"])
    grown = records[-1]["resident_mb"] - begun["resident_mb"]
    fifth = -(-len(records) // 5)

    def drift(what: str) -> float:
        first, last = (statistics.median(record[what] for record in part)
                       for part in (records[:fifth], records[-fifth:]))
        return round(last / first, 3)

    return {"grown_mb": round(grown, 2), "allowed_mb": growth, "drift": drift("step_ms"),
            "cpu_drift": drift("cpu_ms"), "steady": grown <= growth}


def write(file: IO[str], record: dict[str, Any]) -> None:
    file.write(json.dumps(record) + "\n")
    file.flush()


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--steps", type=int, default=100_000, help="training steps (default: %(default)s)")
    parser.add_argument("--every", type=int, default=1000, help="steps from record to record (default: %(default)s)")
    parser.add_argument("--growth", type=float, default=5, help="MB of growth that are allowed (default: %(default)s)")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--output", type=Path, default=Path("long_run.jsonl"), help="default: %(default)s")
    given = parser.parse_args(arguments)
    if given.steps < 1 or given.every < 1:
        parser.error("--steps and --every must be at least 1")
    with open(given.output, "w") as file:
        write(file, {"backend": dispatch.backend(), "threads": get_num_threads(), "python": platform.python_version(),
                     "numpy": np.__version__, "steps": given.steps, "batch": BATCH})
        judgement = judge(run(given.steps, given.every, given.seed, file), given.growth)
        write(file, judgement)
    print(judgement)
    return 0 if judgement["steady"] else 1


if __name__ == "__main__":
    sys.exit(main())
