"""How annotated loops of the Numba backend take arrays from Python: once per dtype, past Numba's dispatcher."""
from __future__ import annotations

import importlib
import sys

import numpy as np
import pytest

numba = pytest.importorskip("numba")
if numba.config.DISABLE_JIT:
    pytest.skip("nothing is compiled", allow_module_level=True)

from fastconv.cli.warmup_cases import loops  # noqa: E402
from fastconv.dispatch import kernel  # noqa: E402
from fastconv.kernels.jit import gemm as gemm_kernel  # noqa: E402

gemm_file, relu_file = (sys.modules[f"fastconv.kernels.jit.{name}"] for name in ("gemm", "elementwise"))


def frozen(a):
    a = a.copy(order="K")
    a.flags.writeable = False
    return a


@pytest.mark.parametrize("shape", [(), (1,), (0, 3), (2, 3, 5), (1,) * 64, (7, 11)])
def test_a_row_is_an_array_of_any_shape(shape):
    x = np.arange(-3, -3 + np.prod(shape, dtype=int), dtype=np.float32).reshape(shape)
    for given in (x, frozen(x), np.asfortranarray(x).T):  # contiguous, all three
        out = np.full_like(given, 77, order="C")
        kernel("relu_forward", "numba")(given, out, 1)
        np.testing.assert_array_equal(out, np.maximum(given, 0))


def test_elements_of_another_size_are_an_error_and_nothing_is_written():
    x, out = np.ones((3, 4)), np.zeros((3, 4), np.float32)
    for given, result in ((x, out), (out, x)):
        before = result.copy()
        with pytest.raises(TypeError, match="expected an array of float(32|64)"):
            relu_file._relu_forward.on(1, given.dtype)(given, result)
        np.testing.assert_array_equal(result, before)


@pytest.mark.parametrize("place", [0, 1, 3])
def test_what_is_no_array_is_an_error(place):
    arguments = [np.ones((9, 9)) for _ in range(4)]
    arguments[place] = [[1.0]]
    with pytest.raises(TypeError, match="expected an array of float64"):
        gemm_file._gemm.on(1, np.dtype(float))(*arguments)


def test_a_row_that_is_none_is_empty():
    a, out = np.ones((9, 9)), np.empty((9, 9))
    gemm_file._gemm.on(1, a.dtype)(a, a, None, out)
    np.testing.assert_array_equal(out, 9)


def test_no_reference_is_kept():
    a, b, out = (np.ones((5, 5)) for _ in range(3))
    before = [sys.getrefcount(array) for array in (a, b, out)]
    for _ in range(10):
        gemm_kernel(a, b, None, out, 1)
        with pytest.raises(TypeError):
            gemm_file._gemm.on(1, a.dtype)(a, b, out.astype(np.float32), out)
    assert [sys.getrefcount(array) for array in (a, b, out)] == before


def test_one_signature_serves_all_layouts():
    rng = np.random.default_rng(0)
    wide = rng.standard_normal((40, 60))
    makers = (lambda a: a, lambda a: np.asfortranarray(a), frozen,
              lambda a: np.repeat(a, 2, axis=1)[:, ::2], lambda a: a[::-1, ::-1].copy()[::-1, ::-1])
    for left in makers:
        for right in makers:
            for bias in (None, frozen(wide[0, :30])):
                a, b, out = left(wide[:20]), right(wide.T[:, :30].copy()), np.empty((20, 30))
                gemm_kernel(a, b, bias, out, 1)
                expected = wide[:20] @ wide.T[:, :30] + (0 if bias is None else bias)
                np.testing.assert_allclose(out, expected, rtol=0, atol=1e-12)
    assert len(gemm_file._gemm.alone.signatures) <= 2  # float32, float64


def test_annotations_name_every_parameter():
    """A loop that is annotated in part would be called with too few types."""
    importlib.import_module("fastconv.kernels.jit.plan")
    annotated = 0
    for loop in loops():
        parameters, kinds = loop.alone.py_func.__code__.co_argcount, loop._alone._kinds
        if kinds:
            assert len(kinds) == parameters, loop.__name__
            annotated += 1
    assert annotated >= 15
