"""The product of a few rows with a matrix so large that to pack it would take longer: it is read once, where it is."""
from libc.stddef cimport ptrdiff_t
from libc.string cimport memcpy, memset

from .common cimport FEW_ROWS, LINE_BYTES, SERIAL_WORK, few_rows, parts, real, up_to
from .pool cimport parallel_for

cdef enum:
    THIN = 8           # rows of a, so few that to pack b would take longer than the products
    THIN_DEPTH = 128   # rows of b that they read at a time,
    LONG_ROW = 1 << 11 # and bytes of a row
    THIN_FEW = 8       # beyond which they read so few
    THIN_LINES = 16    # lines of b per task,
    LONG_LINES = 256   # or, where b is so large that it comes from memory,
    LONG_BYTES = 1 << 22   # all of some rows: whole pages, one after another
    LONG_PARTS = 16    # of its rows; their sums are added in order

cdef struct Matrices:
    ptrdiff_t m
    ptrdiff_t n
    ptrdiff_t k
    ptrdiff_t a_row        # strides in elements
    ptrdiff_t a_column
    ptrdiff_t b_row
    ptrdiff_t b_column
    ptrdiff_t lanes        # outputs per line
    ptrdiff_t lines

cdef struct Thin:          # the product of a few rows
    Matrices size
    bint single
    void* a
    void* b
    void* bias
    char* sums             # [part][m][pitch]; one part: out
    ptrdiff_t pitch        # n, and a line more, because rows of 2**k bytes would fall on a few sets of the cache; one part: n
    void* out
    ptrdiff_t depth        # rows of b per part
    ptrdiff_t lines        # per task
    ptrdiff_t line_tasks
    ptrdiff_t parts


cdef inline ptrdiff_t item_of(const Thin* t) noexcept nogil:
    return sizeof(float) if t.single else sizeof(double)


cdef inline void cut_thin(Thin* t) noexcept nogil:
    """Cut the product into tasks, by its sizes alone."""
    t.lines, t.parts = THIN_LINES, 1
    if t.size.k * t.size.n * item_of(t) >= LONG_BYTES:
        t.lines, t.parts = LONG_LINES, max(1, min(LONG_PARTS, t.size.k // THIN_FEW))
    t.depth = up_to(parts(t.size.k, t.parts), THIN_FEW)
    t.parts = max(1, parts(t.size.k, t.depth)) if t.depth else 1
    t.pitch = t.size.n + t.size.lanes if t.parts > 1 else t.size.n
    t.line_tasks = parts(t.size.lines, t.lines)


cdef inline ptrdiff_t thin_bytes(const Thin* t) noexcept nogil:
    """Return the bytes of scratch memory that it needs."""
    return t.parts * t.size.m * t.pitch * item_of(t) if t.parts > 1 else 0


cdef inline void run_thin(Thin* t, char* scratch, int n_threads) noexcept nogil:
    if t.parts == 1 and t.size.m * t.size.lines * t.size.k < SERIAL_WORK:
        n_threads = 1
    t.sums = scratch if t.parts > 1 else <char*> t.out
    parallel_for(n_threads, t.parts * t.line_tasks, thin_task, t)
    if t.parts > 1:
        parallel_for(n_threads, t.line_tasks, add_thin_task, t)


cdef inline void thin_task(void* context, ptrdiff_t task, int worker) noexcept nogil:
    cdef const Thin* t = <Thin*> context
    cdef ptrdiff_t part = task // t.line_tasks, first = task % t.line_tasks * t.lines
    cdef ptrdiff_t last = min(t.size.lines, first + t.lines), k = part * t.depth, end = min(t.size.k, k + t.depth)
    cdef char* sums = t.sums + part * t.size.m * t.pitch * item_of(t)
    cdef void* bias = t.bias if part == 0 else NULL
    if t.single:
        thin_lines(&t.size, <float*> t.a, <float*> t.b, <float*> bias, first, last, k, end, t.pitch, <float*> sums)
    else:
        thin_lines(&t.size, <double*> t.a, <double*> t.b, <double*> bias, first, last, k, end, t.pitch, <double*> sums)


cdef inline void add_thin_task(void* context, ptrdiff_t task, int worker) noexcept nogil:
    cdef const Thin* t = <Thin*> context
    cdef ptrdiff_t first = task * t.lines * t.size.lanes, last = min(t.size.n, first + t.lines * t.size.lanes)
    if t.single:
        add_thin(t, first, last, <float*> t.sums, <float*> t.out)
    else:
        add_thin(t, first, last, <double*> t.sums, <double*> t.out)


cdef inline void add_thin(const Thin* t, ptrdiff_t first, ptrdiff_t last, const real* sums, real* out) noexcept nogil:
    cdef ptrdiff_t part, i, j, size = t.size.m * t.pitch
    for i in range(t.size.m):
        memcpy(out + i * t.size.n + first, sums + i * t.pitch + first, (last - first) * sizeof(real))
        for part in range(1, t.parts):
            for j in range(first, last):
                out[i * t.size.n + j] += sums[part * size + i * t.pitch + j]


cdef inline void thin_lines(const Matrices* s, const real* a, const real* b, const real* bias, ptrdiff_t first, ptrdiff_t last,
                     ptrdiff_t k, ptrdiff_t end, ptrdiff_t pitch, real* out) noexcept nogil:
    """Multiply columns [k, end) of a with some lines of as many rows of b; rows of out are a pitch apart.

    Where b's last line is not whole, the last `lanes` columns are summed beside out, and those of them that are its own go
    there at the end.
    """
    cdef real spare[THIN * 16]
    cdef real* y
    cdef ptrdiff_t whole = s.n // s.lanes, most = THIN_DEPTH if s.b_row * sizeof(real) < LONG_ROW else THIN_FEW
    cdef ptrdiff_t depth, line, lines, row, i, y_row, column
    for line in range(first, last):
        for i in range(s.m):
            y = out + i * pitch + line * s.lanes if line < whole else spare + i * s.lanes
            column = min(line * s.lanes, s.n - s.lanes)
            if bias != NULL:
                memcpy(y, bias + column, LINE_BYTES)
            else:
                memset(y, 0, LINE_BYTES)
    while k < end:
        depth, line = min(most, end - k), first
        while line < last:
            lines = 2 if line + 2 <= min(last, whole) else 1
            column = min(line * s.lanes, s.n - s.lanes)
            y, y_row = (out + column if line < whole else <real*> spare), (pitch if line < whole else s.lanes)
            row = 0
            while row < s.m:
                few_rows(a + row * s.a_row + k * s.a_column, s.a_row, s.a_column, <int> min(FEW_ROWS, s.m - row), depth,
                         b + k * s.b_row + column, s.b_row, y + row * y_row, y_row, lines)
                row = row + FEW_ROWS
            line += lines
        k += depth
    if last > whole:
        for i in range(s.m):
            memcpy(out + i * pitch + whole * s.lanes, spare + i * s.lanes + (whole + 1) * s.lanes - s.n,
                   (s.n - whole * s.lanes) * sizeof(real))
