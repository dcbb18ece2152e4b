"""The names at the top of fastconv, and what an import of it loads."""
from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

import fastconv


def test_every_name_is_there_and_in_the_stub():
    stub = ast.parse(Path(fastconv.__file__).with_suffix(".pyi").read_text(encoding="utf-8"))
    where = {alias.name: node.module for node in stub.body if isinstance(node, ast.ImportFrom) for alias in node.names}
    assert where == fastconv._MODULES
    listed = next(node.value for node in stub.body if isinstance(node, ast.Assign))
    assert ast.literal_eval(listed) == fastconv.__all__
    for name in fastconv.__all__:
        assert getattr(fastconv, name) is getattr(sys.modules[f"fastconv.{where[name]}"], name)
        assert name in dir(fastconv)


def test_star_import_and_modules():
    names: dict[str, object] = {}
    exec("from fastconv import *", names)
    assert set(fastconv.__all__) <= set(names)
    done = run("import fastconv; print(fastconv.layers.Relu.__name__, fastconv.util.im2col.__name__)")
    assert done == "Relu im2col"
    assert run("import fastconv; print(fastconv.__version__)").startswith("0.")


def test_other_names():
    with pytest.raises(AttributeError, match="module 'fastconv' has no attribute 'Convolutoin'"):
        _ = fastconv.Convolutoin
    with pytest.raises(ImportError, match="cannot import name 'relu'"):
        exec("from fastconv import relu")


@pytest.mark.parametrize("statement, unloaded", [
    ("import fastconv", {"numpy", "numba", "matplotlib"}),
    ("from fastconv import *", {"numba", "matplotlib", "PIL", "safetensors", "zipfile"}),
    ("from fastconv.layers import Convolution", {"numba", "matplotlib", "fastconv.trainer", "fastconv.models"}),
])
def test_an_import_loads_no_more_than_it_needs(statement, unloaded):
    loaded = set(run(f"{statement}\nimport sys; print(*sys.modules)").split())
    assert not unloaded & loaded


def run(program: str) -> str:
    return subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stdout.strip()
