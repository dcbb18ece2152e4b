"""The steps of a plan that pool, normalize across channels, or turn images to rows and back (plan_steps.pxd)."""
from libc.stddef cimport ptrdiff_t
from libc.string cimport memset

from .common cimport real
from .plan_state cimport Chunk, Map, Step, at, first_row, last_row, map_of
from .relu_pool cimport relu_unpool_rows
from .response cimport normalize_responses, response_gradient
from .windows cimport average_gradient, average_row, clear, max_gradient, max_row


# ---- pooling; the pool's own rows are those of the step's maps

cdef inline void pooling(const Step* step, Chunk* k) noexcept nogil:
    if k.run.single:
        pool_rows(step, k, <float*> at(k, step.a), <float*> at(k, step.out))
    else:
        pool_rows(step, k, <double*> at(k, step.a), <double*> at(k, step.out))


cdef inline void pool_rows(const Step* step, Chunk* k, const real* x, real* out) noexcept nogil:
    cdef const Map* m = map_of(k, step.a)
    cdef const Map* mo = map_of(k, step.out)
    cdef ptrdiff_t n, h
    for n in range(k.n):
        for h in range(first_row(k, mo.h), last_row(k, mo.h)):
            if step.largest:
                max_row(&step.pool, x + n * m.image, h, out + n * mo.image + h * mo.row)
            else:
                average_row(&step.pool, x + n * m.image, h, out + n * mo.image + h * mo.row)


cdef inline void pooling_gradient(const Step* step, Chunk* k) noexcept nogil:
    """a is dout, b and c are x and out of the forward pass, which the average does not need."""
    cdef ptrdiff_t x = step.b if step.largest else step.a, out = step.c if step.largest else step.a
    if k.run.single:
        pool_back(step, k, <float*> at(k, step.a), <float*> at(k, x), map_of(k, x), <float*> at(k, out), map_of(k, out),
                  <float*> at(k, step.out))
    else:
        pool_back(step, k, <double*> at(k, step.a), <double*> at(k, x), map_of(k, x), <double*> at(k, out), map_of(k, out),
                  <double*> at(k, step.out))


cdef inline void pool_back(const Step* step, Chunk* k, const real* dout, const real* x, const Map* mx, const real* out,
                           const Map* mo, real* dx) noexcept nogil:
    cdef const Map* md = map_of(k, step.a)
    cdef const Map* m = map_of(k, step.out)
    cdef ptrdiff_t n
    for n in range(k.n):
        clear(&step.pool, dx + n * m.image, m.c)
        if step.largest:
            max_gradient(&step.pool, dout + n * md.image, x + n * mx.image, out + n * mo.image, dx + n * m.image, m.c)
        else:
            average_gradient(&step.pool, dout + n * md.image, dx + n * m.image, m.c)


cdef inline void unpool(const Step* step, Chunk* k) noexcept nogil:
    """Bring a, the gradient of relu and 2x2 pooling, back to out; c says where the pooled values came from."""
    if k.run.single:
        unpool_rows(step, k, <float*> at(k, step.a), <float*> at(k, step.out))
    else:
        unpool_rows(step, k, <double*> at(k, step.a), <double*> at(k, step.out))


