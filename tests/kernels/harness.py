"""Call a kernel and check what every kernel promises; compare its result with a bound from the arithmetic."""

from __future__ import annotations

import contextlib
from unittest import mock

import numpy as np

from fastconv import dispatch

GUARD = 61  # elements of nan before and after each array; odd, so that arrays are aligned to one element only


def run(backend, op, *arguments, outputs):
    """Return the outputs of ``op(*arguments, *outputs, n_threads)``: one array, or a list.

    `outputs` holds shapes (filled with nan first) and arrays (a copy is updated in place). Checked on the
    way: the inputs are read-only and stay the same, nothing is written outside the outputs, and 1, 2 and 3
    threads give the same bits.
    """
    kernel = dispatch.kernel(op, backend)
    dtype = next(a.dtype for a in arguments if isinstance(a, np.ndarray))
    inputs = [_frozen(a) if isinstance(a, np.ndarray) else a for a in arguments]
    results = []
    for n_threads in (1,) if backend == "reference" else (1, 2, 3):
        buffers, made = zip(*(_guarded(output, dtype) for output in outputs), strict=True)
        with shared(backend, n_threads):
            assert kernel(*inputs, *made, n_threads) is None
        for buffer, output in zip(buffers, made, strict=True):
            assert _is_guard(buffer[: GUARD * output.itemsize])
            assert _is_guard(buffer[buffer.size - GUARD * output.itemsize :])
        results.append(made)
    for before, after in zip(arguments, inputs, strict=True):
        assert before is after or before.tobytes() == after.tobytes()
    for other in results[1:]:
        for one, many in zip(results[0], other, strict=True):
            assert one.tobytes() == many.tobytes(), "the result depends on the number of threads"
    return results[0] if len(outputs) > 1 else results[0][0]


def shared(backend, n_threads):
    """Share all loops of the Numba backend among so many threads in the block, however small they are."""
    if backend != "numba" or n_threads == 1:
        return contextlib.nullcontext()
    from fastconv.kernels.jit.compile import Loop
    on = Loop.on
    return mock.patch.object(Loop, "on", lambda loop, _, dtype=None, *work: on(loop, n_threads, dtype))


def assert_close(actual, expected, bound):
    """Assert ``|actual - expected| <= bound`` element by element; nan and inf must be equal."""
    assert actual.shape == expected.shape
    special = ~np.isfinite(expected)
    np.testing.assert_array_equal(actual[special], expected[special])
    error = np.abs(actual.astype(np.float64) - expected)[~special]
    flushed = np.finfo(actual.dtype).tiny  # results below it may be zero
    allowed = np.broadcast_to(bound, expected.shape)[~special] + flushed
    worst = np.argmax(error - allowed) if error.size else None
    assert (error <= allowed).all(), f"off by {error[worst]}, allowed {allowed[worst]}"


def sum_bound(terms, magnitude, dtype):
    """Bound the error of a sum of products in any order by (terms + 2) eps times their absolute sum."""
    return (terms + 2) * np.finfo(dtype).eps * magnitude


def sample(*shape, seed=0, offset=0.0):
    """Return normal random numbers: float64 that float32 holds exactly, one result for both precisions."""
    values = np.random.default_rng([seed, *shape]).standard_normal(shape) + offset
    return values.astype(np.float32).astype(np.float64)


def _frozen(a):
    """Return `a` read-only: a copy amid nan if it is contiguous, else a view."""
    copy = _guarded(a, a.dtype)[1] if a.flags.c_contiguous else a.view()
    copy.flags.writeable = False
    return copy


def _guarded(output, dtype):
    """Return a buffer of bytes 255 (nan) and its middle: nan for a shape, a copy for an array."""
    shape = getattr(output, "shape", output)
    dtype = getattr(output, "dtype", np.dtype(dtype))
    edge = GUARD * dtype.itemsize
    buffer = np.full(int(np.prod(shape)) * dtype.itemsize + 2 * edge, 255, np.uint8)
    middle = buffer[edge : buffer.size - edge].view(dtype).reshape(shape)
    if isinstance(output, np.ndarray):
        middle[...] = output
    return buffer, middle


def _is_guard(edge):
    return (edge == 255).all()
