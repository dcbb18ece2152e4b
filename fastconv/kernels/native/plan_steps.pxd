"""The steps of a plan that have no filters. Each takes a step and a chunk: a few images on one thread."""
from libc.stddef cimport ptrdiff_t
from libc.stdint cimport uint8_t
from libc.string cimport memcpy, memset

from .common cimport real
from .convolution_plan cimport data_gradient_images, forward_images, weight_gradient_images
from .philox cimport dropout_range
from .exponential cimport exponential
from .plan_state cimport (RELU, RELU_GRADIENT, SIGMOID, SIGMOID_GRADIENT, SUM, SUM_RELU, Chunk, Map, Rule, Run, Step, at,
                          first_row, last_row, map_of)
from .softmax cimport cross_entropy, softmax_row
from .winograd cimport Finish


cdef inline void clear_surroundings(const Map* m, ptrdiff_t images, char* first) noexcept nogil:
    """Write the zeros around each image; `first` is its first pixel."""
    cdef ptrdiff_t pixel = m.c * m.item, row = m.row * m.item, n, h
    cdef char* image
    for n in range(images):
        image = first + n * m.image * m.item
        memset(image - m.before * row - m.before * pixel, 0, m.before * row)
        for h in range(m.h):
            memset(image + h * row - m.before * pixel, 0, m.before * pixel)
            memset(image + h * row + m.w * pixel, 0, m.after * pixel)
        memset(image + m.h * row - m.before * pixel, 0, m.after * row)


# ---- the caller's arrays

cdef inline void take_images(const Step* step, Chunk* k) noexcept nogil:
    """Copy the chunk's images into the plan's layout; bytes 0..255 become 0..1."""
    if k.run.single:
        take_images_as(step, k, <float*> at(k, step.out))
    else:
        take_images_as(step, k, <double*> at(k, step.out))


cdef inline void take_images_as(const Step* step, Chunk* k, real* out) noexcept nogil:
    cdef const Map* m = map_of(k, step.out)
    cdef const Run* run = k.run
    cdef ptrdiff_t n, h, c, image
    cdef const char* x
    for n in range(k.n):
        image = k.first + n
        x = run.x + (run.index[image] if run.index != NULL else image) * run.x_step[0]
        for h in range(first_row(k, m.h), last_row(k, m.h)):
            for c in range(m.c):
                take_row(run, x + c * run.x_step[1] + h * run.x_step[2], m.w, out + n * m.image + h * m.row + c, m.c)


cdef inline void take_row(const Run* run, const char* x, ptrdiff_t count, real* out, ptrdiff_t out_step) noexcept nogil:
    cdef ptrdiff_t w, step = run.x_step[3]
    if run.x_kind == c'f':
        for w in range(count):
            out[w * out_step] = <real> (<const float*> (x + w * step))[0]
    elif run.x_kind == c'd':
        for w in range(count):
            out[w * out_step] = <real> (<const double*> (x + w * step))[0]
    else:
        for w in range(count):
            out[w * out_step] = <real> (<const uint8_t*> (x + w * step))[0] / 255


cdef inline void give_rows(const Step* step, Chunk* k) noexcept nogil:
    """Copy the last map to the caller's array, channels-last and dense."""
    cdef const Map* m = map_of(k, step.a)
    cdef ptrdiff_t row = m.w * m.c * m.item, n, h
    cdef char* x = at(k, step.a)
    for n in range(k.n):
        for h in range(first_row(k, m.h), last_row(k, m.h)):
            memcpy(<char*> k.run.y + ((k.first + n) * m.h + h) * row, x + (n * m.image + h * m.row) * m.item, row)


# ---- filters

cdef inline Finish finish_of(const Step* step, Chunk* k) noexcept nogil:
    """Say what happens to a step's results: b is the mask of a data gradient, c where pooled values came from."""
    cdef Finish f
    cdef const Map* m
    memset(&f, 0, sizeof(f))
    f.relu = step.relu
    if step.b >= 0:
        m = map_of(k, step.b)
        f.mask, f.mask_row, f.mask_image = <const float*> at(k, step.b), m.row, m.image
    if step.c >= 0:
        m = map_of(k, step.c)
        f.winner, f.winner_row, f.winner_image = <unsigned char*> at(k, step.c), m.row, m.image
        m = map_of(k, step.out)
        f.pooled_row, f.pooled_image = m.row, m.image
    return f


