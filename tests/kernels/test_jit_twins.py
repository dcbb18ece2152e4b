"""The vector functions of the Numba backend against their definitions in plain NumPy."""
from __future__ import annotations

from functools import cache
from types import FunctionType

import numpy as np
import pytest

numba = pytest.importorskip("numba")
if numba.config.DISABLE_JIT:
    pytest.skip("nothing is compiled: the definitions run themselves", allow_module_level=True)

from fastconv.kernels.jit import depthwise, lines, plain, tile  # noqa: E402
from fastconv.kernels.jit.lines import (  # noqa: E402
    all_finite,
    copy,
    fill,
    is_zero,
    lanes_of,
    load,
    multiply_added,
    positive,
    relu_pool,
    root,
    store,
    total,
    where_positive,
    where_won,
    widened,
    zero,
)

SPECIAL = [np.nan, np.inf, -np.inf, 0.0, -0.0, 1.0, -1.0, 1e-30, -1e-30, 3.0, 3.0]
AT = 3  # lines begin at any element
SIZE = 200


def both(function):
    """Return the function compiled, and the same with the functions of plain.py."""
    names = {name: getattr(plain, name) for name in lines.__all__ if name != "plain"}
    twin = FunctionType(function.__code__, function.__globals__ | names)
    return numba.njit(error_model="numpy")(function), twin


def numbers(dtype, seed):
    """Return normal random numbers with nan, inf, zeros and ties among them."""
    rng = np.random.default_rng(seed)
    made, special = rng.standard_normal(SIZE), rng.random(SIZE) < 0.4
    made[special] = rng.choice(SPECIAL, special.sum())
    return made.astype(dtype)


# Each is run compiled and plain, on four arrays of numbers, and writes what it finds to y.

def loaded(a, b, c, d, y):
    store(y, AT, load(a, AT))
    store(y, 61, load(a, 8))


def moved(a, b, c, d, y):
    copy(y, 1, a, AT, 29)
    copy(y, 50, a, 0, 0)
    copy(y, 60, b, 7, 1)
    zero(y, 61, 5)
    zero(y, 70, 0)


def filled(a, b, c, d, y):
    store(y, AT, fill(a, a[7]))
    store(y, 61, fill(a, 2))
    y[80] = lanes_of(a)


def sums_and_products(a, b, c, d, y):
    store(y, AT, (load(a, AT) + load(b, 1)) * load(c, 2) - load(d, 5) * 3)
    store(y, 61, 2.0 * load(a, 0) - (load(b, 9) - 0.5) + (1 + load(c, 0)))


def quotients_and_roots(a, b, c, d, y):
    store(y, AT, load(a, AT) / load(b, 1))
    store(y, 25, load(a, AT) / c[0])
    store(y, 61, root(load(d, 5)))


def nothing_but_zeros(a, b, c, d, y):
    y[0] = is_zero(load(a, AT))
    store(y, 61, load(a, AT) * 0)
    store(y, AT, fill(y, 0))
    y[1] = is_zero(load(y, AT))
    y[AT + 5] = -0.0
    y[2] = is_zero(load(y, AT))
    y[AT + lanes_of(y) - 1] = 1e-30
    y[40] = is_zero(load(y, AT))


def added_products(a, b, c, d, y):
    store(y, AT, multiply_added(load(a, AT), b[0], load(c, 5)))


def positive_parts(a, b, c, d, y):
    store(y, AT, positive(load(a, AT)))


def masked(a, b, c, d, y):
    store(y, AT, where_positive(load(a, AT), load(b, 5)))


def finite(a, b, c, d, y):
    for i in range(SIZE - 16):
        y[i] = all_finite(load(a, i))
    for i in range(16):
        a[:16] = 1
        a[i] = np.inf if i % 2 else np.nan
        y[i] = all_finite(load(a, 0))
    a[:16] = 1e30
    y[17] = all_finite(load(a, 0))


