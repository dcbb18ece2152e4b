"""The steps of a plan that have no filters: a few images on one thread, or some of their rows."""
from __future__ import annotations

from .columns import normalize, normalize_gradient, sum_rows
from .compile import inner, once
from .dropout import dropout_range
from .exponential import exponential
from .filter_gradient import filter_weight_gradient
from .filters import filter_data_gradient, filter_forward
from .lines import copy, zero
from .loss import cross_entropy, softmax_row
from .lrn import normalize_responses, response_gradient
from .plan_state import KINDS, first_row, float32_at, float64_at, last_row, place, uint8_at
from .relu_pool import relu_unpool_rows
from .windows import average_gradient, average_row, clear, max_gradient, max_row

(INPUT, OUTPUT, FILTER, FILTER_DATA, FILTER_WEIGHT, RELU, RELU_GRADIENT, SIGMOID, SIGMOID_GRADIENT, SUM, SUM_RELU, COPY,
 SLICE, SCALE, MAX_POOLING, AVERAGE_POOLING, MAX_POOLING_GRADIENT, AVERAGE_POOLING_GRADIENT, UNPOOL, DROPOUT,
 DROPOUT_GRADIENT, LOSS, MEAN, VARIANCE, NORMALIZE, NORMALIZE_SUMS, NORMALIZE_GRADIENT, LRN, LRN_GRADIENT, FLATTEN,
 UNFLATTEN) = KINDS.values()


@once
def run_step(step, tables, batch, memory, k, scratch, places):
    kind, maps = step.kind, tables.maps
    if kind == FILTER:
        filter_forward(step, tables, batch, memory, k, scratch, places)
    elif kind == FILTER_DATA:
        filter_data_gradient(step, tables, batch, memory, k, scratch, places)
    elif kind == FILTER_WEIGHT:
        filter_weight_gradient(step, tables, batch, memory, k, scratch, places)
    elif kind == INPUT:
        take_images(maps[step.out], batch, memory.values, k)
    elif kind == OUTPUT:
        give_rows(maps[step.a], batch, memory.values, k)
    elif kind == SLICE:
        slice_channels(step, maps, batch, memory.values, k)
    elif kind == SCALE:
        scale_rows(step, maps, batch, memory.values, k)
    elif kind == MAX_POOLING or kind == AVERAGE_POOLING:
        pool_rows(step, maps, batch, memory.values, k)
    elif kind == MAX_POOLING_GRADIENT or kind == AVERAGE_POOLING_GRADIENT:
        pool_back(step, maps, batch, memory.values, k)
    elif kind == UNPOOL:
        unpool_rows(step, maps, batch, memory, k)
    elif kind == LRN:
        lrn_rows(step, maps, batch, memory.values, k, scratch)
    elif kind == LRN_GRADIENT:
        lrn_back(step, maps, batch, memory.values, k, scratch)
    elif kind == FLATTEN or kind == UNFLATTEN:
        flatten_images(step, maps, batch, memory.values, k, kind == UNFLATTEN)
    elif kind == DROPOUT:
        dropout_rows(step, maps, batch, memory, k)
    elif kind == DROPOUT_GRADIENT:
        masked_rows(step, maps, batch, memory, k)
    elif kind == LOSS:
        loss_rows(step, maps, batch, memory.values, k)
    elif kind == MEAN or kind == VARIANCE or kind == NORMALIZE_SUMS:
        sum_rows(step, tables, batch, memory, k, kind == VARIANCE, kind == NORMALIZE_SUMS)
    elif kind == NORMALIZE:
        normalize(step, tables, batch, memory, k, scratch)
    elif kind == NORMALIZE_GRADIENT:
        normalize_gradient(step, tables, batch, memory, k, scratch)
    else:
        by_rule(step, maps, batch, memory.values, k)
    if step.clear:
        clear_surroundings(maps[step.out], batch, memory.values, k)


@inner
def clear_surroundings(m, batch, values, k):
    """Write the zeros around each image of a map."""
    for n in range(k.n):
        image, c = place(m, batch, k) + n * m.image, m.c
        top, bottom = image - m.before * (m.row + c), image + m.h * m.row - m.before * c
        zero(values, top, m.before * m.row)
        for h in range(m.h):
            row = image + h * m.row
            zero(values, row - m.before * c, m.before * c)
            zero(values, row + m.w * c, m.after * c)
        zero(values, bottom, m.after * m.row)


# ---- the caller's arrays

@inner
def take_images(m, batch, values, k):
    """Copy the chunk's images into the plan's layout; bytes 0..255 become 0..1."""
    at, kind, step = place(m, batch, k), batch.x_kind, batch.x_column
    for n in range(k.n):
        image = batch.index[k.first + n] if batch.index.size > 0 else k.first + n
        x = batch.x + image * batch.x_image
        for h in range(first_row(m.h, k), last_row(m.h, k)):
            for c in range(m.c):
                source, to = x + c * batch.x_channel + h * batch.x_row, at + n * m.image + h * m.row + c
                for w in range(m.w):
                    if kind == 0:
                        values[to + w * m.c] = float32_at(source + w * step)
                    elif kind == 1:
                        values[to + w * m.c] = float64_at(source + w * step)
                    else:
                        values[to + w * m.c] = values.dtype.type(uint8_at(source + w * step)) / values.dtype.type(255)


