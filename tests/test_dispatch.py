"""The table of kernels, the choice of a backend and of an instruction set, and what they say of themselves."""
from __future__ import annotations

import importlib.util
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


needs_numba = pytest.mark.skipif(importlib.util.find_spec("numba") is None, reason="Numba is not installed")


def test_native_is_built_and_first():
    assert dispatch.backends()[0] == "native" and dispatch.backends()[-1] == "reference"
    assert ("numba" in dispatch.backends()) == (importlib.util.find_spec("numba") is not None)


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
    kernels.relu_forward(x, x.copy(), n_threads=3)
    assert called == ([7, 3] if dispatch.backend() == "reference" else [7])


def test_unknown_backend_names_the_known_ones():
    with pytest.raises(ValueError, match="no backend 'cuda'; there are: native, numba, reference"):
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


def test_a_kernel_loads_its_own_module_alone():
    program = """
import sys
from fastconv.kernels import native
before = {*sys.modules, f"{native.__name__}.{native.level}"}
assert callable(native.relu_forward) and not hasattr(native, "convolve")
print(*{name.rpartition(".")[2] for name in sys.modules if native.__name__ in name and name not in before})
"""
    assert run_python(program).stdout.split() == ["elementwise"]


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


MISSING_NATIVE = """
import sys, warnings
sys.modules["fastconv.kernels.native"] = None      # as on a machine where nothing was compiled
import numpy as np
import fastconv
from fastconv import dispatch
with warnings.catch_warnings(record=True) as caught:
    warnings.simplefilter("always")
    for _ in range(3):
        fastconv.Relu().forward(np.ones((2, 2), np.float32))
caught = [warning for warning in caught if "fastconv" in str(warning.message)]
print(len(caught), caught[0].category.__name__, dispatch.backend())
print(caught[0].message)
"""


def test_without_compiled_kernels_and_numba_numpy_computes_and_says_so():
    """Once; so it is where Numba is there but cannot be imported."""
    for simulated in ("sys.modules['numba'] = None", "sys.modules['numba.core'] = None"):
        done = run_python(MISSING_NATIVE.replace("import numpy", f"{simulated}; import numpy"), FASTCONV_BACKEND="")
        first, message = done.stdout.strip().split("\n", 1)
        assert first == "1 RuntimeWarning reference"
        assert "C compiler" in message and "pip install -e ." in message and "pip install 'fastconv[numba]'" in message


@needs_numba
def test_without_compiled_kernels_numba_computes_and_says_so_once():
    done = run_python(MISSING_NATIVE, FASTCONV_BACKEND="")
    first, message = done.stdout.strip().split("\n", 1)
    assert first == "1 RuntimeWarning numba"
    assert "C compiler" in message and "fastconv warmup" in message


@needs_numba
def test_numba_is_imported_at_its_first_use():
    program = """
import sys
import numpy as np
from fastconv import config, dispatch
from fastconv.dispatch import kernels
found = config.config()
assert found["backend"] == "native" and "numba" in found["backends"] and found["numba"][:2] == "0."
assert found["numba_layer"] is found["numba_threads"] is None
print("numba" in sys.modules)
dispatch.use("numba")
x = np.arange(-2, 2, dtype=np.float32)
kernels.relu_forward(x, x)
print("numba" in sys.modules, x.tolist(), config.config()["numba_threads"])
"""
    done = run_python(program, FASTCONV_BACKEND="", NUMBA_NUM_THREADS="2")
    assert done.stdout.splitlines() == ["False", "True [0.0, 0.0, 0.0, 1.0] 2"], done.stderr


@needs_numba
def test_the_threading_layer_is_shown_once_it_is_loaded():
    program = """
import numpy as np
from fastconv import config, dispatch
with dispatch.use("numba"):
    before = config.config()["numba_layer"]
    x = np.ones(1 << 22, np.float32)
    dispatch.kernels.relu_forward(x, x, n_threads=2)
    print(before, config.config()["numba_layer"])
    config.show_config()
"""
    done = run_python(program, NUMBA_NUM_THREADS="2", NUMBA_THREADING_LAYER="workqueue")
    assert done.stdout.startswith("None workqueue\n"), done.stderr
    for line in ("numba layer      workqueue", "numba threads    2", "backend          numba"):
        assert line in done.stdout


def test_numba_that_is_missing_or_old_is_told(monkeypatch):
    before = dispatch.backend()
    monkeypatch.setitem(sys.modules, "numba", None)
    assert "numba" not in dispatch.backends()
    with pytest.raises(ImportError, match=r"'numba' is not installed here.*pip install 'fastconv\[numba\]'"):
        use("numba")
    monkeypatch.setattr(dispatch, "numba_version", lambda: "0.59.1")
    assert "numba" not in dispatch.backends()
    with pytest.raises(ImportError, match=r"pip install --upgrade .*Numba 0\.59\.1 is here, 0\.60 or newer is needed"):
        use("numba")
    assert dispatch.backend() == before


@pytest.mark.parametrize("version, usable", [("0.60.0", True), ("0.61.0dev0+12.g0a1b", True), ("1.0", True),
                                             ("0.59.9", False), ("0.6", False), (None, False)])
def test_versions_of_numba(monkeypatch, version, usable):
    monkeypatch.setattr(dispatch, "numba_version", lambda: version)
    assert dispatch.available("numba") == usable


@needs_numba
def test_the_kernels_refuse_an_old_numba():
    program = """
import numba
numba.version_info, numba.__version__ = numba.version_info._replace(short=(0, 59)), "0.59.1"
import fastconv.kernels.jit
"""
    assert "ImportError: fastconv's Numba backend needs Numba 0.60 or newer, found 0.59.1" in run_python(program).stderr


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