def totals(a, b, c, d, y):
    for i in range(SIZE - 16):
        y[i] = total(load(a, i))


def pooled(a, b, c, d, y):
    winner = np.zeros(100, np.uint8)
    for i in range(5):
        k = 16 * i
        store(y, AT + k, relu_pool(load(a, k), load(b, k + 1), load(c, k), load(d, k + 5), winner, k + 1))
    y[100:] = winner


def won(a, b, c, d, y):
    winner = (np.arange(100) % 5).astype(np.uint8)
    for n in range(5):
        store(y, AT + 16 * n, where_won(load(a, AT), winner, 7, n))


EXACT = [loaded, moved, filled, quotients_and_roots, nothing_but_zeros, positive_parts, masked, finite, totals, pooled,
         won]
ROUNDED = [sums_and_products, added_products]  # a product and a sum may be rounded once


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("function", EXACT + ROUNDED, ids=lambda function: function.__name__)
def test_lines(function, dtype):
    versions = both(function)
    for seed in range(20):
        results = []
        for version in versions:
            arrays = [numbers(dtype, [seed, i]) for i in range(4)]
            results.append(np.full(SIZE, 77, dtype))
            with np.errstate(all="ignore"):
                version(*arrays, results[-1])
        tolerance = 0 if function in EXACT else 8 * np.finfo(dtype).eps
        np.testing.assert_allclose(*results, rtol=tolerance, atol=20 * tolerance)
        assert function in ROUNDED or (np.signbit(results[0]) == np.signbit(results[1]))[~np.isnan(results[0])].all()


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_widened(dtype):
    """The result is of float64, in two halves where the line is of float32."""
    def function(a, y):
        store(y, AT, widened(load(a, AT), 0))
        store(y, AT + 8, widened(load(a, AT), 1))

    a, results = numbers(dtype, 0), np.full((2, SIZE), 77.0)
    for version, y in zip(both(function), results, strict=True):
        version(a, y)
    np.testing.assert_array_equal(*results)
    np.testing.assert_array_equal(results[0][AT : AT + 8], a[AT : AT + 8])


def test_every_function_of_lines_is_compared():
    functions = [function.__code__ for function in [*EXACT, *ROUNDED, test_widened]]
    used = {name for code in functions for part in (code, *code.co_consts) for name in getattr(part, "co_names", ())}
    assert set(lines.__all__) - {"plain"} <= used


OFFSET = np.array([0, 40, 7], np.int64)


def filters(dtype, count):
    return np.random.default_rng(1).standard_normal(count).astype(dtype)


def assert_same_sums(compiled, twin, dtype, special):
    """nan and inf in the same places, the others as near as the order of rounding allows."""
    np.testing.assert_array_equal(np.isfinite(compiled), np.isfinite(twin))
    assert (~np.isfinite(twin)).any() == special
    np.testing.assert_allclose(compiled, twin, rtol=30 * np.finfo(dtype).eps, atol=60 * np.finfo(dtype).eps)


@pytest.mark.parametrize("special", [False, True])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("rows, columns", [(tile.MR, 1), (1, 4), (2, 1), (3, 2), (1, 1)])
@pytest.mark.parametrize("runs, length", [(3, 5), (1, 1), (0, 5), (2, 0)])
def test_tile(rows, columns, runs, length, dtype, special):
    lanes = 64 // np.dtype(dtype).itemsize
    x, w, y = filters(dtype, 400), filters(dtype, 4000)[1:], np.full((2, 1000), 77, dtype)
    init = np.resize(filters(dtype, 400), 2000)
    if special:
        x[5], init[4] = np.inf, np.nan
    arguments = (x, 1, 4, OFFSET, 0, runs, length, 2, w, 3, (runs * length + 1) * lanes, init, 1, 3, 2 * lanes)
    run_both(callable_tile(tile.tile, rows, columns), plain.tile(rows, columns), arguments, y,
             (5, lanes * columns, lanes))
    assert_same_sums(*y, dtype, special)
    assert (y[0] == 77).sum() == 1000 - rows * columns * lanes


