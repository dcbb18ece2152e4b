"""A made-up JSON of a run, as pytest-benchmark writes it with what our suites add."""
from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from benchmarks import SCHEMA

MACHINE = {"cpu": "Testing CPU", "caches": {"L1 Data": "32K", "L1 Instruction": "32K"},
           "backends": ["native", "numba", "reference"], "instruction_set": "x86_64_v3",
           "versions": {"numpy": "2.0", "torch": None},
           "blas": [{"user_api": "blas", "internal_api": "openblas", "version": "0.3"}]}


def row(workload: str, implementation: str, median: float, **figures: Any) -> dict[str, Any]:
    extra = {"workload": workload, "section": workload.split("/")[0], "implementation": implementation, "threads": 2,
             "ours": implementation in MACHINE["backends"], "headline": True, "flops": 1e6, "bytes": 1e5,
             "median": median, "fastest": median} | figures
    return {"group": workload, "name": f"test[{workload}-{implementation}]", "extra_info": extra,
            "stats": {"median": median, "min": median, "rounds": 5}}


def run(*rows: dict[str, Any], failed: tuple[dict[str, str], ...] = (), schema: int = SCHEMA) -> dict[str, Any]:
    return {"machine_info": {"fastconv": MACHINE}, "datetime": "2026-01-02T03:04:05+00:00", "benchmarks": list(rows),
            "fastconv": {"schema": schema, "threads": 2, "failed": list(failed), "workloads": [],
                         "limits": [{"threads": 2, "flops_per_second": 2e11, "bytes_per_second": 1e10}]}}


def full(**changes: Any) -> dict[str, Any]:
    """Return a run with a row of every kind."""
    gemm = {"gflops": 100.0, "peak_share": 0.5, "gbytes": 3.0, "copy_share": 0.3, "ratio_peer": 0.8,
            "best_peer": "torch"}
    return run(
        row("gemm/square", "native", 1e-3, ratio_book=12.345, ratio_reference=3.0, ratio_numba=1.25, **gemm),
        row("gemm/square", "numba", 1.25e-3, ratio_book=9.9, ratio_reference=2.4),
        row("gemm/square", "reference", 3e-3, ratio_book=4.1), row("gemm/square", "torch", 0.8e-3),
        row("gemm/tiny", "native", 2e-6, ratio_book=0.5, ratio_reference=0.9, ratio_numba=4.0),
        row("gemm/tiny", "reference", 1e-6),
        row("relu_forward/<maps>", "native", 5e-4, ratio_book=20.0, headline=False),
        *({**row("threads/gemm", "native", 1e-3), "extra_info": {
            "workload": "threads/gemm", "section": "threads", "implementation": "native", "threads": n,
            "median": 1e-3 / n, "speed_up": float(n)}} for n in (1, 2)),
        *({**row("memory/b", "native", 1e-3), "extra_info": {
            "workload": f"memory/batch-{batch}", "section": "memory", "implementation": "native", "batch": batch,
            "threads": 2, "peak_bytes": batch * 1e6, "bytes_before": 1e6}} for batch in (10, 100)),
        {**row("memory/large-batch", "native", 1.0), "extra_info": {
            "workload": "memory/large-batch", "section": "memory-ratio", "implementation": "native", "batch": 10_000,
            "threads": 2, "peak_bytes": 6e7, "ratio": 1.125, "added_bytes": 2e7, "ratio_added": 1.5}},
        *({**row("memory/photographs", "native", 1.0), "extra_info": {
            "workload": f"memory/{what}/vgg16-batch-{batch}", "section": "memory-photographs",
            "implementation": "native", "batch": batch, "threads": 2, "figure": figure, "required": 5e9, "aim": 3.5e9,
            "peak_bytes": 4e9, "added_bytes": value}} for what, batch, figure, value in (
                ("training-step", 64, "peak_bytes", 1e9), ("inference", 8, "added_bytes", 3e9))),
        {**row("memory/growth", "native", 1.0), "extra_info": {
            "workload": "memory/growth", "section": "memory-growth", "implementation": "native", "threads": 2,
            "grown_bytes": 123_456}},
        row("inference/batch-1", "native", 2e-4, ratio_reduced=0.75),
        {**row("denormals", "native", 2.5e-2), "extra_info": {
            "workload": "denormals/training-step", "section": "denormals", "implementation": "native", "threads": 2,
            "ratio": 1.25}},
        {**row("start-up/first-call", "numba", 2.5), "extra_info": {
            "workload": "start-up/first-call", "section": "start-up", "implementation": "numba", "threads": 2}},
        {**row("start-up/import", "numpy", 0.1), "extra_info": {
            "workload": "start-up/import", "section": "start-up", "implementation": "numpy", "threads": 2}},
        **changes)


def save(path: Path, data: dict[str, Any]) -> str:
    path.write_text(json.dumps(data))
    return str(path)
