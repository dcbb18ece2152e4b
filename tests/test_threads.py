"""The one rule for the number of threads."""
from __future__ import annotations

import multiprocessing
import os
import subprocess
import sys
from functools import partial

import numpy as np
import pytest

from fastconv import threads as rule
from fastconv.dispatch import kernels

VARIABLES = ("FASTCONV_NUM_THREADS", "OMP_NUM_THREADS")


@pytest.fixture(autouse=True)
def fresh_default(monkeypatch):
    monkeypatch.setattr(rule, "_process_default", None)


def test_default_is_the_cpus_this_process_may_use(monkeypatch):
    for name in VARIABLES:
        monkeypatch.delenv(name, raising=False)
    assert rule.get_num_threads() == rule.usable_cpus() >= 1


@pytest.mark.parametrize("environment, expected", [
    ({"FASTCONV_NUM_THREADS": "3", "OMP_NUM_THREADS": "5"}, 3),
    ({"FASTCONV_NUM_THREADS": "", "OMP_NUM_THREADS": "5"}, 5),
    ({"FASTCONV_NUM_THREADS": "", "OMP_NUM_THREADS": "7,2"}, 7),
])
def test_environment(monkeypatch, environment, expected):
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    assert rule.get_num_threads() == expected


@pytest.mark.parametrize("value", ["many", "0", "-2", "2.5"])
def test_environment_that_is_no_number_is_named_and_ignored(monkeypatch, value):
    monkeypatch.setenv("FASTCONV_NUM_THREADS", value)
    monkeypatch.setenv("OMP_NUM_THREADS", "4")
    with pytest.warns(UserWarning, match="FASTCONV_NUM_THREADS"):
        assert rule.get_num_threads() == 4


def test_order_argument_block_process_environment(monkeypatch):
    monkeypatch.setenv("FASTCONV_NUM_THREADS", "2")
    rule.set_num_threads(3)
    assert rule.resolve(None) == 3
    with rule.threads(4):
        assert rule.resolve(None) == 4
        assert rule.resolve(5) == 5
    assert rule.resolve(None) == 3


@pytest.mark.parametrize("wrong, error", [(0, ValueError), (-1, ValueError), (2.0, TypeError), ("2", TypeError),
                                          (True, TypeError)])
def test_wrong_counts(wrong, error):
    with pytest.raises(error, match="number of threads"):
        rule.set_num_threads(wrong)
    with pytest.raises(error, match="number of threads"), rule.threads(wrong):
        pass


@pytest.mark.parametrize("files, quota", [
    ({"cpu.max": "150000 100000\n"}, 1.5),
    ({"cpu.max": "max 100000\n"}, None),
    ({"cpu/cpu.cfs_quota_us": "200000\n", "cpu/cpu.cfs_period_us": "100000\n"}, 2.0),
    ({"cpu/cpu.cfs_quota_us": "-1\n", "cpu/cpu.cfs_period_us": "100000\n"}, None),
    ({}, None),
])
def test_cgroup_quota(tmp_path, files, quota):
    for name, text in files.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text)
    assert rule.cgroup_quota(tmp_path) == quota


def test_quota_caps_the_default(monkeypatch, tmp_path):
    for name in VARIABLES:
        monkeypatch.delenv(name, raising=False)
    (tmp_path / "cpu.max").write_text("50000 100000\n")
    monkeypatch.setattr(rule, "cgroup_quota", partial(rule.cgroup_quota, tmp_path))
    assert rule.usable_cpus() == rule.get_num_threads() == 1


@pytest.mark.skipif(not hasattr(os, "sched_setaffinity"), reason="this system has no CPU affinity")
def test_affinity_caps_the_default():
    program = ("import os; os.sched_setaffinity(0, [min(os.sched_getaffinity(0))])\n"
               "from fastconv.threads import get_num_threads, usable_cpus; print(usable_cpus(), get_num_threads())")
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True,
                          env={name: value for name, value in os.environ.items() if name not in VARIABLES})
    assert done.stdout.split() == ["1", "1"]


def big_product():
    a = np.ones((300, 300), np.float32)
    out = np.empty((300, 300), np.float32)
    kernels.gemm(a, a, None, out, n_threads=2)
    return float(out.sum()), rule.get_num_threads()


@pytest.mark.skipif("fork" not in multiprocessing.get_all_start_methods(), reason="this system has no fork")
def test_child_of_a_fork_computes_on_as_many_threads():
    rule.set_num_threads(2)
    total, n = big_product()
    with multiprocessing.get_context("fork").Pool(1) as pool:
        assert pool.apply_async(big_product).get(timeout=60) == (total, n)
    assert n == rule.get_num_threads() == 2
