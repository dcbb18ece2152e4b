"""What the figures were measured on: processor, caches, instruction set, BLAS, versions, limits."""
from __future__ import annotations

import os
import platform
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from fastconv.config import config
from fastconv.probe import Limits, limits
from fastconv.threads import cgroup_quota, usable_cpus

LIBRARIES = ("numpy", "torch", "onnxruntime", "openvino", "pytest-benchmark", "threadpoolctl", "Cython")
SETTINGS = ("FASTCONV_NUM", "FASTCONV_MAX", "FASTCONV_BACKEND", "OMP_", "GOMP_", "MKL_NUM", "OPENBLAS_")


def describe() -> dict[str, Any]:
    """Return everything that does not change during a run."""
    return {
        "cpu": cpu_name(), "cpus": os.cpu_count(), "usable_cpus": usable_cpus(), "cgroup_quota": cgroup_quota(),
        "caches": caches(), "memory_bytes": memory(), "load_average": list(os.getloadavg()),
        "blas": thread_pools(), "versions": {name: installed(name) for name in LIBRARIES},
        "environment": {name: value for name, value in sorted(os.environ.items()) if name.startswith(SETTINGS)},
        **config(),
    }


def cpu_name() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor() or platform.machine()
    names = [line.partition(":")[2].strip() for line in lines if line.startswith(("model name", "Model"))]
    return names[0] if names else platform.machine()


def caches() -> dict[str, str]:
    """Return the sizes of the first CPU's caches: ``{"L1 Data": "32K", ...}``."""
    found = {}
    for folder in sorted(Path("/sys/devices/system/cpu/cpu0/cache").glob("index*")):
        level, kind, size = ((folder / name).read_text().strip() for name in ("level", "type", "size"))
        found[f"L{level} {kind}"] = size
    return found


def memory() -> int:
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")


def thread_pools() -> list[dict[str, Any]]:
    """Return other libraries' pools (BLAS, OpenMP) in this process, without paths; ours is config()'s `thread_pool`."""
    import threadpoolctl
    pools = threadpoolctl.threadpool_info()
    return [{key: value for key, value in pool.items() if key != "filepath"} for pool in pools]


def installed(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None


def measured_limits(n_threads: int) -> dict[int, Limits]:
    """Return the limits of one thread and of `n_threads`; nothing where the compiled kernels are missing."""
    try:
        return {n: limits(n) for n in sorted({1, n_threads})}
    except ImportError:
        return {}


def better(a: dict[int, Limits], b: dict[int, Limits]) -> dict[int, Limits]:
    """Return the higher limits of two measurements: on a shared machine a low one only means that it was busy."""
    return {n: Limits(n, max(a[n].flops_per_second, b[n].flops_per_second),
                      max(a[n].bytes_per_second, b[n].bytes_per_second)) for n in a}


def pin(n_threads: int) -> None:
    """Let NumPy's BLAS and every other pool that is loaded use so many threads (PyTorch: see layouts.pin_torch)."""
    import threadpoolctl
    threadpoolctl.threadpool_limits(limits=n_threads)