@inner
def give_rows(m, batch, values, k):
    """Copy the last map to the caller's array, channels-last and dense."""
    at, width = place(m, batch, k), m.w * m.c
    for n in range(k.n):
        for h in range(first_row(m.h, k), last_row(m.h, k)):
            copy(batch.y, ((k.first + n) * m.h + h) * width, values, at + n * m.image + h * m.row, width)


# ---- element by element, row by row of each image

@inner
def by_rule(step, maps, batch, values, k):
    """out = rule(a, b), or rule(a) where b is -1."""
    ma, mb, mo, kind = maps[step.a], maps[step.b if step.b >= 0 else step.a], maps[step.out], step.kind
    a, b, out, width = place(ma, batch, k), place(mb, batch, k), place(mo, batch, k), mo.w * mo.c
    for n in range(k.n):
        for h in range(first_row(mo.h, k), last_row(mo.h, k)):
            rule_row(kind, values, a + n * ma.image + h * ma.row, b + n * mb.image + h * mb.row, width,
                     out + n * mo.image + h * mo.row)


@inner
def rule_row(kind, values, a_at, b_at, width, out_at):
    a, b, out = values[a_at : a_at + width], values[b_at : b_at + width], values[out_at : out_at + width]
    zero, one = values.dtype.type(0), values.dtype.type(1)
    if kind == RELU:
        for i in range(width):
            out[i] = zero if a[i] <= 0 else a[i]
    elif kind == RELU_GRADIENT:
        for i in range(width):
            out[i] = zero if b[i] <= 0 else a[i]
    elif kind == SIGMOID:
        for i in range(width):
            out[i] = one / (one + exponential(-a[i]))
    elif kind == SIGMOID_GRADIENT:
        for i in range(width):
            out[i] = a[i] * (one - b[i]) * b[i]
    elif kind == SUM:
        for i in range(width):
            out[i] = a[i] + b[i]
    elif kind == SUM_RELU:
        for i in range(width):
            total = a[i] + b[i]
            out[i] = zero if total <= 0 else total
    else:
        for i in range(width):
            out[i] = a[i]


@inner
def slice_channels(step, maps, batch, values, k):
    """Copy `channels` channels of a, from `first` on, to those of out from `other` on."""
    ma, mo = maps[step.a], maps[step.out]
    a, out = place(ma, batch, k) + step.first, place(mo, batch, k) + step.other
    for n in range(k.n):
        for h in range(first_row(mo.h, k), last_row(mo.h, k)):
            for w in range(mo.w):
                copy(values, out + n * mo.image + h * mo.row + w * mo.c, values,
                     a + n * ma.image + h * ma.row + w * ma.c, step.channels)


@inner
def scale_rows(step, maps, batch, values, k):
    """out = a * ratio: Dropout in a prediction."""
    ma, mo, ratio = maps[step.a], maps[step.out], values.dtype.type(step.ratio)
    a, out = place(ma, batch, k), place(mo, batch, k)
    for n in range(k.n):
        for h in range(first_row(ma.h, k), last_row(ma.h, k)):
            source, to = a + n * ma.image + h * ma.row, out + n * mo.image + h * mo.row
            for i in range(ma.w * ma.c):
                values[to + i] = values[source + i] * ratio


# ---- pooling

@inner
def pool_rows(step, maps, batch, values, k):
    m, mo, p = maps[step.a], maps[step.out], step.pool
    x, out = place(m, batch, k), place(mo, batch, k)
    for n in range(k.n):
        for h in range(first_row(mo.h, k), last_row(mo.h, k)):
            if step.kind == MAX_POOLING:
                max_row(p, values, x + n * m.image, h, values, out + n * mo.image + h * mo.row)
            else:
                average_row(p, values, x + n * m.image, h, values, out + n * mo.image + h * mo.row)


@inner
def pool_back(step, maps, batch, values, k):
    """a is dout, b and c are x and out of the forward pass, which the average does not need."""
    largest, p = step.kind == MAX_POOLING_GRADIENT, step.pool
    md, m = maps[step.a], maps[step.out]
    mx, mo = maps[step.b if largest else step.a], maps[step.c if largest else step.a]
    dout, x, out, dx = place(md, batch, k), place(mx, batch, k), place(mo, batch, k), place(m, batch, k)
    for n in range(k.n):
        clear(p, values, dx + n * m.image)
        if largest:
            max_gradient(p, values, dout + n * md.image, values, x + n * mx.image, values, out + n * mo.image, values,
                         dx + n * m.image)
        else:
            average_gradient(p, values, dout + n * md.image, values, dx + n * m.image)