@pytest.mark.parametrize("special", [False, True])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("rows", sorted({1, 2, tile.MR, tile.TALL}))
def test_listed_tile(rows, dtype, special):
    lanes = 64 // np.dtype(dtype).itemsize
    x, w, y = filters(dtype, 400), filters(dtype, 4000)[1:], np.full((2, 1000), 77, dtype)
    init = filters(dtype, 400)
    if special:
        x[5], init[4] = np.inf, np.nan
    x_at = np.array([0, 1, 9, 200, 30, 2, 5, 60, 7, 8, 100])
    y_at = 1 + lanes * np.array([0, 7, 3, 12, 1, 5, 9, 8, 4, 2, 6])
    init_at = np.array([99, 0, 30, 16, 2, 3, 4, 5, 6, 7, 100])
    run_both(callable_tile(tile.listed_tile, rows), plain.listed_tile(rows),
             (x, x_at, OFFSET, 1, 2, 5, 3, w, 3, init, init_at), y, (y_at, 1))
    assert_same_sums(*y, dtype, special)
    assert (y[0] == 77).sum() == 1000 - rows * lanes


@pytest.mark.parametrize("special", [False, True])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("rows", sorted({1, 3, depthwise.PIXELS}))
@pytest.mark.parametrize("last, taps", [(0, 3), (1, 1), (9, 3), (2, 0)])
@pytest.mark.parametrize("relu", [False, True])
def test_depthwise_tile(rows, last, taps, relu, dtype, special):
    lanes = 64 // np.dtype(dtype).itemsize
    x, w, y = filters(dtype, 400), filters(dtype, 400)[1:], np.full((2, 1000), 77, dtype)
    init = filters(dtype, 100)
    if special:
        x[45], init[4] = np.inf, np.nan
    run_both(callable_tile(depthwise.depthwise_tile, rows), plain.depthwise_tile(rows),
             (x, 1, 20, last, OFFSET, taps, w, 3, init, 1, relu), y, (5, 3 * lanes))
    assert_same_sums(*y, dtype, special)
    assert (y[0] == 77).sum() == 1000 - min(rows, last + 1) * lanes
    assert (y[0] < 0).any() != relu


@pytest.mark.parametrize("special", [False, True])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("taps", sorted({1, 3, tile.TALL}))
@pytest.mark.parametrize("rows, count", [(2, 5), (1, 1), (3, 0), (0, 2)])
def test_depthwise_taps(taps, rows, count, dtype, special):
    lanes = 64 // np.dtype(dtype).itemsize
    x, dy = filters(dtype, 500), filters(dtype, 500)[1:]
    sums = np.resize(filters(dtype, 100), (2, 200))
    before = sums[0].copy()
    if special:
        x[1], dy[5], sums[:, 7] = np.inf, np.nan, np.nan
    offset = np.array([0, 40, 7, 3, 100, 61, 2, 90, 11])
    run_both(callable_tile(depthwise.depthwise_taps, taps), plain.depthwise_taps(taps),
             (x, 1, 100, 20, offset, dy, 3, 90, 17, rows, count), sums, ())
    assert_same_sums(*sums, dtype, special)
    np.testing.assert_array_equal(sums[0, (taps + 1) * lanes :], before[(taps + 1) * lanes :])
    assert (sums[0] != before).any() == (rows * count > 0 or special)


def run_both(compiled, twin, arguments, y, places):
    compiled(arguments, y[0], places)
    with np.errstate(all="ignore"):
        twin(*arguments, y[1], *places)


@cache
def callable_tile(make, *size):
    """Return the tile as a function that Python can call."""
    run = make(*size)

    def function(arguments, y, places):
        run(*arguments, y, *places)

    return numba.njit(function)
