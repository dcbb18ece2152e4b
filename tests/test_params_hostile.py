"""Files that are made to harm: what may be named is a closed list, and memory and time follow the file's size."""
import ast
import gzip
import io
import os
import pickle
import subprocess
import sys
import tracemalloc
from pathlib import Path

import numpy as np
import pytest
from hostile_files import BOMBS, MEGABYTE, ZEROS, of_header, safetensors
from mnist_files import idx_bytes
from torch_files import of_records, tensor, zipped

import fastconv
from fastconv import array_pickle, params, torch_pickle
from fastconv.datasets.idx import DatasetError, read_idx

pytest.importorskip("safetensors")
SOURCES = Path(fastconv.__file__).parent


def test_the_lists_of_names_are_these():
    assert set(array_pickle.DIALECT.names) == set(array_pickle.SEALED_DIALECT.names) == {
        ("numpy", "dtype"), ("numpy", "ndarray"), ("numpy.core.multiarray", "_reconstruct"),
        ("numpy._core.multiarray", "_reconstruct"), ("numpy.core.numeric", "_frombuffer"),
        ("numpy._core.numeric", "_frombuffer"), ("_codecs", "encode"), ("__builtin__", "bytes")}
    kinds = "Float Double Half BFloat16 Long Int Short Char Byte Bool".split()
    dtypes = "float32 float64 float16 bfloat16 int64 int32 int16 int8 uint8 bool uint16 uint32 uint64".split()
    assert set(torch_pickle.DIALECT.names) == {
        ("torch._utils", "_rebuild_tensor"), ("torch._utils", "_rebuild_tensor_v2"),
        ("torch._utils", "_rebuild_tensor_v3"), ("torch._utils", "_rebuild_parameter"), ("torch", "device"),
        ("collections", "OrderedDict"), ("torch.storage", "UntypedStorage"),
        *(("torch", f"{kind}Storage") for kind in kinds), *(("torch", dtype) for dtype in dtypes)}


@pytest.mark.parametrize("name", [
    "numpy.ndarray.__call__", "numpy.dtype.type", "numpy.core.multiarray._reconstruct.x", "numpy.dtypes",
    "numpy.ndarray\0", "Numpy.ndarray", " numpy.ndarray", "_codecs.decode"])
def test_a_name_is_allowed_by_itself_and_not_by_its_beginning(name):
    module, name = name.rsplit(".", 1)
    for data in (f"c{module}\n{name}\n.".encode(), f"V{module}\nV{name}\n".encode() + b"\x93."):
        with pytest.raises(ValueError, match="asks for .*which a dict of arrays does not need"):
            array_pickle.read_arrays(data)


def test_no_module_unpickles_or_evaluates():
    """Nothing in the package calls what runs a file, as a fall-back to plain pickle would; `run` runs the user's."""
    forbidden = {"eval", "exec", "literal_eval", "Unpickler", "loads", "read_array"}
    for path in set(SOURCES.rglob("*.py")) - {SOURCES / "cli" / "script.py"}:
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.ImportFrom):
                assert node.module not in ("pickle", "marshal", "shelve", "numpy.lib.format"), path
            if not isinstance(node, ast.Call):
                continue
            where = f"{path}:{node.lineno}"
            called = ast.unparse(node.func)
            last = called.rpartition(".")[2]
            assert called not in ("pickle.load", "np.load", "torch.load", "marshal.load"), where
            assert last not in forbidden or called == "json.loads", f"{where}: {called}"
            assert not any(word.arg == "allow_pickle" and ast.unparse(word.value) != "False" for word in node.keywords)


@pytest.mark.parametrize("suffix, data, reason", BOMBS.values(), ids=BOMBS.keys())
def test_bombs(tmp_path, suffix, data, reason):
    path = tmp_path / f"p{suffix}"
    path.write_bytes(data)
    most = 40 * MEGABYTE if suffix == ".npz" else 8 * len(data) + MEGABYTE  # a small .npz may be all zeros
    tracemalloc.start()
    try:
        with pytest.raises(ValueError, match=reason) as error:
            params.load(path)
        assert tracemalloc.get_traced_memory()[1] < most
    finally:
        tracemalloc.stop()
    assert str(path) in str(error.value) and len(str(error.value)) < 600


def test_a_bomb_of_digits(tmp_path):
    path = tmp_path / "images"
    for shape, reason in (((3, 2, 5), "it has more"), ((30, 1000, 1000), "more than such a file can hold")):
        path.write_bytes(gzip.compress(idx_bytes(np.zeros(shape)) + bytes(ZEROS * (reason == "it has more"))))
        tracemalloc.start()
        with pytest.raises(DatasetError, match=reason):
            read_idx(path, 3)
        assert tracemalloc.get_traced_memory()[1] < 2 * MEGABYTE
        tracemalloc.stop()


@pytest.mark.parametrize("header", [b"-" * 9000, b"(" * 9000, b"{1:" * 3000, b"1if 1else " * 900], ids=len)
def test_a_header_does_not_overflow_the_stack(tmp_path, header):
    """Python's own parser crashes in a thread of 256 KiB."""
    (tmp_path / "p.npz").write_bytes(of_header(header))
    code = ("import threading; from fastconv import params\n"
            "def load():\n    try: params.load('p.npz')\n    except ValueError as error: print(error)\n"
            "threading.stack_size(256 * 1024); t = threading.Thread(target=load); t.start(); t.join()")
    done = subprocess.run([sys.executable, "-W", "error", "-c", code], cwd=tmp_path, text=True, capture_output=True,
                          env=os.environ | {"PYTHONPATH": str(SOURCES.parent)}, timeout=60)
    assert (done.returncode, done.stderr) == (0, "") and "has no header of an array" in done.stdout


@pytest.mark.parametrize("header", [
    b"{'descr': '<f8', 'fortran_order': False, 'shape': (2, 1), }   \n",
    b"{'descr':'<f8','fortran_order':False,'shape':(2,1)}",
    b'{"descr": "<f8", "fortran_order": True, "shape": (2,1,),}',
    b"{'descr': '<f8', 'fortran_order': False, 'shape': (2L, 1L), }"])
def test_headers_of_other_writers(header):
    read = params.FORMATS[".npz"]().read(io.BytesIO(of_header(header, np.array([1.5, -2.0]).tobytes())))
    np.testing.assert_array_equal(read["W1"], [[1.5], [-2.0]])


def test_names_of_paths_are_only_names(tmp_path):
    names = ["../../up", "/etc/passwd", "a/../b", "C:\\x", "."]
    for suffix in (".pkl", ".npz", ".safetensors"):
        params.save(tmp_path / f"p{suffix}", {name: np.ones(2) for name in names})
        assert set(params.load(tmp_path / f"p{suffix}")) == set(names)
    assert len(list(tmp_path.iterdir())) == 3


@pytest.mark.parametrize("suffix", [".pkl", ".npz", ".safetensors", ".pth"])
def test_what_an_error_quotes_cannot_steer_a_terminal(tmp_path, suffix):
    name = "\x1b]0;owned\x07\x1b[31m\u202e\n" + "x" * 100_000
    data = {".pkl": pickle.dumps({name: 3}), ".npz": of_records({name[:60_000]: b""}),
            ".pth": zipped({name: 3, "W": tensor()}),
            ".safetensors": safetensors(b'{"W":{"dtype":"\\u001b[31m' + b"x" * 100_000 + b'"}}')}[suffix]
    path = tmp_path / f"p{suffix}"
    path.write_bytes(data)
    with pytest.raises(ValueError) as error:
        params.load(path)
    assert str(error.value).isprintable() and len(str(error.value)) < 600
