"""The native kernels touch nothing outside of their arrays: forbidden pages (Linux), guards that stay (everywhere)."""
from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path
from unittest import mock

import numpy as np
import pytest
from kernels import harness

from fastconv import dispatch

linux = pytest.mark.skipif(sys.platform != "linux", reason="mprotect as Linux has it")
native = pytest.mark.skipif(not dispatch.available("native"), reason="no compiled kernels here")


def run(*words):
    program = Path(__file__).with_name("guard_pages.py")
    return subprocess.run([sys.executable, program, *words], capture_output=True, text=True, timeout=600,
                          env=os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, sys.path))})


@linux
@native
@pytest.mark.parametrize("side", ["end", "start"])
def test_nothing_beside_the_arrays_is_touched(side):
    done = run(side)
    assert (done.returncode, done.stdout) == (0, "done\n"), done.stderr


@linux
@native
@pytest.mark.parametrize("side, fault", [("end", "overrun"), ("start", "underrun"), ("end", "input")])
def test_one_element_too_many_is_noticed(side, fault):
    done = run(side, fault)
    assert done.returncode == -signal.SIGSEGV or "SEGV" in done.stderr, (done.returncode, done.stderr)


@pytest.mark.parametrize("wrong", [-1, 5])
def test_the_harness_of_all_kernel_tests_notices_it_too(wrong):
    def relu_forward(x, out, n_threads):
        out[...] = x
        np.lib.stride_tricks.as_strided(out, (7,), out.strides)[max(wrong, 0)] = 1
        if wrong < 0:
            out.base[harness.GUARD * 8 - 1] = 0

    with mock.patch.object(dispatch, "kernel", lambda op, backend: relu_forward), pytest.raises(AssertionError):
        harness.run("reference", "relu_forward", np.ones(5), outputs=[(5,)])
