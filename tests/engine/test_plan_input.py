"""What a plan is given: any dtype and memory layout, sample numbers, no samples, nan and infinity."""
from __future__ import annotations

import copy

import numpy as np
import pytest
from engine.random_networks import RandomNetwork, layer_by_layer, only_plans

from fastconv import dispatch
from fastconv.engine import Network
from fastconv.layers import Affine, BatchNormalization, Convolution, Dropout, Pooling, Relu, Sigmoid

pytestmark = pytest.mark.filterwarnings("ignore:invalid value:RuntimeWarning")  # of nan and inf, from NumPy

DTYPES = [np.float64, np.float32]
SHAPE = (3, 7, 6)
N = 9


def parameters(*shape, seed=0):
    return np.random.default_rng(seed).normal(0, 0.3, shape)


def convolutional(dtype, *, normalized=True):
    network = Network(dtype=dtype)
    network.add(Convolution(parameters(16, 3, 3, 3), parameters(16, seed=1), pad=1))
    network.add(Relu())
    network.add(Pooling(2, 2, stride=2))
    network.add(Convolution(parameters(16, 16, 3, 3, seed=2), parameters(16, seed=3), pad=1))
    if normalized:
        network.add(BatchNormalization(1 + parameters(16, seed=4), parameters(16, seed=5)))
    network.add(Relu())
    network.add(Affine(parameters(144, 7, seed=6), parameters(7, seed=7)))
    network.add(Dropout(0.3, rng=np.random.default_rng(8)))
    network.add(Affine(parameters(7, 4, seed=9), parameters(4, seed=10)))
    return network


def flat(dtype):
    network = Network(dtype=dtype)
    network.add(Affine(parameters(126, 20), parameters(20, seed=1)))
    network.add(Relu())
    network.add(Affine(parameters(20, 4, seed=2), parameters(4, seed=3)))
    return network


def values(dtype, shape):
    rng = np.random.default_rng(12)
    if np.dtype(dtype).kind == "f":
        return rng.normal(size=shape).astype(dtype)
    return rng.integers(0, 2 if dtype is bool else 120, shape).astype(dtype)


def nhwc(x):
    """NCHW images as a view on NHWC memory."""
    return np.moveaxis(np.ascontiguousarray(np.moveaxis(x, 1, -1)), -1, 1)


def reversed_in_memory(x):
    return x[tuple(slice(None, None, -1) for _ in x.shape)].copy()[tuple(slice(None, None, -1) for _ in x.shape)]


def every_other(x):
    """A view with gaps along every axis."""
    big = np.zeros([2 * n for n in x.shape], x.dtype)
    view = big[tuple(slice(1, None, 2) for _ in x.shape)]
    view[...] = x
    return view


def misaligned(x):
    memory = np.zeros(x.nbytes + 1, np.uint8)
    view = np.ndarray(x.shape, x.dtype, memory, offset=1)
    view[...] = x
    return view


LAYOUTS = {"C": np.copy, "Fortran": np.asfortranarray, "negative strides": reversed_in_memory, "gaps": every_other,
           "NHWC": nhwc, "misaligned": misaligned, "0-stride samples": lambda x: np.broadcast_to(x[:1], x.shape),
           "0-stride channels": lambda x: np.broadcast_to(x[:, :1], x.shape),
           "0-stride everything": lambda x: np.broadcast_to(x[(slice(0, 1),) * x.ndim], x.shape)}


def check(network, x, t, rounding):
    """Assert that the results are those of the layers one by one, and that nothing was written to x."""
    assert x.shape[1:] in (SHAPE, (126,))
    x.flags.writeable = False
    saved, twin = x.tobytes(), layer_by_layer(network)

    def near(actual, expected, largest):
        assert actual.shape == expected.shape and actual.dtype == expected.dtype
        assert np.abs(actual - expected).max() <= rounding * largest

    with only_plans(network):
        predictions, loss, actual = network.predict(x), network.loss(x, t), network.gradient(x, t)
    expected = twin.predict(x)
    near(predictions, expected, np.abs(expected).max())
    assert abs(twin.loss(x, t) - loss) <= rounding * abs(loss)
    expected = twin.gradient(x, t)
    largest = max(np.abs(gradient).max() for gradient in expected.values())
    for key, gradient in expected.items():
        near(actual[key], gradient, largest)
    assert x.tobytes() == saved
    return predictions, actual


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("x_dtype", [np.float32, np.float64, np.float16, np.uint8, np.int8, np.int32, np.int64,
                                     np.uint64,
                                     np.uint16, bool, ">f4", ">f8", ">f2", ">i4"])
