"""What every layer promises, whatever it computes."""

from __future__ import annotations

import copy
import pickle

import numpy as np
import pytest
from layers.layouts import layouts
from layers.zoo import ELEMENTWISE, IMAGES, LAYERS, make, results

every_layer = pytest.mark.parametrize("name", LAYERS)
with_dout = pytest.mark.parametrize("name", [name for name in LAYERS if name != "SoftmaxWithLoss"])
IMAGE_LAYERS = [name for name in LAYERS if LAYERS[name][1] == IMAGES]


def assert_same(actual, expected):
    assert actual.keys() == expected.keys()
    for name in expected:
        np.testing.assert_array_equal(actual[name], expected[name], err_msg=name)
        assert actual[name].dtype == expected[name].dtype, name


@every_layer
@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
def test_the_memory_layout_of_the_input_makes_no_difference(name, dtype):
    layer, x = make(name, dtype)
    expected = results(layer, x)
    for layout, other in layouts(x).items():
        before = other.tobytes()
        assert_same(results(make(name, dtype)[0], other), expected)
        assert other.tobytes() == before, f"{layout}: x was changed"


@with_dout
def test_the_memory_layout_of_dout_makes_no_difference(name):
    layer, x = make(name)
    out = layer.forward(x)
    dout = np.random.default_rng(3).normal(0.5, 1.0, out.shape).astype(np.float32)
    expected = results(make(name)[0], x, dout)
    for layout, other in layouts(dout).items():
        before = other.tobytes()
        assert_same(results(make(name)[0], x, other), expected)
        assert other.tobytes() == before, f"{layout}: dout was changed"


@pytest.mark.parametrize("name", [name for name in LAYERS if hasattr(make(name)[0], "W")])
def test_the_memory_layout_of_the_weights_makes_no_difference(name, backend):
    layer, x = make(name)
    expected = results(layer, x)
    for layout, W in layouts(layer.W).items():
        before = W.tobytes()
        other = make(name)[0]
        other.W = W
        found = results(other, x)
        assert found["dW"].flags.c_contiguous
        if name.startswith("Affine") and backend == "reference":  # matmul adds up in another order then
            for key in expected:
                np.testing.assert_allclose(found[key], expected[key], rtol=1e-5, atol=1e-5, err_msg=key)
        else:
            assert_same(found, expected)
        assert W.tobytes() == before, f"{layout}: W was changed"


@every_layer
def test_a_broadcast_input_is_an_input_like_any_other(name):
    layer, x = make(name)
    broadcast = np.broadcast_to(x[:1], x.shape)
    assert broadcast.strides[0] == 0
    assert_same(results(layer, broadcast), results(make(name)[0], broadcast.copy()))


@every_layer
def test_results_are_float16_for_float16_float32_inside(name):
    layer, x = make(name, np.float16)
    found = results(layer, x)
    wide, _ = make(name, np.float16)
    for parameter in ("W", "b", "gamma", "beta"):
        if getattr(wide, parameter, None) is not None:
            setattr(wide, parameter, getattr(wide, parameter).astype(np.float32))
    expected = results(wide, x.astype(np.float32))
    for key in found:
        if not key.startswith("running") and np.ndim(found[key]):
            assert found[key].dtype == np.float16
        np.testing.assert_array_equal(found[key], expected[key].astype(found[key].dtype))


@every_layer
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_results_have_the_dtype_of_the_arrays(name, dtype):
    layer, x = make(name, dtype)
    for key, value in results(layer, x).items():
        if np.ndim(value):
            assert value.dtype == dtype and value.dtype.isnative, key


@every_layer
@pytest.mark.parametrize("dtype", [np.uint8, np.int64, np.bool_])
def test_integers_count_as_float32(name, dtype):
    layer, x = make(name)
    images = (np.abs(x) * 3).astype(dtype)
    assert_same(results(layer, images), results(make(name)[0], images.astype(np.float32)))


@every_layer
def test_lists_are_taken(name):
    layer, x = make(name, np.float64)
    assert_same(results(layer, x.tolist()), results(make(name, np.float64)[0], x))


