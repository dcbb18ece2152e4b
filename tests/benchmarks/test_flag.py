"""``pytest --benchmark``: the literal command, in processes of its own."""
from __future__ import annotations

import json
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from fastconv import dispatch

ROOT = Path(__file__).parents[2]
ROW = "sigmoid_backward/maps"
IMPLEMENTATIONS = [*dispatch.backends(), "book"]  # of that row
QUICK = ("--benchmark-max-time=0.02", "--benchmark-min-rounds=2", "--benchmark-threads=1", "-p", "no:cacheprovider")

pytestmark = pytest.mark.skipif(not (find_spec("pytest_benchmark") and find_spec("threadpoolctl")),
                                reason="needs the extra 'bench'")


def run_pytest(*arguments):
    return subprocess.run([sys.executable, "-m", "pytest", *map(str, arguments)], cwd=ROOT, capture_output=True,
                          text=True, timeout=300)


@pytest.fixture(scope="module")
def one_row(tmp_path_factory):
    """The output and the JSON of a run of one workload."""
    path = tmp_path_factory.mktemp("run") / "r.json"
    done = run_pytest("--benchmark", "--benchmark-workload", ROW, f"--benchmark-json={path}", *QUICK)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout, json.loads(path.read_text())


def test_runs_the_benchmarks_and_only_them(one_row):
    output, data = one_row
    assert f"test_workload[{ROW}-native]" in output and "Median" in output
    assert f"{len(IMPLEMENTATIONS)} passed" in output
    assert f"\n{ROW} " in output, "a line of progress"
    assert "elementwise" in output.split("geometric means")[1]
    assert [bench["extra_info"]["implementation"] for bench in data["benchmarks"]] == IMPLEMENTATIONS
    assert {bench["group"] for bench in data["benchmarks"]} == {ROW}


def test_json_says_the_figures_and_the_machine(one_row):
    native, *_, reference, book = (bench["extra_info"] for bench in one_row[1]["benchmarks"])
    assert native["ratio_book"] == pytest.approx(book["median"] / native["median"])
    assert native["ratio_reference"] == pytest.approx(reference["median"] / native["median"])
    assert native["gbytes"] == pytest.approx(native["bytes"] / native["median"] / 1e9) and native["copy_share"] > 0
    assert all(bench["stats"]["median"] == pytest.approx(bench["extra_info"]["median"])
               and bench["stats"]["rounds"] >= 2 for bench in one_row[1]["benchmarks"])
    machine, ours = one_row[1]["machine_info"]["fastconv"], one_row[1]["fastconv"]
    assert machine["cpu"] and machine["versions"]["numpy"] and machine["blas"]
    assert machine["backend"] == dispatch.backend()
    assert ours["threads"] == 1 and ours["failed"] == [] and ours["limits"][0]["flops_per_second"] > 1e8


def test_a_wrong_kernel_is_a_failed_row(tmp_path):
    (tmp_path / "spoil.py").write_text(
        "import fastconv.kernels.native as native\n"
        "def sigmoid_backward(dout, out, dx, n_threads):\n    dx[...] = 0\n"
        "native.sigmoid_backward = sigmoid_backward\n")
    path = tmp_path / "r.json"
    command = f"import sys; sys.path.insert(0, {str(tmp_path)!r}); import pytest; sys.exit(pytest.main())"
    done = subprocess.run([sys.executable, "-c", command, "-p", "spoil", "--benchmark", "--benchmark-workload", ROW,
                           f"--benchmark-json={path}", *QUICK], cwd=ROOT, capture_output=True, text=True, timeout=300)
    assert done.returncode == 1 and f"1 failed, {len(IMPLEMENTATIONS) - 1} passed" in done.stdout
    assert "where the largest value is" in done.stdout
    data = json.loads(path.read_text())
    assert [bench["extra_info"]["implementation"] for bench in data["benchmarks"]] == IMPLEMENTATIONS[1:]
    assert data["fastconv"]["failed"][0]["row"] == f"test_workload[{ROW}-native]"