@pytest.mark.parametrize("make, shape", [(convolutional, SHAPE), (flat, (126,))])
def test_any_dtype_and_layout(make, shape, x_dtype, layout, dtype):
    x = LAYOUTS[layout](values(x_dtype, (N, *shape)))
    assert x.dtype == x_dtype
    t = np.arange(N) % 4
    results = check(make(dtype), x, t, 1e-9 if dtype == np.float64 else 2e-4)
    contiguous = check(make(dtype), np.ascontiguousarray(x), t, 1e-9 if dtype == np.float64 else 2e-4)
    np.testing.assert_array_equal(results[0], contiguous[0])
    for key, gradient in contiguous[1].items():
        np.testing.assert_array_equal(results[1][key], gradient)


@pytest.mark.parametrize("x_dtype", [np.longdouble, np.int32, np.int64, np.uint64])
def test_numbers_that_float32_does_not_hold(x_dtype):
    """A float64 network sees the number that it is given."""
    network = flat(np.float64)
    x = (values(np.int64, (N, 126)) + 2**24 + 1).astype(x_dtype)
    with only_plans(network):
        np.testing.assert_allclose(network.predict(x), layer_by_layer(network).predict(x.astype(np.float64)), 1e-9)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("layout", ["C", "Fortran", "NHWC", "gaps", "negative strides"])
@pytest.mark.parametrize("x_dtype", [np.float32, np.float64, np.uint8, np.float16, ">f4", np.int64])
def test_index_is_a_choice_of_samples(x_dtype, layout, dtype):
    x, t = LAYOUTS[layout](values(x_dtype, (N, *SHAPE))), np.arange(N) % 4
    for index in ([0], [8, 0, 3], [2, 2, 2, 5], list(range(N))[::-1], [-1, 0, -9, 4]):
        index = np.array(index)
        network, twin = convolutional(dtype), convolutional(dtype)
        with only_plans(network), only_plans(twin):
            actual, expected = network.gradient(x, t, index), twin.gradient(x[index], t[index])
        assert network.last_layer.loss == twin.last_layer.loss
        np.testing.assert_array_equal(network.last_layer.y, twin.last_layer.y)
        for key in expected:
            np.testing.assert_array_equal(actual[key], expected[key])
        np.testing.assert_array_equal(network.layers[4].running_mean, twin.layers[4].running_mean)
        np.testing.assert_array_equal(network.layers[4].running_var, twin.layers[4].running_var)


@pytest.mark.parametrize("index_dtype", [np.int8, np.uint8, np.int32, np.uint64, ">i8"])
def test_index_of_any_integers(index_dtype):
    x, t = values(np.float64, (N, *SHAPE)), np.eye(4)[np.arange(N) % 4]
    for index in (np.array([4, 1, 8], index_dtype), np.array([[4, 1, 8], [0, 0, 0]], index_dtype).T[:, 0],
                  np.array([8, 1, 4], index_dtype)[::-1]):
        actual = convolutional(np.float64).gradient(x, t, index)
        expected = convolutional(np.float64).gradient(x[[4, 1, 8]], t[[4, 1, 8]])
        for key in expected:
            np.testing.assert_array_equal(actual[key], expected[key])


def test_index_of_the_layers_one_by_one_too():
    x, t, index = values(np.float64, (N, *SHAPE)), np.arange(N) % 4, np.array([3, -1, 3])
    actual = layer_by_layer(convolutional(np.float64)).gradient(x, t, index)
    expected = convolutional(np.float64).gradient(x[index], t[index])
    for key in expected:
        np.testing.assert_allclose(actual[key], expected[key], 1e-7, 1e-12)


@pytest.mark.parametrize("by_layers", [False, True])
def test_wrong_indices_are_refused(by_layers):
    network = convolutional(np.float64)
    if by_layers:
        network = layer_by_layer(network)
    x, t = values(np.float64, (N, *SHAPE)), np.arange(N) % 4
    running = copy.deepcopy(vars(network.layers[4]))
    for wrong in ([9], [0, 100], [-10], [2**62]):
        with pytest.raises(IndexError, match="Network.gradient: index goes from"):
            network.gradient(x, t, np.array(wrong))
    for wrong in (np.array([0.0, 1.0]), np.ones(N, bool), np.array([[0, 1]]), np.array(["0"])):
        with pytest.raises(TypeError, match="Network.gradient: index has shape"):
            network.gradient(x, t, wrong)
    with pytest.raises(ValueError, match="expected one label for each sample"):
        network.gradient(x, t[:4], np.array([5]))
    assert network.layers[4].running_mean is running["running_mean"] is None


