"""What the README's table and the page say alike: numbers, the machine, the losses."""
from __future__ import annotations

from ..results import Results, Row, losses

# the share of native's speed that Numba's kernels should reach, and how the names of the rows begin
NUMBA_MARKS = {
    "convolutions and matrix products": (0.65, ("convolution", "gemm", "layer/Convolution", "two-pools")),
    "whole networks": (0.6, ("training-step", "inference", "epoch")),
    "other kernels": (0.8, ("",)),
}


def seconds(value: float) -> str:
    """Return a time with its unit and three digits."""
    factor, unit = (1.0, "s") if value >= 1 else (1e3, "ms") if value >= 1e-3 else (1e6, "µs")
    return f"{value * factor:.3g} {unit}" if value * factor < 999.5 else f"{value * factor:.0f} {unit}"


def times(ratio: float | None) -> str:
    """Return a ratio, three digits and no more."""
    if ratio is None:
        return ""
    return f"{ratio:.0f}" if ratio >= 100 else f"{ratio:.1f}" if ratio >= 10 else f"{ratio:.2f}"


def percent(share: float | None) -> str:
    return "" if share is None else f"{share * 100:.0f} %"


def peer(row: Row) -> str:
    """Return the ratio to the best peer, with its name."""
    return f"{times(row['ratio_peer'])} ({row['best_peer']})" if "ratio_peer" in row else ""


def share(row: Row) -> str:
    """Return the share of our speed that the Numba kernels reach."""
    return f"{1 / row['ratio_numba']:.2f}" if "ratio_numba" in row else ""


def numba(results: Results) -> list[str]:
    """Return sentences about the Numba kernels: how many rows reach their mark, and which do not; the first call."""
    found = []
    for kind, (mark, _) in NUMBA_MARKS.items():
        rows = [row for row in results.ours() if "ratio_numba" in row and _numba_kind(row) == kind]
        below = sorted((row for row in rows if 1 / row["ratio_numba"] < mark), key=lambda row: -row["ratio_numba"])
        names = ", ".join(f"{row['workload']} ({share(row)})" for row in below)
        if rows:
            found.append(f"The Numba kernels reach {mark} of this speed in {len(rows) - len(below)} of {len(rows)} "
                         f"rows of {kind}{'; below it: ' + names if names else ''}.")
    if found and results.numba_alone:
        found.append("Numba's shares are from a run without the peers: beside another OpenMP library, on so few "
                     "cores, GNU OpenMP lets Numba's threads sleep between two loops, and waking them takes up to "
                     "20 µs.")
    for row in results.of("start-up"):
        if row["workload"] == "start-up/first-call" and row["implementation"].startswith("numba"):
            found.append(f"The first prediction of a process takes {seconds(row['median'])} with "
                         f"{row['implementation']}.")
    return found


def _numba_kind(row: Row) -> str:
    return next(kind for kind, (_, beginnings) in NUMBA_MARKS.items() if row["workload"].startswith(beginnings))


def machine(results: Results) -> str:
    """Return a sentence about what the run was made on."""
    m = results.machine
    blas = next((f"{pool['internal_api']} {pool['version']}" for pool in m["blas"] if pool["user_api"] == "blas"),
                "no BLAS found")
    caches = ", ".join(f"{name} {size}" for name, size in m["caches"].items() if "Instruction" not in name)
    limit = results.limit(results.threads)
    limits = (f" Measured limits: {limit['flops_per_second'] / 1e9:.0f} GFLOP/s of float32 multiply-adds, "
              f"{limit['bytes_per_second'] / 1e9:.0f} GB/s copied." if limit else "")
    versions = ", ".join(f"{name} {version}" for name, version in m["versions"].items()
                         if version and name in ("numpy", "torch", "onnxruntime", "openvino"))
    return (f"{results.date}, {m['cpu']} ({caches}), {results.threads} threads, kernels for "
            f"{m['instruction_set'] or 'no compiled level'}; {versions}, {blas}.{limits}")


def beside(results: Results) -> list[str]:
    """Return sentences about what is no row of the table: threads, memory, denormal numbers."""
    found, best = [], results.machine["backends"][0]
    for row in results.of("threads"):
        if row["threads"] > 1 and row["implementation"] == best:
            found.append(f"{row['workload'].removeprefix('threads/')} on {row['threads']} threads takes "
                         f"{1 / row['speed_up']:.2f} of its time on one.")
    for row in results.of("memory-ratio"):
        whole, added = (f"{row[key] / 1e6:.0f} MB" for key in ("peak_bytes", "added_bytes"))
        found.append(f"A process that trains on {row['batch']:,} images at a time takes {whole} beside the images, "
                     f"{row['ratio']:.2f} times as much as with 100 at a time; the steps add {added} of it, "
                     f"{row['ratio_added']:.2f} times as much.")
    found += [f"2,000 training steps leave the process {row['grown_bytes'] / 1e6:.2f} MB larger."
              for row in results.of("memory-growth")]
    found += [_photographs(row) for row in results.of("memory-photographs")]
    found += [f"Denormal numbers make a training step {row['ratio']:.2f} times as long."
              for row in results.of("denormals")]
    reduced = [row for row in results.ours() if "ratio_reduced" in row]
    if reduced:
        ratios = ", ".join(f"{times(row['ratio_reduced'])} ({row['workload']})" for row in reduced)
        found.append("OpenVINO's default precision, here less than float32, is no peer of the table; against it "
                     f"fastconv is {ratios} times as fast.")
    return found


def _photographs(row: Row) -> str:
    """Return a sentence about the memory of a large network and the marks for it."""
    figure, required, aim = (f"{row[name] / 1e6:.0f} MB" for name in (row["figure"], "required", "aim"))
    of = "beyond the network and the images" if row["figure"] == "added_bytes" else "for the whole process"
    return (f"{row['workload'].removeprefix('memory/')} takes {figure} of memory {of}; required are {required}, "
            f"the aim is {aim}.")


def losing(results: Results) -> list[str]:
    """Return sentences about where fastconv is slower, by name."""
    found, ours = [], results.ours()
    for ratio, whom in (("ratio_book", "the book's NumPy"), ("ratio_reference", "the float32 reference"),
                        ("ratio_peer", "the best peer")):
        rows, of = losses(results, ratio), sum(ratio in row for row in ours)
        if of:
            names = ", ".join(f"{row['workload']} ({times(row[ratio])})" for row in rows)
            found.append(f"Slower than {whom} in {len(rows)} of {of} rows{': ' + names if names else ''}.")
    found += numba(results)
    if results.failed:
        found.append("Failed, so without a time: "
                     + "; ".join(f"{failure['row']}: {failure['reason']}" for failure in results.failed) + ".")
    return found
