"""fastconv warmup."""
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

import fastconv
from fastconv import dispatch
from fastconv.cli import main

needs_numba = pytest.mark.skipif("numba" not in dispatch.backends(), reason="Numba is not installed")


def run_python(program, **environment):
    root = str(Path(fastconv.__file__).parents[1])
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=900,
                          env={**os.environ, "PYTHONPATH": root, "NUMBA_NUM_THREADS": "2", "NUMBA_DISABLE_JIT": "0",
                               **environment})
    assert done.returncode == 0, done.stderr
    return done.stdout


@needs_numba
def test_everything_that_training_needs_is_compiled():
    """In both precisions, alone and shared, for predictions too; afterwards nothing is compiled but loaded."""
    program = """
import numpy as np
import fastconv
from fastconv.cli import main
from fastconv.cli.warmup_cases import loops
assert main(["warmup", "--json"]) == 0
before = {loop: (len(loop.alone.signatures), len(loop.shared.signatures)) for loop in loops()}
assert all(alone and shared for alone, shared in before.values()), {loop.__name__: n for loop, n in before.items()}
fastconv.use("numba")
for dtype in ("float32", "float64"):
    network = fastconv.DeepConvNet(dtype=np.dtype(dtype), seed=0)
    x = np.random.default_rng(0).random((20, 1, 28, 28)).astype(dtype)
    for n in (1, 2):
        with fastconv.threads.threads(n):
            network.gradient(x, np.zeros(20, np.int64))
            network.predict(x)
            network.predict(x[:1])
assert before == {loop: (len(loop.alone.signatures), len(loop.shared.signatures)) for loop in loops()}
"""
    found = json.loads(run_python(program))
    assert found["compiled"] + found["loaded"] > 100
    assert Path(found["cache"]).is_dir() and found["seconds"] > 0


@needs_numba
def test_a_second_warmup_compiles_nothing(tmp_path):
    program = "from fastconv.cli import main; main(['warmup', '--dtype', 'float32'])"
    run_python(program)
    first, last = run_python(program).splitlines()
    assert first.startswith("compiling Numba's kernels")
    assert last.startswith("compiled 0 kernels and found ") and "kept in " in last and " s; " in last


@needs_numba
def test_nothing_is_compiled_where_numba_may_not(tmp_path):
    program = "from fastconv.cli import main; print(main(['warmup']))"
    assert run_python(program, NUMBA_DISABLE_JIT="1") == "1\n"


@needs_numba
def test_every_operation_is_among_the_calls():
    import numpy as np

    from fastconv.cli.warmup_cases import calls
    assert {op for op, *_ in calls(np.dtype("float32"))} == set(dispatch.OPERATIONS)


def test_missing_numba_is_told_without_a_traceback(capsys, monkeypatch):
    monkeypatch.setitem(sys.modules, "numba", None)
    assert main(["warmup"]) == 1
    text = capsys.readouterr()
    assert not text.out and text.err.startswith("fastconv warmup: error: ")
    assert "'numba' is not installed here" in text.err and "pip install 'fastconv[numba]'" in text.err


def test_help_has_examples(capsys):
    with pytest.raises(SystemExit) as stop:
        main(["warmup", "--help"])
    assert stop.value.code == 0
    text = capsys.readouterr().out
    assert "  fastconv warmup --dtype float32" in text and "NUMBA_CACHE_DIR" in text and "--json" in text


def test_a_wrong_precision_is_2(capsys):
    with pytest.raises(SystemExit) as stop:
        main(["warmup", "--dtype", "float16"])
    assert stop.value.code == 2 and "invalid choice: 'float16'" in capsys.readouterr().err