@pytest.mark.parametrize("by_layers", [False, True])
@pytest.mark.parametrize("trained", [False, True])
@pytest.mark.parametrize("dtype", DTYPES)
def test_no_samples(dtype, trained, by_layers):
    """Predictions of none, loss and gradient 0; the running statistics stay."""
    network = convolutional(dtype)
    x, t = values(dtype, (N, *SHAPE)), np.arange(N) % 4
    if trained:
        network.gradient(x, t)
    if by_layers:
        network = layer_by_layer(network)
    before = [None if a is None else a.copy() for a in (network.layers[4].running_mean, network.layers[4].running_var)]

    def check_nothing(gradients):
        assert network.last_layer.loss == 0
        for key, gradient in gradients.items():
            np.testing.assert_array_equal(gradient, np.zeros_like(network.params[key]), key)
        for after, earlier in zip((network.layers[4].running_mean, network.layers[4].running_var), before, strict=True):
            np.testing.assert_array_equal(after, 0 if earlier is None else earlier)

    assert network.predict(x[:0]).shape == network.predict(x[:0], train_flg=True).shape == (0, 4)
    assert network.predict(x[:0]).dtype == dtype
    assert network.loss(x[:0], t[:0]) == 0
    check_nothing(network.gradient(x[:0], t[:0]))
    check_nothing(network.gradient(x, t, np.array([], np.int64)))


# ---- nan and infinity

WRONG = [np.nan, np.inf, -np.inf]


def pattern(y):
    """0 where a value is finite, else which of nan, inf and -inf it is."""
    return np.select([np.isnan(y), y == np.inf, y == -np.inf], [1, 2, 3])


def small(dtype, *layers):
    network = Network(dtype=dtype)
    for layer in layers:
        network.add(layer)
    return network