@inner
def unpool_rows(step, maps, batch, memory, k):
    """Bring a, the gradient of relu and 2x2 pooling, back to out; c says where the pooled values came from."""
    md, mw, m, values = maps[step.a], maps[step.c], maps[step.out], memory.values
    dout, winner, dx = place(md, batch, k), place(mw, batch, k), place(m, batch, k)
    even, width = m.w // 2 * 2 * m.c, m.w * m.c
    for n in range(k.n):
        for h in range(m.h // 2):
            top = dx + n * m.image + 2 * h * m.row
            relu_unpool_rows(values, dout + n * md.image + h * md.row, memory.octets,
                             winner + n * mw.image + h * mw.row, m.w // 2, m.c, values, top, top + m.row)
            zero(values, top + even, width - even)
            zero(values, top + m.row + even, width - even)
        if m.h % 2:
            last = dx + n * m.image + (m.h - 1) * m.row
            zero(values, last, width)


# ---- local response normalization, and images as rows

@inner
def lrn_rows(step, maps, batch, values, k, scratch):
    m, mo = maps[step.a], maps[step.out]
    x, out = place(m, batch, k), place(mo, batch, k)
    for n in range(k.n):
        for h in range(first_row(m.h, k), last_row(m.h, k)):
            for w in range(m.w):
                source, to = x + n * m.image + h * m.row + w * m.c, out + n * mo.image + h * mo.row + w * m.c
                normalize_responses(step.response, values[source : source + m.c], scratch, values[to : to + m.c])


@inner
def lrn_back(step, maps, batch, values, k, scratch):
    """a is dout, b is x."""
    md, mx, m = maps[step.a], maps[step.b], maps[step.out]
    dout, x, dx, c = place(md, batch, k), place(mx, batch, k), place(m, batch, k), m.c
    for n in range(k.n):
        for h in range(m.h):
            for w in range(m.w):
                d, source = dout + n * md.image + h * md.row + w * c, x + n * mx.image + h * mx.row + w * c
                to = dx + n * m.image + h * m.row + w * c
                response_gradient(step.response, values[d : d + c], values[source : source + c], scratch,
                                  values[to : to + c])


@inner
def flatten_images(step, maps, batch, values, k, back):
    """Copy images a to rows in the order (c, h, w), or such rows `back` to images."""
    ma, mo = maps[step.a], maps[step.out]
    a, out = place(ma, batch, k), place(mo, batch, k)
    m = mo if back else ma
    for n in range(k.n):
        for h in range(m.h):
            for w in range(m.w):
                for c in range(m.c):
                    image, row = h * m.row + w * m.c + c, (c * m.h + h) * m.w + w
                    if back:
                        values[out + n * mo.image + image] = values[a + n * ma.image + row]
                    else:
                        values[out + n * mo.image + row] = values[a + n * ma.image + image]


# ---- dropout and loss

@inner
def dropout_rows(step, maps, batch, memory, k):
    """out = a * mask; c is the mask, kept for the way back."""
    m, mm, mo = maps[step.a], maps[step.c], maps[step.out]
    x, mask, out, width = place(m, batch, k), place(mm, batch, k), place(mo, batch, k), m.w * m.c
    for n in range(k.n):
        for h in range(m.h):
            dropout_range(memory.values, x + n * m.image + h * m.row, ((k.first + n) * m.h + h) * width, width,
                          batch.keys[step.number], step.threshold, memory.octets, mask + n * mm.image + h * mm.row,
                          memory.values, out + n * mo.image + h * mo.row)


@inner
def masked_rows(step, maps, batch, memory, k):
    m, mm, mo, values = maps[step.a], maps[step.c], maps[step.out], memory.values
    dout, mask, dx = place(m, batch, k), place(mm, batch, k), place(mo, batch, k)
    for n in range(k.n):
        for h in range(m.h):
            source, kept = dout + n * m.image + h * m.row, mask + n * mm.image + h * mm.row
            to = dx + n * mo.image + h * mo.row
            for i in range(m.w * m.c):
                values[to + i] = values[source + i] * memory.octets[kept + i]


@inner
def loss_rows(step, maps, batch, values, k):
    """a are the scores, out their gradient (y - t)/N, if it is wanted."""
    m, y = maps[step.a], batch.y
    scores, classes, images = place(m, batch, k), m.c, values.dtype.type(batch.images)
    mo = maps[max(step.out, 0)]
    dx = place(mo, batch, k)
    for n in range(k.n):
        at, label = (k.first + n) * classes, batch.labels[k.first + n]
        softmax_row(values, scores + n * m.image, classes, y, at)
        batch.losses[k.first + n] = cross_entropy(y[at + label])
        if step.out < 0:
            continue
        for j in range(classes):
            target = batch.soft[at + j] if batch.soft.size > 0 else values.dtype.type(j == label)
            values[dx + n * mo.image + j] = (y[at + j] - target) / images


__all__ = ["run_step"]
