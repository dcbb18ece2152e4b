"""Every kernel test runs on every available backend and in both precisions."""

from __future__ import annotations

import os
from functools import partial

import numpy as np
import pytest
from kernels import harness

from fastconv import dispatch

# the harness asks for three threads; Numba has as many as there are CPUs, unless this is set before it is imported
os.environ.setdefault("NUMBA_NUM_THREADS", "4")


@pytest.fixture(params=[np.float32, np.float64], ids=["float32", "float64"])
def dtype(request):
    return request.param


@pytest.fixture(params=dispatch.backends())
def run(request):
    """`harness.run` on one backend: ``run(op, *inputs_and_geometry, outputs=[...])``."""
    return partial(harness.run, request.param)


@pytest.fixture(params=[name for name in dispatch.backends() if name != "reference"])
def run_compiled(request):
    """`harness.run` on a backend that has the reference to be compared with."""
    return partial(harness.run, request.param)