NETWORKS = {
    "affine": lambda dtype: flat(dtype),
    "convolution": lambda dtype: small(dtype, Convolution(parameters(5, 3, 3, 3), parameters(5), pad=1)),
    "groups, stride": lambda dtype: small(dtype, Convolution(parameters(6, 1, 3, 2), parameters(6), 2, 1, groups=3)),
    "relu": lambda dtype: small(dtype, Convolution(parameters(16, 3, 3, 3), parameters(16), pad=1), Relu()),
    "relu alone": lambda dtype: small(dtype, Relu()),
    "sigmoid": lambda dtype: small(dtype, Convolution(parameters(5, 3, 1, 1), None), Sigmoid()),
    "fused pooling": lambda dtype: small(dtype, Convolution(parameters(16, 3, 3, 3), parameters(16), pad=1), Relu(),
                                         Pooling(2, 2, stride=2)),
    "maximum": lambda dtype: small(dtype, Pooling(3, 3, stride=2, pad=1)),
    "average": lambda dtype: small(dtype, Pooling(3, 2, stride=2, pad=1, mode="average")),
    "normalization": lambda dtype: small(dtype, BatchNormalization(np.ones(3), np.zeros(3), running_mean=np.ones(3),
                                                                   running_var=np.ones(3))),
    "dropout": lambda dtype: small(dtype, Dropout(0.5, rng=np.random.default_rng(0))),
}


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("wrong", WRONG)
@pytest.mark.parametrize("name", NETWORKS)
def test_predictions_of_wrong_pixels(name, wrong, dtype):
    """The same nan and infinities, and the other images are as without them."""
    network = NETWORKS[name](dtype)
    x = values(dtype, (N, 126) if name == "affine" else (N, *SHAPE))
    clean = network.predict(x)
    x.reshape(N, -1)[2, 50] = wrong
    x.reshape(N, -1)[5, [0, -1]] = wrong, -wrong
    for train_flg in (False, True):
        twin = layer_by_layer(network)
        with np.errstate(all="ignore"):
            expected = twin.predict(x, train_flg)
        with only_plans(network):
            actual = network.predict(x, train_flg)
        np.testing.assert_array_equal(pattern(actual), pattern(expected))
        finite = np.isfinite(expected)
        np.testing.assert_allclose(actual[finite], expected[finite], 1e-3, 1e-3)
        if not train_flg:
            others = [i for i in range(N) if i not in (2, 5)]
            np.testing.assert_array_equal(actual[others], clean[others])


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("wrong", WRONG)
@pytest.mark.parametrize("layers", [1, 2, 3])
def test_predictions_of_wrong_pixels_by_winograd(layers, wrong, dtype):
    """The same pattern; the chunk's other images are then computed without Winograd's method, rounded differently."""
    block = Convolution(parameters(16, 16, 3, 3), parameters(16, seed=1), pad=1), Relu(), Pooling(2, 2, stride=2)
    network = small(dtype, *block[:layers])
    x = values(dtype, (40, 16, 13, 14))
    clean = network.predict(x)
    x[1, 3, 6, 6], x[30, 0, 0, 0], x[30, 15, 12, 13] = wrong, wrong, -wrong
    with np.errstate(all="ignore"):
        expected = layer_by_layer(network).predict(x)
    with only_plans(network):
        actual = network.predict(x)
    np.testing.assert_array_equal(pattern(actual), pattern(expected))
    others = [i for i in range(40) if i not in (1, 30)]
    assert np.abs(actual[others] - clean[others]).max() <= 1e-4 * np.abs(clean).max()
    if dtype == np.float64:
        np.testing.assert_array_equal(actual[others], clean[others])


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("wrong", WRONG)
@pytest.mark.parametrize("key", ["W1", "b1", "W2", "b2", "W3", "b3", "W4", "b4"])
def test_wrong_parameters(key, wrong, dtype):
    """Predictions and loss have the same nan and infinities.

    Gradients are not finite in the same places. Which of nan, inf and -inf they are there may differ: sums in another
    order, and Winograd's method, may take an infinity from another one.
    """
    network = convolutional(dtype, normalized=False)
    network.seed(3)
    x, t = values(dtype, (N, *SHAPE)), np.arange(N) % 4
    network.predict(x)
    network.params[key].flat[3] = wrong
    twin = layer_by_layer(network)
    with np.errstate(all="ignore"):
        expected, loss, gradients = twin.predict(x), twin.loss(x, t), twin.gradient(x, t)
    with only_plans(network), np.errstate(all="ignore"):
        np.testing.assert_array_equal(pattern(network.predict(x)), pattern(expected))
        np.testing.assert_array_equal(pattern(np.array(network.loss(x, t))), pattern(np.array(loss)))
        actual = network.gradient(x, t)
    for name, gradient in gradients.items():
        np.testing.assert_array_equal(np.isfinite(actual[name]), np.isfinite(gradient), name)
    network.params[key].flat[3] = 0.5  # and nothing of it stays in the plans' memory
    twin = layer_by_layer(network)
    with only_plans(network):
        expected = twin.gradient(x, t)
        for name, gradient in network.gradient(x, t).items():
            largest = max(np.abs(g).max() for g in expected.values())
            assert np.abs(gradient - expected[name]).max() <= 2e-4 * largest, name


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("seed", range(400, 430))
def test_nothing_wrong_stays_in_memory(seed, dtype):
    """After a batch of nan, the same bits as before it: no padding and no sum remembers them."""
    random = RandomNetwork(seed, dtype)
    x, t = random.batch(5)
    network, twin = random.network, copy.deepcopy(random.network)
    expected = twin.predict(x), twin.gradient(x, t)
    state = copy.deepcopy([vars(layer) for layer in network.layers])
    with only_plans(network), np.errstate(all="ignore"):
        network.predict(np.full_like(x, np.nan)), network.gradient(np.full_like(x, np.inf), t)
        network.predict(np.full_like(x, np.nan), train_flg=True), network.gradient(np.full_like(x, np.nan), t)
        rng = random.keys.bit_generator
        rng.state = copy.deepcopy(np.random.default_rng([18, seed]).bit_generator.state)
        for layer, before in zip(network.layers, state, strict=True):
            if isinstance(layer, BatchNormalization):
                layer.running_mean, layer.running_var = before["running_mean"], before["running_var"]
        np.testing.assert_array_equal(network.predict(x), expected[0])
        for key, gradient in network.gradient(x, t).items():
            np.testing.assert_array_equal(gradient, expected[1][key], key)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("wrong", WRONG)
@pytest.mark.parametrize("make", [lambda dtype: convolutional(dtype, normalized=False), convolutional])
def test_gradients_of_a_wrong_image(make, wrong, dtype):
    """Gradients are not finite in the same places, see test_wrong_parameters."""
    network = make(dtype)
    x, t = values(dtype, (N, *SHAPE)), np.arange(N) % 4
    x[4, 1, 3, 3] = wrong
    twin = layer_by_layer(network)
    with only_plans(network), np.errstate(all="ignore"):
        actual, expected = network.gradient(x, t), twin.gradient(x, t)
    assert not all(np.isfinite(gradient).all() for gradient in expected.values())
    for key, gradient in expected.items():
        np.testing.assert_array_equal(np.isfinite(actual[key]), np.isfinite(gradient), key)


def test_native_runs_as_a_plan():
    """The comparisons above mean something on compiled kernels."""
    network = flat(np.float32)
    network.predict(values(np.float32, (N, 126)))
    assert bool(network._plans._plans) == (dispatch.plan(dispatch.backend()) is not None)
