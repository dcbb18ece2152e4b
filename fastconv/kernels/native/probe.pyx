"""Two loops that do nothing but load the machine: multiply-adds in registers, and a copy. No operations of the
dispatch table: fastconv/probe.py times them, and benchmarks quote their figures as the limit."""
from libc.stddef cimport ptrdiff_t
from libc.string cimport memcpy

cimport numpy as cnp

from .pool cimport parallel_for

cnp.import_array()

__all__ = ["multiply_add", "copy"]

cdef extern from *:
    """
    #include "tile.h"
    typedef float probe_vector __attribute__((vector_size(VECTOR_BYTES)));

    /* Ten chains of multiply-adds: as many as the latency (4-5) times the units (2) of today's CPUs. */
    static double probe_chains(ptrdiff_t steps) {
        probe_vector x = {0}, y = {0}, sum;
        for (int i = 0; i < (int)(VECTOR_BYTES / sizeof(float)); i++) { x[i] = 0.999f; y[i] = 0.001f; }
        probe_vector a = y, b = x, c = y + y, d = x + y, e = x - y;
        probe_vector f = x * x, g = y * x, h = x + x, k = c + y, l = d + y;
        for (ptrdiff_t i = 0; i < steps; i++) {
            a = a * x + y; b = b * x + y; c = c * x + y; d = d * x + y; e = e * x + y;
            f = f * x + y; g = g * x + y; h = h * x + y; k = k * x + y; l = l * x + y;
        }
        sum = a + b + c + d + e + f + g + h + k + l;
        return sum[0];
    }
    #define PROBE_FLOPS (10 * 2 * (VECTOR_BYTES / sizeof(float)))
    """
    double probe_chains(ptrdiff_t steps) nogil
    const ptrdiff_t PROBE_FLOPS

cdef enum:
    PIECE = 1 << 16  # bytes per memcpy: short ones write through the cache, as kernels do


cdef struct Chains:
    ptrdiff_t steps
    bint zero

cdef struct Bytes:
    ptrdiff_t size
    char* source
    char* target


def multiply_add(ptrdiff_t steps, int n_threads):
    """Run `steps` steps on each thread; return the floating-point operations of all of them."""
    cdef Chains s
    s.steps, s.zero = steps, False
    with nogil:
        parallel_for(n_threads, n_threads, run_chains, &s)
    if s.zero:
        raise ArithmeticError("the chains came out as zero")
    return steps * n_threads * PROBE_FLOPS


def copy(cnp.ndarray source, cnp.ndarray target, int n_threads):
    """Copy the bytes of `source` to `target` (contiguous, of one size); return the bytes read and written."""
    cdef Bytes s
    s.size = cnp.PyArray_NBYTES(source)
    s.source, s.target = <char*> cnp.PyArray_DATA(source), <char*> cnp.PyArray_DATA(target)
    with nogil:
        parallel_for(n_threads, (s.size + PIECE - 1) // PIECE, copy_piece, &s)
    return 2 * s.size


cdef void run_chains(void* context, ptrdiff_t task, int worker) noexcept nogil:
    cdef Chains* s = <Chains*> context
    if probe_chains(s.steps) == 0:  # never: it keeps the compiler from dropping the loop
        s.zero = True


cdef void copy_piece(void* context, ptrdiff_t task, int worker) noexcept nogil:
    cdef const Bytes* s = <Bytes*> context
    memcpy(s.target + task * PIECE, s.source + task * PIECE, min(PIECE, s.size - task * PIECE))
