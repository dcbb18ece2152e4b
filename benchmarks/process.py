"""What needs a process of its own: the memory of a training step, the time of an import and of a first call.

    python -m benchmarks.process memory native 100 2      # implementation, batch, threads
    python -m benchmarks.process batch 10000 100          # images, of which so many at a time
    python -m benchmarks.process photographs training-step vgg16 64
    python -m benchmarks.process growth 2000              # steps
    python -m benchmarks.process import fastconv
    python -m benchmarks.process first native

prints one JSON object; `run` starts it and returns that.
"""
from __future__ import annotations

import importlib
import json
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

STEPS = 2


def memory(implementation: str, batch: int, n_threads: int) -> dict[str, Any]:
    """Train for a few steps; return the process's peak resident size before and after them, and the seconds of each."""
    import numpy as np

    from .measure import SEED
    from .table import networks, workloads
    makers = workloads()["training-step/batch-100"].makers
    runner = makers[implementation](networks.images(batch, np.random.default_rng(SEED)), n_threads)
    before, seconds = peak(), []
    with runner.context():
        for _ in range(STEPS):
            start = time.perf_counter()
            runner.run()
            seconds.append(time.perf_counter() - start)
    return {"peak_bytes": peak(), "bytes_before": before, "seconds": seconds}


def batch_memory(images: int, batch: int) -> dict[str, Any]:
    """Train DeepConvNet on `batch` of the images at a time; return the process's peak, without the images and labels,
    and how much of it the steps added.
    """
    import numpy as np

    import fastconv

    from .table import networks
    x, t, params = networks.images(images, np.random.default_rng(0))
    network, adam, before, seconds = networks.our_network(params), fastconv.Adam(), resident(), []
    for step in range(STEPS):
        start = time.perf_counter()
        adam.update(network.params, network.gradient(x, t, (np.arange(batch) + step * batch) % images))
        seconds.append(time.perf_counter() - start)
    return {"peak_bytes": peak() - x.nbytes - t.nbytes, "added_bytes": peak() - before, "seconds": seconds}


def photograph_memory(what: str, name: str, batch: int) -> dict[str, Any]:
    """Train a network of the zoo on photographs with Adam, or predict; return the process's peak and what the calls
    added to the network and the images.
    """
    import numpy as np

    import fastconv

    from .table import photographs
    x, t, network = photographs.photographs(name, batch, np.random.default_rng(0))
    adam, built, seconds = fastconv.Adam(), peak(), []
    before = restart_peak()
    for _ in range(STEPS):
        start = time.perf_counter()
        if what == "training-step":
            adam.update(network.params, network.gradient(x, t))
        else:
            network.predict(x)
        seconds.append(time.perf_counter() - start)
    return {"peak_bytes": max(built, peak()), "added_bytes": peak() - before, "seconds": seconds}


def growth(steps: int) -> dict[str, Any]:
    """Train DeepConvNet on batches of 10; return how the resident size grows after a tenth of the steps to warm up."""
    import numpy as np

    import fastconv

    from .table import networks
    x, t, params = networks.images(1000, np.random.default_rng(0))
    network, adam, sizes, seconds = networks.our_network(params), fastconv.Adam(), [], []
    for count in (steps // 10, steps):
        start = time.perf_counter()
        for i in range(count):
            batch = np.arange(10) + 10 * (i % 100)
            adam.update(network.params, network.gradient(x, t, batch))
        seconds.append((time.perf_counter() - start) / max(count, 1))
        sizes.append(resident())
    return {"grown_bytes": sizes[1] - sizes[0], "resident_bytes": sizes[1], "seconds": seconds[1:]}


def resident() -> int:
    """Return the resident size now, in bytes; where the system does not say it, the largest so far."""
    try:
        pages = int(Path("/proc/self/statm").read_text().split()[1])
    except OSError:
        return peak()
    return pages * os.sysconf("SC_PAGE_SIZE")


def peak() -> int:
    """Return the largest resident size so far, in bytes."""
    import resource
    try:  # Linux's ru_maxrss begins with the size of the process that started this one
        status = Path("/proc/self/status").read_text()
        return next(int(line.split()[1]) * 1024 for line in status.splitlines() if line.startswith("VmHWM:"))
    except (OSError, StopIteration):
        size = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        return size if sys.platform == "darwin" else size * 1024


def restart_peak() -> int:
    """Let `peak` begin anew, and return the resident size now.

    Raises
    ------
    OSError
        If the system cannot.
    """
    Path("/proc/self/clear_refs").write_text("5")  # proc(5): resets VmHWM
    return resident()


def importing(module: str) -> dict[str, Any]:
    """Return the seconds that one import takes."""
    start = time.perf_counter()
    importlib.import_module(module)
    return {"seconds": [time.perf_counter() - start]}


def first_call(backend: str) -> dict[str, Any]:
    """Return the seconds of a process's first prediction of one image, what it compiles and loads for it included, and
    of its second.
    """
    import numpy as np

    import fastconv
    network, x, seconds = fastconv.DeepConvNet(seed=0), np.ones((1, 1, 28, 28), np.float32), []
    for _ in range(2):
        start = time.perf_counter()
        fastconv.use(backend)
        network.predict(x)
        seconds.append(time.perf_counter() - start)
    return {"seconds": seconds[:1], "second_call": seconds[1]}


def run(*arguments: object, n_threads: int, **environment: str) -> dict[str, Any]:
    """Run this module as a process, its libraries pinned to so many threads, with more environment variables.

    Raises
    ------
    RuntimeError
        If it fails; with its last words.
    """
    pinned = {name: str(n_threads) for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS",
                                                "FASTCONV_NUM_THREADS")}
    root = Path(__file__).parents[1]
    done = subprocess.run([sys.executable, "-m", "benchmarks.process", *map(str, arguments)], cwd=root, text=True,
                          env=os.environ | pinned | environment, capture_output=True)
    if done.returncode:
        raise RuntimeError(f"{' '.join(map(str, arguments))}: {(done.stderr.strip() or 'no message').splitlines()[-1]}")
    return json.loads(done.stdout)


def main(argv: list[str]) -> int:
    match argv:
        case ["memory", implementation, batch, n_threads]:
            found = memory(implementation, int(batch), int(n_threads))
        case ["batch", images, batch]:
            found = batch_memory(int(images), int(batch))
        case ["photographs", ("training-step" | "inference") as what, name, batch]:
            found = photograph_memory(what, name, int(batch))
        case ["growth", steps]:
            found = growth(int(steps))
        case ["import", module]:
            found = importing(module)
        case ["first", backend]:
            found = first_call(backend)
        case _:
            print(__doc__, file=sys.stderr)
            return 2
    print(json.dumps(found))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