cdef inline void unpool_rows(const Step* step, Chunk* k, const real* dout, real* dx) noexcept nogil:
    cdef const Map* md = map_of(k, step.a)
    cdef const Map* mw = map_of(k, step.c)
    cdef const Map* m = map_of(k, step.out)
    cdef const unsigned char* winner = <unsigned char*> at(k, step.c)
    cdef ptrdiff_t n, h, even = m.w // 2 * 2
    cdef real* top
    for n in range(k.n):
        for h in range(m.h // 2):
            top = dx + n * m.image + 2 * h * m.row
            relu_unpool_rows(dout + n * md.image + h * md.row, winner + n * mw.image + h * mw.row, m.w // 2, m.c, top,
                             top + m.row)
            memset(top + even * m.c, 0, (m.w - even) * m.c * sizeof(real))
            memset(top + m.row + even * m.c, 0, (m.w - even) * m.c * sizeof(real))
        if m.h % 2:
            memset(dx + n * m.image + (m.h - 1) * m.row, 0, m.w * m.c * sizeof(real))


# ---- local response normalization, pixel by pixel

cdef inline void lrn(const Step* step, Chunk* k) noexcept nogil:
    if k.run.single:
        lrn_rows(step, k, <float*> at(k, step.a), <float*> k.scratch, <float*> at(k, step.out))
    else:
        lrn_rows(step, k, <double*> at(k, step.a), <double*> k.scratch, <double*> at(k, step.out))


cdef inline void lrn_rows(const Step* step, Chunk* k, const real* x, real* scratch, real* out) noexcept nogil:
    cdef const Map* m = map_of(k, step.a)
    cdef const Map* mo = map_of(k, step.out)
    cdef ptrdiff_t n, h, w
    for n in range(k.n):
        for h in range(first_row(k, m.h), last_row(k, m.h)):
            for w in range(m.w):
                normalize_responses(&step.response, x + n * m.image + h * m.row + w * m.c, scratch,
                                    out + n * mo.image + h * mo.row + w * m.c)


cdef inline void lrn_gradient(const Step* step, Chunk* k) noexcept nogil:
    """a is dout, b is x."""
    if k.run.single:
        lrn_back(step, k, <float*> at(k, step.a), <float*> at(k, step.b), <float*> k.scratch, <float*> at(k, step.out))
    else:
        lrn_back(step, k, <double*> at(k, step.a), <double*> at(k, step.b), <double*> k.scratch,
                 <double*> at(k, step.out))


cdef inline void lrn_back(const Step* step, Chunk* k, const real* dout, const real* x, real* scratch,
                          real* dx) noexcept nogil:
    cdef const Map* md = map_of(k, step.a)
    cdef const Map* mx = map_of(k, step.b)
    cdef const Map* m = map_of(k, step.out)
    cdef ptrdiff_t n, h, w
    for n in range(k.n):
        for h in range(m.h):
            for w in range(m.w):
                response_gradient(&step.response, dout + n * md.image + h * md.row + w * m.c,
                                  x + n * mx.image + h * mx.row + w * m.c, scratch,
                                  dx + n * m.image + h * m.row + w * m.c)


# ---- images as rows, in the order (c, h, w)

cdef inline void flatten(const Step* step, Chunk* k) noexcept nogil:
    if k.run.single:
        flatten_images(k, map_of(k, step.a), <float*> at(k, step.a), map_of(k, step.out), <float*> at(k, step.out))
    else:
        flatten_images(k, map_of(k, step.a), <double*> at(k, step.a), map_of(k, step.out), <double*> at(k, step.out))


cdef inline void flatten_images(const Chunk* k, const Map* m, const real* x, const Map* mo, real* out) noexcept nogil:
    cdef ptrdiff_t n, h, w, c
    for n in range(k.n):
        for h in range(m.h):
            for w in range(m.w):
                for c in range(m.c):
                    out[n * mo.image + (c * m.h + h) * m.w + w] = x[n * m.image + h * m.row + w * m.c + c]


cdef inline void unflatten(const Step* step, Chunk* k) noexcept nogil:
    """Bring a, the gradient of the rows, back to images."""
    if k.run.single:
        unflatten_rows(k, map_of(k, step.a), <float*> at(k, step.a), map_of(k, step.out), <float*> at(k, step.out))
    else:
        unflatten_rows(k, map_of(k, step.a), <double*> at(k, step.a), map_of(k, step.out), <double*> at(k, step.out))


cdef inline void unflatten_rows(const Chunk* k, const Map* md, const real* dout, const Map* m, real* dx) noexcept nogil:
    cdef ptrdiff_t n, h, w, c
    for n in range(k.n):
        for h in range(m.h):
            for w in range(m.w):
                for c in range(m.c):
                    dx[n * m.image + h * m.row + w * m.c + c] = dout[n * md.image + (c * m.h + h) * m.w + w]
