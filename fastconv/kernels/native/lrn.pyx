"""Local response normalization (Krizhevsky, Sutskever, Hinton, 2012, section 3.3), pixel by pixel on channels-last
memory. The NumPy twin is ../reference/lrn.py."""
from libc.stddef cimport ptrdiff_t

cimport numpy as cnp

from .common cimport SERIAL_SIZE, Scratch, free_scratch, is_float, new_scratch, parts, real, task_rows
from .pool cimport parallel_for, work
from .response cimport Response, normalize_responses, response, response_bytes, response_gradient

cnp.import_array()

__all__ = ["lrn_forward", "lrn_backward"]

cdef struct Pixels:
    Response rule
    ptrdiff_t count
    ptrdiff_t rows         # pixels per task
    bint single
    void* x
    void* dout
    void* out              # or dx
    char* scratch          # each worker's
    ptrdiff_t scratch_bytes


def lrn_forward(cnp.ndarray x, ptrdiff_t n, double k, double alpha, double beta, cnp.ndarray out, int n_threads):
    """out = x / (k + alpha/n * sum of x^2 over n channels)^beta; x, out (N,H,W,C)."""
    run(None, x, response(x.shape[3], n, k, alpha, beta), out, forward_task, n_threads)


def lrn_backward(cnp.ndarray dout, cnp.ndarray x, ptrdiff_t n, double k, double alpha, double beta, cnp.ndarray dx,
                 int n_threads):
    """dx = dout/scale^beta - 2*alpha/n*beta * x * sum(dout*x/scale^(beta+1)), over the channels whose windows hold x."""
    run(dout, x, response(x.shape[3], n, k, alpha, beta), dx, backward_task, n_threads)


cdef run(cnp.ndarray dout, cnp.ndarray x, Response rule, cnp.ndarray out, work task, int n_threads):
    cdef Pixels s
    cdef Scratch scratch
    s.rule, s.single, s.rows = rule, is_float(x), task_rows(rule.c)
    s.count = x.shape[0] * x.shape[1] * x.shape[2]
    s.x, s.out = cnp.PyArray_DATA(x), cnp.PyArray_DATA(out)
    s.dout = NULL if dout is None else cnp.PyArray_DATA(dout)
    s.scratch_bytes = response_bytes(&rule)
    if s.count * rule.c < SERIAL_SIZE:
        n_threads = 1
    scratch = new_scratch(n_threads * s.scratch_bytes)
    s.scratch = scratch.memory
    with nogil:
        parallel_for(n_threads, parts(s.count, s.rows), task, &s)
    free_scratch(&scratch)


cdef void forward_task(void* context, ptrdiff_t task, int worker) noexcept nogil:
    cdef const Pixels* s = <Pixels*> context
    cdef ptrdiff_t pixel
    cdef char* scratch = s.scratch + worker * s.scratch_bytes
    for pixel in range(task * s.rows, min(s.count, (task + 1) * s.rows)):
        if s.single:
            normalize_responses(&s.rule, <float*> s.x + pixel * s.rule.c, <float*> scratch,
                                <float*> s.out + pixel * s.rule.c)
        else:
            normalize_responses(&s.rule, <double*> s.x + pixel * s.rule.c, <double*> scratch,
                                <double*> s.out + pixel * s.rule.c)


cdef void backward_task(void* context, ptrdiff_t task, int worker) noexcept nogil:
    cdef const Pixels* s = <Pixels*> context
    cdef ptrdiff_t pixel
    cdef char* scratch = s.scratch + worker * s.scratch_bytes
    for pixel in range(task * s.rows, min(s.count, (task + 1) * s.rows)):
        if s.single:
            response_gradient(&s.rule, <float*> s.dout + pixel * s.rule.c, <float*> s.x + pixel * s.rule.c,
                              <float*> scratch, <float*> s.out + pixel * s.rule.c)
        else:
            response_gradient(&s.rule, <double*> s.dout + pixel * s.rule.c, <double*> s.x + pixel * s.rule.c,
                              <double*> scratch, <double*> s.out + pixel * s.rule.c)
