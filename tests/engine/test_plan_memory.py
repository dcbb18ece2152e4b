"""A plan's memory: it does not grow from step to step, and hardly with the batch."""
from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

import fastconv
from fastconv import dispatch

pytestmark = [
    pytest.mark.skipif(not sys.platform.startswith("linux"), reason="reads Linux's /proc"),
    pytest.mark.skipif(dispatch.plan(dispatch.backend()) is None, reason="this backend has no plans"),
    pytest.mark.skipif("libasan" in os.environ.get("LD_PRELOAD", ""), reason="AddressSanitizer keeps freed memory"),
]

MB = 1 << 20
ENVIRONMENT = os.environ | {"PYTHONPATH": str(Path(fastconv.__file__).parents[1]), "FASTCONV_NUM_THREADS": "2"}

BEGIN = """
import sys
import numpy as np
from fastconv import Adam, Affine, Convolution, DeepConvNet, Dropout, Network, Pooling, Relu

rng = np.random.default_rng(0)

def memory(what):
    with open("/proc/self/status") as status:
        return next(int(line.split()[1]) << 10 for line in status if line.startswith(what))

def growth(network, images, steps):
    t = rng.integers(0, 10, len(images))
    def take(steps):
        for _ in range(steps):
            network.gradient(images, t)
    take(max(50, steps // 10))
    before = memory("VmRSS")
    take(steps)
    return memory("VmRSS") - before
"""

SMALL = BEGIN + """
network = Network()
network.add(Convolution(rng.normal(0, 0.1, (16, 1, 3, 3)), np.zeros(16), 1, 1))
network.add(Relu())
network.add(Pooling(2, 2, 2))
network.add(Dropout(0.5))
network.add(Affine(rng.normal(0, 0.1, (256, 10)), np.zeros(10)))
print(growth(network, rng.integers(0, 256, (5, 1, 8, 8), np.uint8), 2000))
"""

DEEP = BEGIN + """
print(growth(DeepConvNet(seed=1), rng.integers(0, 256, (10, 1, 28, 28), np.uint8), 300))
"""

PEAK = BEGIN + """
batch_size = int(sys.argv[1])
x, t = rng.integers(0, 256, (10_000, 1, 28, 28), np.uint8), rng.integers(0, 10, 10_000)
network, optimizer = DeepConvNet(seed=1), Adam(0.001)
for _ in range(2):
    optimizer.update(network.params, network.gradient(x, t, rng.permutation(len(x))[:batch_size]))
print(memory("VmHWM"))  # ru_maxrss would begin at the peak of the process that has started this one
"""


def number_of(program, *arguments):
    done = subprocess.run([sys.executable, "-c", program, *arguments], env=ENVIRONMENT, capture_output=True, text=True,
                          timeout=300)
    assert done.returncode == 0, done.stderr
    return int(done.stdout)


@pytest.mark.parametrize("program", [SMALL, DEEP], ids=["small", "DeepConvNet"])
def test_steps_leave_nothing_behind(program):
    assert number_of(program) < 1 * MB


def test_a_hundredfold_batch_needs_a_fifth_more_memory_at_most():
    few, many = number_of(PEAK, "100"), number_of(PEAK, "10000")
    assert few > 20 * MB
    assert many <= 1.2 * few, f"{few / MB:.1f} MB for a batch of 100, {many / MB:.1f} MB for one of 10,000"
