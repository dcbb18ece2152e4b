"""The threads that every kernel shares (pool.h): one pool per process, and a new one in the child of a fork."""
from libc.stddef cimport ptrdiff_t

cdef extern from "pool.h" nogil:
    const char* POOL_THREADS
    void pool_init()
    int pool_helpers()
    void pool_run(int n_threads, ptrdiff_t tasks, work run, void* context)


cdef void parallel_for(int n_threads, ptrdiff_t tasks, work run, void* context) noexcept nogil:
    """Call run(context, task, worker) for every 0 <= task < tasks on at most n_threads threads.

    The caller is worker 0 and begins at once; 0 <= worker < n_threads, and no two calls run at once with the same
    worker. Each thread takes tasks of a part of its own, in increasing order, the same part in every loop, and then of
    the others' parts. Denormals are flushed to zero meanwhile. A call from inside a
    task, or while another Python thread has the pool, runs in the caller alone.
    """
    pool_run(n_threads, tasks, run, context)


def n_workers():
    """Return the number of live helper threads; they are made when they are first asked for."""
    return pool_helpers()


def implementation():
    """Return what the threads are made of: pthreads, or none where the kernels run on one thread."""
    return POOL_THREADS.decode()


pool_init()
