"""The steps of BatchNormalization in a plan: statistics over the whole batch, then each image by itself.

Columns are channels, or all values of an image (h, w, c) in the memory's order. Sums are taken in double, lane by lane and
over the lanes in order.
"""
from libc.math cimport sqrt
from libc.stddef cimport ptrdiff_t
from libc.string cimport memset

from .common cimport real
from .plan_state cimport Chunk, Columns, Map, Run, Step, at, first_row, last_row


cdef inline const Map* input_of(const Step* step, const Chunk* k) noexcept nogil:
    return &k.run.maps[step.a]


cdef inline ptrdiff_t column_of(const Columns* c, const Map* m, ptrdiff_t h) noexcept nogil:
    """Return the column of the first value of row h."""
    return h * m.w * m.c if c.count != m.c else 0


# ---- sums of a lane: [count] of each of two quantities

cdef inline void sum_values(const Step* step, Chunk* k) noexcept nogil:
    """Sum of a."""
    if k.run.single:
        sum_rows_of(step, k, <float*> at(k, step.a), <float*> NULL, <float*> NULL, False)
    else:
        sum_rows_of(step, k, <double*> at(k, step.a), <double*> NULL, <double*> NULL, False)


cdef inline void sum_squares(const Step* step, Chunk* k) noexcept nogil:
    """Sum of (a - mean)^2."""
    cdef const Columns* c = step.columns
    if k.run.single:
        sum_rows_of(step, k, <float*> at(k, step.a), <float*> NULL, <float*> c.mean, True)
    else:
        sum_rows_of(step, k, <double*> at(k, step.a), <double*> NULL, <double*> c.mean, True)


cdef inline void sum_products(const Step* step, Chunk* k) noexcept nogil:
    """Sums of dout = a and of dout * (x - mean); b is x."""
    cdef const Columns* c = step.columns
    if k.run.single:
        sum_rows_of(step, k, <float*> at(k, step.a), <float*> at(k, step.b), <float*> c.mean, False)
    else:
        sum_rows_of(step, k, <double*> at(k, step.a), <double*> at(k, step.b), <double*> c.mean, False)


cdef inline void sum_rows_of(const Step* step, Chunk* k, const real* a, const real* x, const real* mean,
                             bint squares) noexcept nogil:
    cdef const Columns* c = step.columns
    cdef const Map* m = input_of(step, k)
    cdef const Map* mx = &k.run.maps[step.b if step.b >= 0 else step.a]
    cdef double* total = c.sums + k.lane * 2 * c.count
    cdef double* products = total + c.count
    cdef ptrdiff_t n, h, i, j
    cdef const real* row
    cdef const real* x_row
    if k.fresh:
        memset(total, 0, 2 * c.count * sizeof(double))
    for n in range(k.n):
        for h in range(m.h):
            j = column_of(c, m, h)
            row = a + n * m.image + h * m.row
            x_row = x + n * mx.image + h * mx.row if x != NULL else row
            for i in range(m.w * m.c):
                if squares:
                    total[j] += <double> (row[i] - mean[j]) * (row[i] - mean[j])
                else:
                    total[j] += row[i]
                if x != NULL:
                    products[j] += <double> row[i] * (x_row[i] - mean[j])
                j += 1
                if j == c.count:
                    j = 0


# ---- between the segments, on one thread

cdef inline void add_lanes_of(const Columns* c, ptrdiff_t lanes) noexcept nogil:
    """Add all lanes to the first."""
    cdef ptrdiff_t lane, j
    for lane in range(1, lanes):
        for j in range(2 * c.count):
            c.sums[j] += c.sums[lane * 2 * c.count + j]


cdef inline void finish_mean(const Run* run, const Step* step) noexcept nogil:
    cdef const Columns* c = step.columns
    cdef ptrdiff_t j
    add_lanes_of(c, run.lanes)
    for j in range(c.count):
        store(run, c.mean, j, c.sums[j] / rows_of(run, step))


cdef inline void finish_variance(const Run* run, const Step* step) noexcept nogil:
    cdef const Columns* c = step.columns
    cdef ptrdiff_t j
    add_lanes_of(c, run.lanes)
    for j in range(c.count):
        store(run, c.var, j, c.sums[j] / rows_of(run, step))


cdef inline void finish_products(const Run* run, const Step* step) noexcept nogil:
    """dbeta = sum dout; dgamma = sum dout * (x - mean) / std."""
    cdef const Columns* c = step.columns
    cdef ptrdiff_t j
    add_lanes_of(c, run.lanes)
    for j in range(c.count):
        store(run, c.dbeta, j, c.sums[j])
        store(run, c.dgamma, j, c.sums[c.count + j] / sqrt(fetch(run, c.var, j) + c.eps))