def test_benchmark_only_is_the_same_and_group_by_works():
    done = run_pytest("--benchmark-only", "--benchmark-workload", ROW, "--benchmark-group-by=func", *QUICK)
    assert done.returncode == 0 and f"benchmark 'test_workload': {len(IMPLEMENTATIONS)} tests" in done.stdout


def test_autosave_and_compare():
    (ROOT / ".benchmarks").mkdir(exist_ok=True)
    with TemporaryDirectory(dir=ROOT / ".benchmarks") as storage:  # pytest-benchmark compares below its folder only
        arguments = ("--benchmark", "--benchmark-workload", ROW, f"--benchmark-storage={storage}", *QUICK)
        assert run_pytest(*arguments, "--benchmark-autosave").returncode == 0
        assert len(list(Path(storage).rglob("*.json"))) == 1
        done = run_pytest(*arguments, "--benchmark-compare")
        assert done.returncode == 0 and "(NOW)" in done.stdout


def test_benchmark_disable_contradicts():
    done = run_pytest("--benchmark", "--benchmark-disable", "--benchmark-workload", ROW, *QUICK)
    assert done.returncode != 0 and "--benchmark-disable" in done.stderr


def test_a_plain_run_leaves_benchmarks_out():
    done = run_pytest("--collect-only", "-q", "benchmarks", "tests/test_shapes.py")
    assert done.returncode == 0 and "tests/test_shapes.py" in done.stdout and "test_workload" not in done.stdout


def test_alone_leaves_the_peers_out():
    collect = "--benchmark", "--benchmark-workload", "gemm/tiny", "--collect-only", "-q"
    assert ("gemm/tiny-torch]" in run_pytest(*collect).stdout) == bool(find_spec("torch"))
    alone = run_pytest(*collect, "--benchmark-alone").stdout
    assert "gemm/tiny-native]" in alone and "gemm/tiny-torch]" not in alone


@pytest.mark.parametrize("arguments, words", [
    (("--benchmark-alone",), "need --benchmark"),
    (("--benchmark", "--benchmark-workload", "gem/tiny"), "there is no workload 'gem/tiny'; near it: "),
    (("--benchmark", "--benchmark-threads", "0"), "--benchmark-threads is 0, expected at least 1"),
    (("--benchmark-workload", "gemm/tiny"), "need --benchmark"),
    (("--benchmark", "-p", "no:benchmark"), "pip install -e '.[bench]'"),
])
def test_wrong_command_lines(arguments, words):
    done = run_pytest(*arguments)
    assert done.returncode == 4 and words in done.stderr + done.stdout


@pytest.mark.skipif(not find_spec("xdist"), reason="pytest-xdist is not installed")
def test_refuses_to_run_beside_itself():
    done = run_pytest("--benchmark", "-n", "2")
    assert done.returncode == 4 and "does not run under pytest-xdist" in done.stderr


def test_the_peak_is_the_processs_own():
    from benchmarks import process
    before = bytes(200_000_000)  # of the process that starts it
    found = process.run("batch", 10, 10, n_threads=1)
    assert found["peak_bytes"] < len(before)


def test_processes_report(tmp_path):
    from benchmarks import process
    found = process.run("memory", "native", 2, 1, n_threads=1)
    assert found["peak_bytes"] >= found["bytes_before"] > 1e7 and len(found["seconds"]) == process.STEPS
    large = process.run("batch", 20, 10, n_threads=1)
    assert large["peak_bytes"] > 1e7 and 0 < large["added_bytes"] < large["peak_bytes"]
    for what in ("training-step", "inference"):
        found = process.run("photographs", what, "resnet18", 1, n_threads=1)
        assert found["peak_bytes"] > found["added_bytes"] > 602_112 and len(found["seconds"]) == process.STEPS
    assert abs(process.run("growth", 10, n_threads=1)["grown_bytes"]) < 1e7
    assert process.run("first", "native", n_threads=1)["second_call"] > 0
    assert 0 < process.run("import", "numpy", n_threads=1)["seconds"][0] < 60
    with pytest.raises(RuntimeError, match="import no_such_module: ModuleNotFoundError"):
        process.run("import", "no_such_module", n_threads=1)
