"""From layers to steps: what is fused, where tensors lie, which networks get a plan."""
from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fastconv import dispatch
from fastconv.engine import Network
from fastconv.engine.compile import LANE_BYTES, NotCompiled, Schedule
from fastconv.engine.tensors import ALIGNMENT, Tensor, place
from fastconv.layers import (
    LRN,
    Add,
    Affine,
    BatchNormalization,
    Convolution,
    Flatten,
    GlobalAveragePooling,
    Pooling,
    Relu,
    Sigmoid,
)
from fastconv.models import DeepConvNet

native_only = pytest.mark.skipif(dispatch.plan(dispatch.backend()) is None, reason="this backend has no plans")

IMAGE = (16, 8, 8)
PREDICTION = {"training": False, "loss": False, "gradient": False}


def schedule(network, shape=IMAGE, *, training=True, loss=True, gradient=True):
    return Schedule(network._graph, network.last_layer, shape, network.dtype, training=training, loss=loss,
                    gradient=gradient, winograd=True)


def names(network, shape=IMAGE, **how):
    return [step["name"] for step in schedule(network, shape, **how).steps]


def convolution(outputs=16, inputs=16):
    return Convolution(np.zeros((outputs, inputs, 3, 3)), np.zeros(outputs), 1, 1)


def chain(*layers, dtype=np.float32):
    network = Network(dtype=dtype)
    for layer in layers:
        network.add(layer)
    return network


def affine_after(values, outputs=3):
    return Affine(np.zeros((values, outputs)), np.zeros(outputs))


# ---- DeepConvNet

def test_training_step_of_deep_convnet():
    assert names(DeepConvNet(seed=1), (1, 28, 28)) == [
        "input",
        *["filter"] * 6,                     # convolution and relu; every other one pools too
        "filter", "dropout",                 # affine and relu
        "filter", "dropout", "loss",
        "dropout_gradient", "filter_weight", "filter_data",
        "dropout_gradient", "relu_gradient", "filter_weight", "filter_data",
        *["unpool", "filter_weight", "filter_data", "filter_weight", "filter_data"] * 2,
        "unpool", "filter_weight", "filter_data", "filter_weight",  # nobody needs the gradient of the images
    ]


def test_loss_of_deep_convnet():
    assert names(DeepConvNet(seed=1), (1, 28, 28), gradient=False) == [
        "input", *["filter"] * 7, "dropout", "filter", "dropout", "loss"]


def test_inference_of_deep_convnet():
    assert names(DeepConvNet(seed=1), (1, 28, 28), **PREDICTION) == [
        "input", *["filter"] * 7, "scale", "filter", "scale", "output"]


@pytest.mark.parametrize("how", [{}, PREDICTION], ids=["training", "prediction"])
def test_filters_of_deep_convnet(how):
    found = schedule(DeepConvNet(seed=1), (1, 28, 28), **how)
    filters = [step for step in found.steps if step["name"] == "filter"]
    assert [step["relu"] for step in filters] == [True] * 7 + [False]
    assert [given["pooled"] for given in found.filters] == [False, True] * 3 + [False] * 2
    sizes = [(step["out"].h, step["out"].w, step["out"].c) for step in filters]
    assert sizes == [(28, 28, 16), (14, 14, 16), (14, 14, 32), (8, 8, 32), (8, 8, 64), (4, 4, 64), (1, 1, 50),
                     (1, 1, 10)]


# ---- what is taken along

def test_relu_goes_with_the_convolution_before_it():
    assert names(chain(convolution(), Relu()), **PREDICTION) == ["input", "filter", "output"]
    assert names(chain(convolution(), Sigmoid()), **PREDICTION) == ["input", "filter", "sigmoid", "output"]
    assert names(chain(Relu(), convolution()), **PREDICTION) == ["input", "relu", "filter", "output"]


def test_relu_goes_with_the_affine_layer_or_the_normalization_before_it():
    assert names(chain(affine_after(5), Relu()), (5,), **PREDICTION) == ["input", "copy", "filter", "output"]
    normalized = chain(BatchNormalization(np.ones(5), np.zeros(5)), Relu())
    assert names(normalized, (5,), **PREDICTION) == ["input", "normalize", "output"]


@pytest.mark.parametrize("outputs, dtype, fused", [(16, "f4", True), (32, "f4", True), (8, "f4", False),
                                                   (17, "f4", False), (8, "f8", True), (12, "f8", False)])
def test_pooling_goes_with_whole_lines_of_channels(outputs, dtype, fused):
    network = chain(convolution(outputs), Relu(), Pooling(2, 2, 2), dtype=np.dtype(dtype))
    found = schedule(network, **PREDICTION)
    assert [step["name"] for step in found.steps] == ["input", "filter", *["max_pooling"] * (not fused), "output"]
    assert found.filters[0]["pooled"] == fused
    assert (found.output.h, found.output.w, found.output.c) == (4, 4, outputs)


