"""The table of kernels, the choice of a backend and of an instruction set, and what they say of themselves."""
from __future__ import annotations

import json
import os
import subprocess
import sys

import numpy as np
import pytest

from fastconv import config, dispatch
from fastconv.dispatch import kernels, use


def run_python(program, **environment):
    return subprocess.run([sys.executable, "-c", program], capture_output=True, text=True,
                          env={**os.environ, **environment})


def test_native_is_built_and_first():
    assert dispatch.backends() == ("native", "reference")


def test_operations_resolve_in_every_backend():
    for backend in dispatch.backends():
        for op in dispatch.OPERATIONS:
            assert callable(dispatch.kernel(op, backend))


def test_use_as_a_block_and_as_a_call():
    before = dispatch.backend()
    with use("reference"):
        assert dispatch.backend() == "reference"
        with use("native"):
            assert dispatch.backend() == "native"
        assert dispatch.backend() == "reference"
    assert dispatch.backend() == before
    use("reference")
    assert dispatch.backend() == "reference"
    use(before)


def test_forced_backend_is_the_one_that_runs(monkeypatch):
    called = []
    monkeypatch.setattr("fastconv.kernels.reference.relu_forward", lambda *args: called.append(args[-1]))
    x = np.zeros(3, np.float32)
    with use("reference"):
        kernels.relu_forward(x, x.copy(), n_threads=7)
    kernels.relu_forward(x, x.copy())
    assert called == [7]


def test_unknown_backend_names_the_known_ones():
    with pytest.raises(ValueError, match="no backend 'cuda'; there are: native, reference"):
        use("cuda")


def test_unknown_operation_names_the_known_ones():
    with pytest.raises(AttributeError, match="no operation 'convolve'; there are: convolution_forward"):
        kernels.convolve  # noqa: B018


def test_environment_forces_a_backend():
    program = "from fastconv import dispatch; print(dispatch.backend())"
    assert run_python(program, FASTCONV_BACKEND="reference").stdout.strip() == "reference"
    assert "no backend 'fast'" in run_python(program, FASTCONV_BACKEND="fast").stderr


def test_max_isa_caps_the_level():
    from fastconv.kernels import native
    program = "from fastconv.kernels import native; print(native.level)"
    for level in native.built_levels():
        assert run_python(program, FASTCONV_MAX_ISA=level).stdout.strip() == level
    assert "the levels are: baseline" in run_python(program, FASTCONV_MAX_ISA="avx9").stderr


def test_every_level_of_this_cpu_agrees_with_the_reference():
    from fastconv.kernels import native
    program = """
import numpy as np
from fastconv.dispatch import kernel
rng = np.random.default_rng(0)
x, w, b = rng.standard_normal((3, 9, 8, 5)), rng.standard_normal((17, 5, 3, 3)), rng.standard_normal(17)
outs = []
for backend in ("native", "reference"):
    out = np.empty((3, 9, 8, 17))
    kernel("convolution_forward", backend)(x, w, b, (1, 1), (1, 1), (1, 1), 1, out, 2)
    outs.append(out)
print(np.abs(outs[0] - outs[1]).max() < 1e-12)
"""
    for level in native.built_levels():
        assert run_python(program, FASTCONV_MAX_ISA=level).stdout.strip() == "True"


def test_missing_kernels_are_said_once_and_numpy_computes():
    program = """
import sys, warnings
sys.modules["fastconv.kernels.native"] = None      # as on a machine where nothing was compiled
import numpy as np
import fastconv
with warnings.catch_warnings(record=True) as caught:
    warnings.simplefilter("always")
    for _ in range(3):
        fastconv.Relu().forward(np.ones((2, 2), np.float32))
print(len(caught), caught[0].category.__name__, fastconv.dispatch.backend())
print(caught[0].message)
"""
    done = run_python(program)
    first, message = done.stdout.strip().split("\n", 1)
    assert first == "1 RuntimeWarning reference"
    assert "C compiler" in message and "pip install" in message


def test_import_is_light():
    program = """
import sys
import fastconv
heavy = {"numba", "matplotlib", "torch", "pooch", "requests", "tqdm", "PIL", "scipy"} & set(sys.modules)
print(sorted(heavy))
"""
    assert run_python(program).stdout.strip() == "[]"


def test_show_config(capsys):
    config.show_config()
    text = capsys.readouterr().out
    for word in ("backend", "native", "instruction set", "thread pool", "threads", "numpy", "python"):
        assert word in text
    found = json.loads(json.dumps(config.config()))
    assert found["backend"] in found["backends"]
    assert found["instruction_set"] in found["instruction_sets"]
