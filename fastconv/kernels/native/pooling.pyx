"""Max and average pooling on channels-last memory: the innermost loop runs over channels, which lie side by side.
The NumPy twin is ../reference/pooling.py."""
from libc.stddef cimport ptrdiff_t

cimport numpy as cnp

from .common cimport SERIAL_SIZE, is_float, parts, real, task_rows
from .pool cimport parallel_for
from .windows cimport Pool, average_gradient, average_row, clear, max_gradient, max_row

cnp.import_array()

__all__ = ["max_pooling_forward", "max_pooling_backward", "average_pooling_forward", "average_pooling_backward"]

cdef enum:
    CHANNELS = 64       # per piece of a backward pass

cdef struct Job:
    Pool pool
    ptrdiff_t n
    ptrdiff_t rows      # of results per task; pieces of a backward pass
    bint largest        # or average
    bint single
    void* x
    void* out
    void* dout
    void* dx


def max_pooling_forward(cnp.ndarray x, tuple window, tuple stride, tuple pad, cnp.ndarray out, int n_threads):
    """x (N,H,W,C) to out (N,OH,OW,C); padding never wins, nan does."""
    forward(x, out, window, stride, pad, True, n_threads)


def average_pooling_forward(cnp.ndarray x, tuple window, tuple stride, tuple pad, cnp.ndarray out, int n_threads):
    """x (N,H,W,C) to out (N,OH,OW,C): sum over the window / its area; padding counts as zeros, what
    is behind it does not count."""
    forward(x, out, window, stride, pad, False, n_threads)


def max_pooling_backward(cnp.ndarray dout, cnp.ndarray x, cnp.ndarray out, tuple window, tuple stride, tuple pad,
                         cnp.ndarray dx, int n_threads):
    """dx (N,H,W,C): each dout goes to the first maximum of its window; x and out are the forward pass's."""
    backward(dout, x, out, window, stride, pad, dx, True, n_threads)


def average_pooling_backward(cnp.ndarray dout, tuple window, tuple stride, tuple pad, cnp.ndarray dx, int n_threads):
    """dx (N,H,W,C): each dout / its window's area goes to every pixel of its window."""
    backward(dout, dout, dout, window, stride, pad, dx, False, n_threads)


cdef Job geometry(cnp.ndarray image, cnp.ndarray result, tuple window, tuple stride, tuple pad, bint largest):
    cdef Job job
    cdef Pool* s = &job.pool
    s.h, s.w, s.c = image.shape[1], image.shape[2], image.shape[3]
    s.oh, s.ow = result.shape[1], result.shape[2]
    s.ph, s.pw = window
    s.sh, s.sw = stride
    s.top, s.left = pad
    s.x_row = s.dx_row = s.w * s.c
    s.out_row = s.dout_row = s.ow * s.c
    job.n, job.largest, job.single = image.shape[0], largest, is_float(image)
    return job


cdef forward(cnp.ndarray x, cnp.ndarray out, tuple window, tuple stride, tuple pad, bint largest, int n_threads):
    cdef Job job = geometry(x, out, window, stride, pad, largest)
    job.x, job.out, job.rows = cnp.PyArray_DATA(x), cnp.PyArray_DATA(out), task_rows(job.pool.out_row)
    if cnp.PyArray_SIZE(x) < SERIAL_SIZE:
        n_threads = 1
    with nogil:
        parallel_for(n_threads, parts(job.n * job.pool.oh, job.rows), forward_task, &job)


cdef backward(cnp.ndarray dout, cnp.ndarray x, cnp.ndarray out, tuple window, tuple stride, tuple pad, cnp.ndarray dx,
              bint largest, int n_threads):
    """One piece per image and CHANNELS channels: windows may overlap, pieces don't."""
    cdef Job job = geometry(dx, dout, window, stride, pad, largest)
    cdef Pool* s = &job.pool
    cdef ptrdiff_t pieces = job.n * parts(s.c, CHANNELS)
    job.rows = task_rows(s.h * s.w * min(s.c, CHANNELS))
    job.dout, job.dx = cnp.PyArray_DATA(dout), cnp.PyArray_DATA(dx)
    job.x, job.out = cnp.PyArray_DATA(x), cnp.PyArray_DATA(out)
    if cnp.PyArray_SIZE(dx) < SERIAL_SIZE:
        n_threads = 1
    with nogil:
        parallel_for(n_threads, parts(pieces, job.rows), backward_task, &job)


cdef void forward_task(void* context, ptrdiff_t task, int worker) noexcept nogil:
    cdef const Job* job = <Job*> context
    if job.single:
        forward_rows(job, <float*> job.x, task * job.rows, <float*> job.out)
    else:
        forward_rows(job, <double*> job.x, task * job.rows, <double*> job.out)


cdef void forward_rows(const Job* job, const real* x, ptrdiff_t first, real* out) noexcept nogil:
    cdef const Pool* s = &job.pool
    cdef ptrdiff_t row
    for row in range(first, min(first + job.rows, job.n * s.oh)):
        if job.largest:
            max_row(s, x + row // s.oh * s.h * s.x_row, row % s.oh, out + row * s.out_row)
        else:
            average_row(s, x + row // s.oh * s.h * s.x_row, row % s.oh, out + row * s.out_row)


cdef void backward_task(void* context, ptrdiff_t task, int worker) noexcept nogil:
    cdef const Job* job = <Job*> context
    cdef ptrdiff_t piece
    for piece in range(task * job.rows, min((task + 1) * job.rows, job.n * parts(job.pool.c, CHANNELS))):
        if job.single:
            backward_piece(job, <float*> job.dout, <float*> job.x, <float*> job.out, piece, <float*> job.dx)
        else:
            backward_piece(job, <double*> job.dout, <double*> job.x, <double*> job.out, piece, <double*> job.dx)


cdef void backward_piece(const Job* job, const real* dout, const real* x, const real* out, ptrdiff_t piece,
                         real* dx) noexcept nogil:
    cdef const Pool* s = &job.pool
    cdef ptrdiff_t chunks = parts(s.c, CHANNELS), first = piece % chunks * CHANNELS, used = min(CHANNELS, s.c - first)
    cdef ptrdiff_t in_image = piece // chunks * s.h * s.x_row + first
    cdef ptrdiff_t in_result = piece // chunks * s.oh * s.out_row + first
    clear(s, dx + in_image, used)
    if job.largest:
        max_gradient(s, dout + in_result, x + in_image, out + in_result, dx + in_image, used)
    else:
        average_gradient(s, dout + in_result, dx + in_image, used)