@pytest.mark.parametrize("pooling", [Pooling(3, 3, 2), Pooling(2, 2, 1), Pooling(2, 2, 2, pad=1),
                                     Pooling(2, 2, 2, mode="average")],
                         ids=["3x3", "stride 1", "pad 1", "average"])
def test_other_poolings_are_steps_of_their_own(pooling):
    found = names(chain(convolution(), Relu(), pooling), **PREDICTION)
    assert found == ["input", "filter", f"{pooling.mode}_pooling", "output"]


@pytest.mark.parametrize("height, fused", [(8, True), (7, False)])
def test_a_pooling_whose_windows_stick_out_is_a_step_of_its_own(height, fused):
    network = chain(convolution(), Relu(), Pooling(2, 2, 2, ceil_mode=True))
    found = schedule(network, (16, height, 8), **PREDICTION)
    assert [step["name"] for step in found.steps] == ["input", "filter", *["max_pooling"] * (not fused), "output"]
    assert (found.output.h, found.output.w) == (4, 4)


def test_averages_of_channels_and_flattened_images_are_rows():
    for layer, values in ((GlobalAveragePooling(), 16), (Flatten(), 1024)):
        found = schedule(chain(convolution(), layer), **PREDICTION)
        assert (found.output.h, found.output.w, found.output.c) == (1, 1, values) and not found.images[1]
        with pytest.raises(NotCompiled, match=r"layers\[2\] reads rows where it needs images"):
            schedule(chain(convolution(), layer, LRN()), **PREDICTION)



def test_pooling_without_a_relu_is_a_step_of_its_own():
    assert names(chain(convolution(), Pooling(2, 2, 2)), **PREDICTION) == ["input", "filter", "max_pooling", "output"]


def test_relu_with_two_readers_is_not_pooled_along():
    network = chain(convolution(), Relu())
    pooled = network.add(Pooling(2, 2, 2), inputs=1)
    wide = network.add(Pooling(2, 2, 2, mode="average"), inputs=1)
    network.add(Add(), inputs=(pooled, wide))
    found = schedule(network, **PREDICTION)
    assert [step["name"] for step in found.steps] == [
        "input", "filter", "max_pooling", "average_pooling", "sum", "output"]
    assert found.steps[1]["relu"] and not found.filters[0]["pooled"]


def test_convolution_with_two_readers_keeps_its_result():
    network = chain(convolution(), Relu())
    network.add(Add(), inputs=(0, 1))
    found = schedule(network, **PREDICTION)
    assert [step["name"] for step in found.steps] == ["input", "filter", "relu", "sum", "output"]
    assert not found.steps[1]["relu"]


def test_a_layer_that_reads_a_relu_twice_is_not_pooled_or_masked_along():
    network = chain(convolution(), Relu())
    network.add(Add(), inputs=(1, 1))
    network.add(affine_after(1024))
    assert names(network) == ["input", "filter", "sum", "filter", "loss", "filter_weight", "filter_data", "sum",
                              "relu_gradient", "filter_weight"]


def test_gradient_goes_back_through_a_relu_where_it_is_computed():
    network = chain(convolution(), Relu(), convolution(), Relu(), affine_after(1024))
    found = schedule(network)
    assert [step["name"] for step in found.steps if step["name"].startswith(("filter_", "relu"))] == [
        "filter_weight", "filter_data", "filter_weight", "filter_data", "filter_weight"]
    masks = [step["b"] for step in found.steps if step["name"] == "filter_data"]
    assert masks == [found.steps[2]["out"], found.steps[1]["out"]]


# ---- memory

def lives_at_once(a, b):
    return a.first <= b.last and b.first <= a.last


def assert_apart(tensors, images, total):
    """No two tensors that live at the same time share a byte, and all lie in the memory."""
    spans = [(t, t.offset, t.offset + images * t.image_bytes) for t in tensors]
    for i, (tensor, start, end) in enumerate(spans):
        assert start % ALIGNMENT == 0 and 0 <= start <= end <= total
        for other, other_start, other_end in spans[:i]:
            assert not lives_at_once(tensor, other) or end <= other_start or other_end <= start


sizes = st.integers(1, 12)
around = st.integers(0, 3)


@st.composite
def tensors(draw):
    first = draw(st.integers(0, 20))
    return Tensor(draw(sizes), draw(sizes), draw(sizes), draw(st.sampled_from([1, 4, 8])), draw(around), draw(around),
                  first=first, last=first + draw(st.integers(0, 20)))


