"""The table of workloads: complete, sane, and right on every implementation that is cheap to run."""
from __future__ import annotations

from dataclasses import replace
from functools import partial
from importlib.util import find_spec

import numpy as np
import pytest

from benchmarks.measure import SEED, measure
from benchmarks.table import photographs, select, workloads
from benchmarks.workload import ORACLE
from fastconv import dispatch
from fastconv.engine import summary
from fastconv.models.image_network import ImageNetwork

CHEAP = ["gemm/tiny", "gemm/square-256", "max_pooling_*/deepconvnet-3", "average_pooling_*/deepconvnet-3",
         "convolution_*/deepconvnet-5", "convolution_*/resnext-grouped", "col2im/vgg-4_1", "im2col/vgg-4_1",
         "adam_update/1M", "softmax_*", "batch_normalization_*", "lrn_*", "dropout_*", "layer/[ABDLRS]*",
         "inference/batch-8", "training-step/batch-10", "two-pools/product-and-convolution"]


def test_every_operation_has_a_row():
    assert {op for row in workloads().values() for op in row.ops} == set(dispatch.OPERATIONS)


@pytest.mark.parametrize("pattern, least", [
    ("convolution_forward/deepconvnet-*", 6), ("convolution_backward_data/deepconvnet-*", 6),
    ("convolution_backward_weight/vgg-*", 9), ("convolution_forward/resne*", 4), ("gemm/*", 4), ("layer/*", 6),
    ("convolution_forward/mobilenet-depthwise", 1), ("inference/batch-*", 3), ("training-step/batch-*", 3),
    ("epoch/*", 1), ("training-step/denormals", 1), ("two-pools/*", 3), ("training-step/batch-100-on-one-thread", 1),
    ("layer/Convolution-deepconvnet-1..6", 1), ("inference/vgg16-batch-*", 2), ("inference/resnet50-batch-*", 2),
    ("inference/resnet18-batch-8", 1), ("inference/googlenet-paper-batch-8", 1), ("inference/alexnet-paper-batch-8", 1),
    ("training-step/vgg16-batch-8", 1), ("training-step/resnet18-batch-8", 1),
])
def test_the_rows_that_were_promised(pattern, least):
    assert len(select([pattern])) >= least


def test_every_row_has_every_backend_and_a_cost():
    for name, row in workloads().items():
        assert row.name == name and row.group and row.flops >= 0
        assert set(dispatch.backends()) - set(row.makers) <= ({ORACLE} if row.group == "photographs" else set()), name
        assert row.oracle in row.makers, name
        if name.startswith(("convolution", "gemm", "training-step", "inference", "epoch")):
            assert row.flops > 0, name


def test_flops_and_bytes_of_a_known_layer():
    """DeepConvNet's second layer, 100 images of 28 x 28 with 16 channels, 16 filters of 3 x 3."""
    row = workloads()["convolution_forward/deepconvnet-2"]
    assert row.flops == 2 * 100 * 28 * 28 * 16 * 16 * 9
    inputs = row.make(np.random.default_rng(0))
    assert row.bytes(inputs) == 4 * (2 * 100 * 28 * 28 * 16 + 16 * 16 * 9 + 16)
    assert workloads()["inference/batch-1"].flops == pytest.approx(2 * 8.77e6, rel=0.01)


@pytest.mark.parametrize("name", photographs.MULTIPLY_ADDS)
def test_flops_of_the_networks_for_photographs(name, monkeypatch):
    monkeypatch.setattr(ImageNetwork, "initialize", lambda network, seed: None)  # zeros take no memory
    monkeypatch.setattr(photographs, "unsettle", lambda network, rng: None)
    network = photographs.photographs(name, 1, np.random.default_rng(0)).network
    layers = [row.multiply_adds for row in summary.rows(network._graph, photographs.SIZE)]
    assert photographs.MULTIPLY_ADDS[name] == (sum(layers), layers[0])


def test_networks_for_photographs_are_small_until_they_are_measured(monkeypatch):
    def built(*arguments, **more):
        raise AssertionError("a network was built")

    monkeypatch.setattr(photographs, "ZOO", dict.fromkeys(photographs.ZOO, built))
    rows = photographs.rows()
    with pytest.raises(AssertionError, match="a network was built"):
        rows[0].make(np.random.default_rng(0))


@pytest.mark.parametrize("peers_installed", [True, False])
@pytest.mark.parametrize("row", [0, -1])
def test_rows_of_photographs_agree(row, peers_installed, monkeypatch):
    """A narrow network in the place of the large one; without peers the NumPy reference is the oracle."""
    from fastconv.models import ResNet
    monkeypatch.setattr(photographs, "SIZE", (3, 37, 29))
    monkeypatch.setattr(photographs, "ZOO", {name: partial(ResNet, 18, width=0.1) for name in photographs.ZOO})
    if not peers_installed:
        monkeypatch.setattr(photographs.peers, "inference", dict)
        monkeypatch.setattr(photographs.peers, "training", dict)
    one = photographs.rows()[row]
    assert one.oracle == ("torch" if peers_installed and find_spec("torch") else one.oracle)
    assert peers_installed or one.oracle == ORACLE
    makers = {name: maker for name, maker in one.makers.items() if not name.startswith("openvino")}
    done = measure(replace(one, makers=makers, patience=0.001), 1, least=1)
    assert not done.errors and done.times.keys() == makers.keys()


def test_bytes_of_an_update_in_place_count_twice():
    row = workloads()["momentum_update/1M"]
    assert row.bytes(row.make(np.random.default_rng(0))) == 4 * 1_000_000 * (1 + 2 * 2)


@pytest.mark.parametrize("name", select(CHEAP))
def test_all_implementations_agree(name):
    """All but OpenVINO, whose stack for signal handlers is too small: a later test's Ctrl-C would end the process."""
    row = workloads()[name]
    makers = {name: maker for name, maker in row.makers.items() if not name.startswith("openvino")}
    done = measure(replace(row, makers=makers), 1, timed=False)
    assert not done.errors and not done.times


def test_inputs_are_the_same_every_time():
    row = workloads()["gemm/tiny"]
    one, other = (row.make(np.random.default_rng(SEED)).arguments for _ in range(2))
    assert all(np.array_equal(a, b) for a, b in zip(one, other, strict=True))


def test_select_keeps_the_tables_order_and_names_what_is_near():
    assert select(["gemm/tiny", "im2col/*"])[-1] == "gemm/tiny"
    with pytest.raises(ValueError, match=r"no workload 'gem/tiny'; near it: .*gemm/tiny"):
        select(["gemm/*", "gem/tiny"])
