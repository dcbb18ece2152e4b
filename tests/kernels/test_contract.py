"""All backends keep one contract: the same operations, parameters, order and defaults."""

from __future__ import annotations

import importlib.util
import inspect

import numpy as np
import pytest

from fastconv import dispatch


def parameters(op, backend):
    signature = inspect.signature(dispatch.kernel(op, backend))
    return [(p.name, p.kind, p.default) for p in signature.parameters.values()]


def test_every_backend_of_the_table_runs_here():
    """A suite without the compiled kernels would pass and mean nothing; Numba is a choice."""
    missing = {"numba"} if importlib.util.find_spec("numba") is None else set()
    assert dispatch.backends() == tuple(name for name in dispatch.BACKENDS if name not in missing)


@pytest.mark.parametrize("backend", [name for name in dispatch.BACKENDS if name != "reference"])
@pytest.mark.parametrize("op", dispatch.OPERATIONS)
def test_same_signature_as_the_reference(op, backend):
    if backend == "numba":
        pytest.importorskip("numba")
    assert parameters(op, backend) == parameters(op, "reference")


@pytest.mark.parametrize("op", dispatch.OPERATIONS)
def test_threads_come_last_and_nothing_has_a_default(op):
    names, kinds, defaults = zip(*parameters(op, "reference"), strict=True)
    assert names[-1] == "n_threads"
    assert set(kinds) == {inspect.Parameter.POSITIONAL_OR_KEYWORD}
    assert set(defaults) == {inspect.Parameter.empty}


def test_the_reference_exports_exactly_the_operations():
    from fastconv.kernels import reference

    assert set(reference.__all__) == set(dispatch.OPERATIONS)
    assert all(getattr(reference, op) is dispatch.kernel(op, "reference") for op in dispatch.OPERATIONS)


def test_the_numba_backend_exports_exactly_the_operations():
    pytest.importorskip("numba")
    from fastconv.kernels import jit

    assert set(jit.__all__) == set(dispatch.OPERATIONS)
    for op, file in dispatch.OPERATIONS.items():
        assert dispatch.kernel(op, "numba").__module__ == f"fastconv.kernels.jit.{file}"


def test_the_callers_subnormal_numbers_survive_a_call(run):
    """Kernels may flush them to zero inside, the setting of the calling thread is not theirs."""
    image, weight = np.ones((4, 32, 32, 8), np.float32), np.ones((8, 8, 3, 3), np.float32)
    run("convolution_forward", image, weight, None, (1, 1), (0, 0), (1, 1), 1, outputs=[(4, 30, 30, 8)])
    subnormal = np.full(100, 1e-39, np.float32)
    assert (subnormal * np.float32(0.5) > 0).all()


@pytest.mark.parametrize("dtype", [np.float16, np.longdouble])
def test_the_reference_takes_any_float_dtype(dtype):
    from fastconv.kernels import reference

    x, weight, bias = np.ones((2, 4, 4, 3), dtype), np.ones((5, 3, 3, 3), dtype), np.ones(5, dtype)
    out = np.empty((2, 2, 2, 5), dtype)
    reference.convolution_forward(x, weight, bias, (1, 1), (0, 0), (1, 1), 1, out, 1)
    np.testing.assert_array_equal(out, np.full(out.shape, 28))
    pooled = np.empty((2, 1, 1, 5), dtype)
    reference.max_pooling_forward(out, (2, 2), (2, 2), (0, 0), pooled, 1)
    np.testing.assert_array_equal(pooled, np.full(pooled.shape, 28))
