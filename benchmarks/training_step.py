"""One DeepConvNet training step (forward, backward, Adam): fastconv against the book's way of writing it.

    python benchmarks/training_step.py --batch 100 --threads 2

The gradients are compared first; then both run in turn, A B A B, and the medians and their ratio are printed.
"""
from __future__ import annotations

import argparse
import os
import statistics
import time


def arguments():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--batch", type=int, default=100)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=10, help="rounds, each with one step of the book's network")
    parser.add_argument("--steps", type=int, default=10, help="steps of fastconv per round")
    return parser.parse_args()


def seconds(step):
    start = time.perf_counter()
    step()
    return time.perf_counter() - start


def gradient_without_dropout(network, x, t):
    """Return the gradients of a step in which nothing is dropped: the two networks draw different masks."""
    dropouts = [layer for layer in network.layers if hasattr(layer, "dropout_ratio")]
    ratios = [layer.dropout_ratio for layer in dropouts]
    for layer in dropouts:
        layer.dropout_ratio = -1.0  # every number exceeds it
    grads = network.gradient(x, t)
    for layer, ratio in zip(dropouts, ratios, strict=True):
        layer.dropout_ratio = ratio
    return grads


def check(ours, book):
    """Compare the gradients of one step, float32 against float64."""
    import numpy as np
    for key, expected in book.items():
        error = np.abs(ours[key] - expected).max() / np.abs(expected).max()
        assert error < 1e-4, f"{key}: relative error {error:.1e}"


def main():
    args = arguments()
    # NumPy's BLAS, whichever it is, and ours
    for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "FASTCONV_NUM_THREADS"):
        os.environ[name] = str(args.threads)
    import book
    import numpy as np

    import fastconv
    rng = np.random.default_rng(0)
    x, t = rng.random((args.batch, 1, 28, 28), dtype=np.float32), rng.integers(0, 10, args.batch)
    np.random.seed(0)
    ours = fastconv.DeepConvNet()
    theirs = book.DeepConvNet(ours.params)

    check(gradient_without_dropout(ours, x, t), gradient_without_dropout(theirs, x, t))

    our_adam, their_adam = fastconv.Adam(), book.Adam()
    our_times, their_times = [], []
    for _ in range(args.rounds):
        their_times.append(seconds(lambda: their_adam.update(theirs.params, theirs.gradient(x, t))))
        our_times += [seconds(lambda: our_adam.update(ours.params, ours.gradient(x, t))) for _ in range(args.steps)]
    fastconv.show_config()
    print()
    for name, times in (("book, NumPy float64", their_times), ("fastconv float32", our_times)):
        print(f"{name:<22}median {statistics.median(times) * 1e3:8.2f} ms   min {min(times) * 1e3:8.2f} ms")
    print(f"ratio of the medians  {statistics.median(their_times) / statistics.median(our_times):.1f}")


if __name__ == "__main__":
    main()