cdef inline void filter_forward(const Step* step, Chunk* k) noexcept nogil:
    cdef Finish finish = finish_of(step, k)
    if k.run.single:
        forward_images(step.filters, k.n, <float*> at(k, step.a), &finish, <float*> at(k, step.out), k.scratch)
    else:
        forward_images(step.filters, k.n, <double*> at(k, step.a), &finish, <double*> at(k, step.out), k.scratch)


cdef inline void filter_data_gradient(const Step* step, Chunk* k) noexcept nogil:
    cdef Finish finish = finish_of(step, k)
    if k.run.single:
        data_gradient_images(step.filters, k.n, <float*> at(k, step.a), &finish, <float*> finish.mask,
                             <float*> at(k, step.out), k.scratch)
    else:
        data_gradient_images(step.filters, k.n, <double*> at(k, step.a), &finish, <double*> finish.mask,
                             <double*> at(k, step.out), k.scratch)


cdef inline void filter_weight_gradient(const Step* step, Chunk* k) noexcept nogil:
    """a is the input of the forward pass, b the gradient of its output."""
    cdef char* sums = k.sums + step.filters.sums
    if k.run.single:
        weight_gradient_images(step.filters, k.n, <float*> at(k, step.a), <float*> at(k, step.b), <float*> sums, k.fresh,
                               k.scratch)
    else:
        weight_gradient_images(step.filters, k.n, <double*> at(k, step.a), <double*> at(k, step.b), <double*> sums,
                               k.fresh, k.scratch)


# ---- element by element, row by row of each image

cdef inline void by_rule(const Step* step, Chunk* k) noexcept nogil:
    """out = rule(a, b), or rule(a) where b is -1."""
    cdef const Map* ma = map_of(k, step.a)
    cdef const Map* mb = map_of(k, step.b if step.b >= 0 else step.a)
    cdef const Map* mo = map_of(k, step.out)
    cdef char* a = at(k, step.a)
    cdef char* b = at(k, step.b if step.b >= 0 else step.a)
    cdef char* out = at(k, step.out)
    cdef ptrdiff_t n, h, item = mo.item
    for n in range(k.n):
        for h in range(first_row(k, mo.h), last_row(k, mo.h)):
            if k.run.single:
                rule_row(step.rule, <float*> (a + (n * ma.image + h * ma.row) * item),
                         <float*> (b + (n * mb.image + h * mb.row) * item), mo.w * mo.c,
                         <float*> (out + (n * mo.image + h * mo.row) * item))
            else:
                rule_row(step.rule, <double*> (a + (n * ma.image + h * ma.row) * item),
                         <double*> (b + (n * mb.image + h * mb.row) * item), mo.w * mo.c,
                         <double*> (out + (n * mo.image + h * mo.row) * item))


cdef inline void rule_row(Rule rule, const real* a, const real* b, ptrdiff_t size, real* out) noexcept nogil:
    cdef ptrdiff_t i
    cdef real total
    if rule == RELU:
        for i in range(size):
            out[i] = 0 if a[i] <= 0 else a[i]
    elif rule == RELU_GRADIENT:
        for i in range(size):
            out[i] = 0 if b[i] <= 0 else a[i]
    elif rule == SIGMOID:
        for i in range(size):
            out[i] = 1 / (1 + exponential(-a[i]))
    elif rule == SIGMOID_GRADIENT:
        for i in range(size):
            out[i] = a[i] * (1 - b[i]) * b[i]
    elif rule == SUM:
        for i in range(size):
            out[i] = a[i] + b[i]
    elif rule == SUM_RELU:
        for i in range(size):
            total = a[i] + b[i]
            out[i] = 0 if total <= 0 else total
    else:
        memcpy(out, a, size * sizeof(real))


cdef inline void slice_step(const Step* step, Chunk* k) noexcept nogil:
    """Copy `channels` channels of a, from `first` on, to those of out from `other` on."""
    cdef const Map* ma = map_of(k, step.a)
    cdef const Map* mo = map_of(k, step.out)
    cdef ptrdiff_t n, h, w, item = mo.item
    cdef const char* a = at(k, step.a)
    cdef char* out = at(k, step.out)
    for n in range(k.n):
        for h in range(first_row(k, mo.h), last_row(k, mo.h)):
            for w in range(mo.w):
                memcpy(out + (n * mo.image + h * mo.row + w * mo.c + step.other) * item,
                       a + (n * ma.image + h * ma.row + w * ma.c + step.first) * item, step.channels * item)


