"""The figures of a row, from its times and those of its comparators."""
from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from fastconv import dispatch

from .measure import Measured

BASELINES = ("book", "reference")
PEERS = ("torch", "torch-nhwc", "onnxruntime", "openvino", "openvino-default")


def figures(measured: Measured, name: str, traffic: float) -> dict[str, Any]:
    """Return what the JSON says of implementation `name`; a ratio above 1 means that `name` is the faster one."""
    workload, seconds = measured.workload, measured.median(name)
    peers = {peer: measured.median(peer) for peer in PEERS if peer in measured.times and peer != name}
    reduced = min((peers.pop(peer) for peer in measured.reduced & peers.keys()), default=None)
    best_peer = min(peers, key=lambda peer: peers[peer], default=None)
    found: dict[str, Any] = {
        "workload": workload.name, "section": workload.group, "implementation": name, "threads": measured.n_threads,
        "ours": name in dispatch.backends(), "headline": workload.headline, "ops": list(workload.ops),
        "median": seconds, "fastest": min(measured.times[name]),
        "flops": workload.flops, "bytes": traffic, "best_peer": best_peer,
    }
    for baseline in (*BASELINES, "numba"):
        if baseline in measured.times and baseline != name:
            found[f"ratio_{baseline}"] = measured.median(baseline) / seconds
    if best_peer is not None:
        found["ratio_peer"] = peers[best_peer] / seconds
    if reduced is not None:
        found["ratio_reduced"] = reduced / seconds
    return found


def add_limits(extra: dict[str, Any], limits: Mapping[int, Sequence[float]]) -> None:
    """Add GFLOP/s, GB/s and their share of the machine's limits (threads, FLOP/s, bytes/s) to a row's figures."""
    for amount, rate, share, which in (("flops", "gflops", "peak_share", 1), ("bytes", "gbytes", "copy_share", 2)):
        if extra.get(amount):
            per_second = extra[amount] / extra["median"]
            extra[rate] = per_second / 1e9
            if extra["threads"] in limits:
                extra[share] = per_second / limits[extra["threads"]][which]


