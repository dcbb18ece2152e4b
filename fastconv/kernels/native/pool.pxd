from libc.stddef cimport ptrdiff_t

ctypedef void (*work)(void* context, ptrdiff_t task, int worker) noexcept nogil

cdef void parallel_for(int n_threads, ptrdiff_t tasks, work run, void* context) noexcept nogil