@every_layer
def test_longdouble_is_computed_in_float64(name):
    layer, x = make(name, np.float64)
    expected = results(make(name, np.float64)[0], x)
    for key, value in results(layer, x.astype(np.longdouble)).items():
        np.testing.assert_array_equal(value, expected[key])
        if np.ndim(value) and not key.startswith("running"):
            assert value.dtype == np.longdouble, key


@with_dout
def test_a_float64_dout_gives_float64_gradients(name):
    layer, x = make(name)
    expected = results(make(name)[0], x)
    found = results(layer, x, np.ones(expected["out"].shape))
    for key in found.keys() - {"out", "running_mean", "running_var"}:
        assert found[key].dtype == np.float64, key
        np.testing.assert_allclose(found[key], expected[key], rtol=1e-4, atol=1e-5, err_msg=key)


@every_layer
def test_complex_strings_and_objects_are_refused(name):
    layer, x = make(name)
    for wrong in (x.astype(complex), x.astype(str), x.astype(object), x.astype(bytes)):
        with pytest.raises(TypeError, match=rf"{type(layer).__name__}.forward: xs?(\[0\])? has dtype|x has dtype"):
            layer.forward(wrong)


@every_layer
def test_a_list_with_rows_of_different_lengths_is_refused(name):
    layer, _ = make(name)
    with pytest.raises(ValueError, match=r"\w+.forward: xs?(\[0\])? is a list that makes no array: "):
        layer.forward([[1, 2], [3]])


@with_dout
def test_a_complex_dout_is_refused(name):
    layer, x = make(name)
    with pytest.raises(TypeError, match=f"{type(layer).__name__}.backward: dout has dtype complex64"):
        layer.backward(layer.forward(x).astype(np.complex64))


@with_dout
def test_dout_must_have_the_shape_of_out(name):
    layer, x = make(name)
    out = layer.forward(x)
    with pytest.raises(ValueError, match=r"backward: dout has shape \(.*\), expected \("):
        layer.backward(out[:-1])


@every_layer
def test_backward_before_forward_says_so(name):
    with pytest.raises(RuntimeError, match="call forward first"):
        make(name)[0].backward(np.ones(3))


@every_layer
def test_an_empty_batch_gives_empty_results_and_zero_gradients(name):
    layer, x = make(name)
    out_shape = np.shape(make(name)[0].forward(x))
    found = results(layer, x[:0])
    assert found["dx"].shape == (0, *x.shape[1:])
    assert found["out"].shape == ((0, *out_shape[1:]) if out_shape else ())
    for key in found.keys() - {"out", "dx"}:
        assert found[key].size and not found[key].any(), key


@pytest.mark.parametrize("name", [name for name in IMAGE_LAYERS if name not in ELEMENTWISE])
def test_results_of_four_axes_lie_channels_last(name):
    layer, x = make(name)
    found = results(layer, x)
    for key in ("out", "dx"):
        if found[key].ndim == 4:
            assert found[key].transpose(0, 2, 3, 1).flags.c_contiguous, key


@pytest.mark.parametrize("name", ELEMENTWISE)
@pytest.mark.parametrize("axes", [(0, 1, 2, 3), (0, 2, 3, 1), (3, 2, 1, 0), (1, 3, 0, 2)])
def test_elementwise_layers_keep_the_layout(name, axes):
    layer, x = make(name)
    x = np.ascontiguousarray(x.transpose(axes)).transpose(np.argsort(axes))
    out = layer.forward(x)
    dx = layer.backward(np.ascontiguousarray(out))
    assert out.strides == dx.strides == x.strides


@every_layer
@pytest.mark.parametrize("duplicate", [copy.deepcopy, lambda layer: pickle.loads(pickle.dumps(layer))])
def test_copies_go_on_where_the_original_stands(name, duplicate):
    layer, x = make(name)
    out = layer.forward(x)
    dout = np.ones_like(out)
    np.testing.assert_array_equal(duplicate(layer).backward(dout), layer.backward(dout))