cdef inline void scale_step(const Step* step, Chunk* k) noexcept nogil:
    """out = a * ratio: Dropout in a prediction."""
    cdef const Map* m = map_of(k, step.a)
    if k.run.single:
        scale_rows(step, k, <float*> at(k, step.a), <float> step.ratio, <float*> at(k, step.out))
    else:
        scale_rows(step, k, <double*> at(k, step.a), step.ratio, <double*> at(k, step.out))


cdef inline void scale_rows(const Step* step, Chunk* k, const real* a, real ratio, real* out) noexcept nogil:
    cdef const Map* ma = map_of(k, step.a)
    cdef const Map* mo = map_of(k, step.out)
    cdef ptrdiff_t n, h, i
    for n in range(k.n):
        for h in range(first_row(k, ma.h), last_row(k, ma.h)):
            for i in range(ma.w * ma.c):
                out[n * mo.image + h * mo.row + i] = a[n * ma.image + h * ma.row + i] * ratio


# ---- dropout and loss

cdef inline void dropout(const Step* step, Chunk* k) noexcept nogil:
    """out = a * mask; c is the mask, kept for the way back."""
    if k.run.single:
        dropout_rows(step, k, <float*> at(k, step.a), <float*> at(k, step.out))
    else:
        dropout_rows(step, k, <double*> at(k, step.a), <double*> at(k, step.out))


cdef inline void dropout_rows(const Step* step, Chunk* k, const real* x, real* out) noexcept nogil:
    cdef const Map* m = map_of(k, step.a)
    cdef const Map* mm = map_of(k, step.c)
    cdef const Map* mo = map_of(k, step.out)
    cdef ptrdiff_t n, h, width = m.w * m.c
    cdef unsigned char* mask = <unsigned char*> at(k, step.c)
    for n in range(k.n):
        for h in range(m.h):
            dropout_range(x + n * m.image + h * m.row, ((k.first + n) * m.h + h) * width, width,
                          k.run.keys[step.number], step.first, mask + n * mm.image + h * mm.row,
                          out + n * mo.image + h * mo.row)


cdef inline void dropout_gradient(const Step* step, Chunk* k) noexcept nogil:
    if k.run.single:
        masked_rows(step, k, <float*> at(k, step.a), <float*> at(k, step.out))
    else:
        masked_rows(step, k, <double*> at(k, step.a), <double*> at(k, step.out))


cdef inline void masked_rows(const Step* step, Chunk* k, const real* dout, real* dx) noexcept nogil:
    cdef const Map* m = map_of(k, step.a)
    cdef const Map* mm = map_of(k, step.c)
    cdef const Map* mo = map_of(k, step.out)
    cdef ptrdiff_t n, h, i
    cdef const unsigned char* mask = <unsigned char*> at(k, step.c)
    for n in range(k.n):
        for h in range(m.h):
            for i in range(m.w * m.c):
                dx[n * mo.image + h * mo.row + i] = (dout[n * m.image + h * m.row + i]
                                                     * mask[n * mm.image + h * mm.row + i])


cdef inline void softmax_loss(const Step* step, Chunk* k) noexcept nogil:
    """a are the scores, out their gradient (y - t)/N, if it is wanted."""
    if k.run.single:
        loss_rows(step, k, <float*> at(k, step.a), <float*> k.run.y,
                  <float*> at(k, step.out) if step.out >= 0 else NULL)
    else:
        loss_rows(step, k, <double*> at(k, step.a), <double*> k.run.y,
                  <double*> at(k, step.out) if step.out >= 0 else NULL)


cdef inline void loss_rows(const Step* step, Chunk* k, const real* scores, real* y, real* dx) noexcept nogil:
    cdef const Map* m = map_of(k, step.a)
    cdef const Run* run = k.run
    cdef ptrdiff_t n, j, label, classes = m.c
    cdef const real* x
    cdef const real* soft
    cdef real N = <real> run.images
    for n in range(k.n):
        x, label = scores + n * m.image, run.labels[k.first + n]
        softmax_row(x, classes, y + (k.first + n) * classes)
        x = y + (k.first + n) * classes
        run.losses[k.first + n] = cross_entropy(x[label])
        if dx == NULL:
            continue
        for j in range(classes):
            dx[n * m.image + j] = (x[j] - <real> (j == label)) / N
        if run.soft != NULL:
            soft = <const real*> run.soft + (k.first + n) * classes
            for j in range(classes):
                dx[n * m.image + j] = (x[j] - soft[j]) / N