cdef inline double rows_of(const Run* run, const Step* step) noexcept nogil:
    """Return how many values a column has in the batch."""
    cdef const Map* m = &run.maps[step.a]
    return <double> (run.images * (m.h * m.w * m.c // step.columns.count))


cdef inline void store(const Run* run, void* column, ptrdiff_t j, double value) noexcept nogil:
    if run.single:
        (<float*> column)[j] = <float> value
    else:
        (<double*> column)[j] = value


cdef inline double fetch(const Run* run, const void* column, ptrdiff_t j) noexcept nogil:
    return (<float*> column)[j] if run.single else (<double*> column)[j]


# ---- each image by itself

cdef inline void normalize(const Step* step, Chunk* k) noexcept nogil:
    """out = gamma * (a - mean) / sqrt(var + eps) + beta, or its positive part."""
    cdef const Columns* c = step.columns
    if k.run.single:
        normalize_images(step, k, <float*> at(k, step.a), <float*> c.gamma, <float*> c.beta, <float*> c.mean,
                         <float*> c.var, <float*> k.scratch, <float*> at(k, step.out))
    else:
        normalize_images(step, k, <double*> at(k, step.a), <double*> c.gamma, <double*> c.beta, <double*> c.mean,
                         <double*> c.var, <double*> k.scratch, <double*> at(k, step.out))


cdef inline void normalize_images(const Step* step, Chunk* k, const real* x, const real* gamma, const real* beta,
                                  const real* mean, const real* var, real* scale, real* out) noexcept nogil:
    cdef const Columns* c = step.columns
    cdef const Map* m = input_of(step, k)
    cdef const Map* mo = &k.run.maps[step.out]
    cdef ptrdiff_t n, h, i, j
    cdef real value
    cdef const real* row
    cdef real* to
    for j in range(c.count):
        scale[j] = gamma[j] / <real> sqrt(var[j] + c.eps)
    for n in range(k.n):
        for h in range(first_row(k, m.h), last_row(k, m.h)):
            row, to, j = x + n * m.image + h * m.row, out + n * mo.image + h * mo.row, column_of(c, m, h)
            for i in range(m.w * m.c):
                value = (row[i] - mean[j]) * scale[j] + beta[j]
                to[i] = 0 if step.relu and value <= 0 else value
                j += 1
                if j == c.count:
                    j = 0


cdef inline void normalize_gradient(const Step* step, Chunk* k) noexcept nogil:
    """out = gamma/std * (dout - (dbeta + (x - mean)/std * dgamma) / rows); a is dout, b is x."""
    cdef const Columns* c = step.columns
    if k.run.single:
        gradient_images(step, k, <float*> at(k, step.a), <float*> at(k, step.b), <float*> c.gamma, <float*> c.mean,
                        <float*> c.var, <float*> c.dgamma, <float*> c.dbeta, <float*> k.scratch, <float*> at(k, step.out))
    else:
        gradient_images(step, k, <double*> at(k, step.a), <double*> at(k, step.b), <double*> c.gamma, <double*> c.mean,
                        <double*> c.var, <double*> c.dgamma, <double*> c.dbeta, <double*> k.scratch,
                        <double*> at(k, step.out))


cdef inline void gradient_images(const Step* step, Chunk* k, const real* dout, const real* x, const real* gamma,
                                 const real* mean, const real* var, const real* dgamma, const real* dbeta, real* inverse,
                                 real* dx) noexcept nogil:
    cdef const Columns* c = step.columns
    cdef const Map* m = input_of(step, k)
    cdef const Map* mx = &k.run.maps[step.b]
    cdef const Map* mo = &k.run.maps[step.out]
    cdef real rows = <real> rows_of(k.run, step)
    cdef ptrdiff_t n, h, i, j
    cdef const real* row
    cdef const real* x_row
    cdef real* to
    for j in range(c.count):
        inverse[j] = <real> (1 / sqrt(var[j] + c.eps))
    for n in range(k.n):
        for h in range(m.h):
            row, x_row = dout + n * m.image + h * m.row, x + n * mx.image + h * mx.row
            to, j = dx + n * mo.image + h * mo.row, column_of(c, m, h)
            for i in range(m.w * m.c):
                to[i] = gamma[j] * inverse[j] * (row[i] - (dbeta[j] + (x_row[i] - mean[j]) * inverse[j] * dgamma[j]) / rows)
                j += 1
                if j == c.count:
                    j = 0