@given(st.lists(tensors(), max_size=25), st.integers(1, 8))
def test_tensors_that_live_at_once_lie_apart(tensors, images):
    total = place(tensors, images)
    assert_apart(tensors, images, total)
    sizes = [-(-images * t.image_bytes // ALIGNMENT) * ALIGNMENT for t in tensors]
    living = [sum(size for size, t in zip(sizes, tensors, strict=True) if t.first <= i <= t.last) for i in range(41)]
    assert max(living) <= total <= sum(sizes)


@pytest.mark.parametrize("how", [{}, {"gradient": False}, PREDICTION], ids=["gradient", "loss", "prediction"])
def test_tensors_of_deep_convnet_lie_apart(how):
    found = schedule(DeepConvNet(seed=1), (1, 28, 28), **how)
    assert_apart(found.tensors, found.most, found.local_bytes)
    for tensor in found.tensors:
        users = [i for i, step in enumerate(found.steps) if any(value is tensor for value in step.values())]
        assert (tensor.first, tensor.last) == (users[0], users[-1])


def test_tensors_of_a_prediction_share_memory():
    found = schedule(DeepConvNet(seed=1), (1, 28, 28), **PREDICTION)
    assert found.local_bytes < 0.5 * found.most * sum(tensor.image_bytes for tensor in found.tensors)
    training = schedule(DeepConvNet(seed=1), (1, 28, 28))
    assert found.local_bytes / found.most < 0.5 * training.local_bytes / training.most


def normalized():
    return chain(convolution(), BatchNormalization(np.ones(16), np.zeros(16)), Relu(), affine_after(1024))


def test_only_normalization_in_training_needs_the_whole_batch():
    found = schedule(normalized())
    assert found.batch_bytes > 0 and any(tensor.batch for tensor in found.tensors)
    assert_apart([t for t in found.tensors if t.batch], 1, found.batch_bytes)
    assert_apart([t for t in found.tensors if not t.batch], found.most, found.local_bytes)
    for found in (schedule(normalized(), **PREDICTION), schedule(DeepConvNet(seed=1), (1, 28, 28)),
                  schedule(DeepConvNet(seed=1), (1, 28, 28), **PREDICTION)):
        assert found.batch_bytes == 0 and not any(tensor.batch for tensor in found.tensors)


def test_whole_batches_are_kept_over_the_end_of_a_segment_only():
    found = schedule(normalized())
    ends = [i for i, step in enumerate(found.steps) if step["name"] in ("mean", "variance", "normalize_sums")]
    assert [found.steps[i]["name"] for i in ends] == ["mean", "variance", "normalize_sums"]
    for tensor in found.tensors:
        users = [i for i, step in enumerate(found.steps) if any(value is tensor for value in step.values())]
        assert tensor.batch == any(users[0] <= end < users[-1] for end in ends)
        assert tensor.first <= users[0] and users[-1] <= tensor.last
        if tensor.batch:  # from the beginning of a segment to the end of one
            assert tensor.first in (0, *(end + 1 for end in ends))
            assert tensor.last in (*ends, len(found.steps))


# ---- who gets a plan

def wide():
    """Weights one line above what a lane may have."""
    return chain(affine_after(LANE_BYTES // 4 // 128 + 1, 128), Relu(), affine_after(128))


def test_large_weights_make_a_plan_for_predictions_only():
    network, shape = wide(), (LANE_BYTES // 4 // 128 + 1,)
    with pytest.raises(NotCompiled, match="too large"):
        schedule(network, shape)
    assert names(network, shape, **PREDICTION)[-1] == "output"
    assert names(network, shape, gradient=False)[-1] == "loss"


def test_weights_of_exactly_a_lane_make_a_training_plan():
    assert schedule(chain(affine_after(LANE_BYTES // 4 // 128, 128)), (LANE_BYTES // 4 // 128,))


@native_only
def test_large_weights_in_a_network():
    network = wide()
    x = np.zeros((2, LANE_BYTES // 4 // 128 + 1), np.float32)
    network.predict(x)
    network.gradient(x, np.zeros(2, int))
    assert [key[1:4] for key in network._plans._plans] == [(False, False, False)]


class OwnRelu(Relu):
    """A layer that no plan knows."""


def patched():
    layer = Relu()
    layer.forward = lambda x: x
    return layer


@pytest.mark.parametrize("layer", [OwnRelu, patched])
def test_layers_of_ones_own_make_no_plan(layer):
    network = chain(layer(), affine_after(1024))
    with pytest.raises(NotCompiled, match="of its own"):
        schedule(network)


@pytest.mark.parametrize("number", [0, 1])  # a convolution, and the Relu that its step takes along
@pytest.mark.parametrize("used", [False, True])
def test_an_object_s_own_forward_is_called(number, used):
    x = np.random.default_rng(0).random((2, 1, 28, 28), np.float32)
    network = DeepConvNet(seed=1)
    y = network.predict(x) if used else DeepConvNet(seed=1).predict(x)
    forward = network.layers[number].forward
    network.layers[number].forward = lambda x: 0 * forward(x)
    assert not np.array_equal(network.predict(x), y)
