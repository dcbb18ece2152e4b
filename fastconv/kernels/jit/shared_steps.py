"""Steps of a prediction that all workers share: where a single image is work enough for every core.

A Convolution is cut into bands of rows and chunks of lines, or into blocks of tiles and chunks of lines; an Affine
layer into lines, most other steps into rows. The cut follows from the sizes alone. The native twin is
../native/shared_steps.pxd.
"""
from __future__ import annotations

import numpy as np
from numba import prange

from .columns import normalize
from .compile import Loop, inline, inner
from .direct import sweep_band
from .filters import affine_images, finish_of, pooled_images
from .float_mode import flush_denormals, restore_mode
from .plan_state import Chunk, place
from .plan_steps import (
    AVERAGE_POOLING,
    FILTER,
    FLATTEN,
    INPUT,
    LRN,
    MAX_POOLING,
    NORMALIZE,
    OUTPUT,
    SCALE,
    SLICE,
    by_rule,
    clear_surroundings,
    flatten_images,
    give_rows,
    lrn_rows,
    pool_rows,
    scale_rows,
    slice_channels,
    take_images,
)
from .turns import runs_of, turns
from .winograd import tile_count, tiling, usual_block
from .winograd_sweep import winograd_block

TASKS = 64     # parts of a step with filters, about: enough for so many cores
ROWS = 16      # parts of a step without
CHUNK = 4      # lines at least where each chunk brings the image to its points


@Loop
def run_shared(workers, first_step, last_step, tables, batch, memory):
    """Take a single image through some steps, all workers together."""
    for number in range(first_step, last_step):
        for winograd in (True, False):
            parts = parts_of(tables.steps[number], tables, winograd)
            finite = np.ones(parts, np.uint8)
            runs = runs_of(parts, workers)
            for worker in prange(workers):
                work_on(runs, worker, number, parts, tables, batch, memory, winograd, finite)
            if finite.all():
                break
        if tables.steps[number].clear:
            k = Chunk(0, 1, 0, 0, True, 0, 1)
            clear_surroundings(tables.maps[tables.steps[number].out], batch, memory.values, k)


@inner
def work_on(runs, worker, number, parts, tables, batch, memory, winograd, finite):
    """Do the parts of a step that fall to a worker; note whether results are finite where that matters."""
    mode = flush_denormals()
    step = tables.steps[number]
    scratch = memory.scratch[worker * batch.scratch_size : (worker + 1) * batch.scratch_size]
    places = memory.places[worker * batch.places_size : (worker + 1) * batch.places_size]
    for part in turns(runs, worker):
        k = Chunk(0, 1, 0, 0, True, part, parts)
        if step.kind == FILTER:
            finite[part] = filter_part(step, tables, batch, memory, k, winograd, scratch, places)
        else:
            row_part(step, tables, batch, memory, k, scratch)
    restore_mode(mode)


@inner
def parts_of(step, tables, winograd):
    """Return into how many parts a step is cut."""
    if step.kind != FILTER:
        m = tables.maps[step.out if step.out >= 0 else step.a]
        return 1 if step.kind == FLATTEN else max(1, min(m.h, ROWS))
    f = tables.filters[step.filters]
    if f.affine:
        return min(f.lines, TASKS)
    s = tables.sweeps[f.forward]
    if winograd and f.winograd:
        blocks = blocks_of(s)
        return blocks * max(1, min(s.lines // CHUNK, -(-TASKS // blocks)))
    return 1 if step.c >= 0 else s.bands * min(s.lines, -(-TASKS // s.bands))


@inline
def blocks_of(s):
    return -(-tile_count(s, 1) // usual_block(s.channels))


@inner
def filter_part(step, tables, batch, memory, k, winograd, scratch, places):
    """filter_forward (filters.py) of a part; return whether its results are finite, where that matters."""
    f, maps, values, weights = tables.filters[step.filters], tables.maps, memory.values, memory.weights
    x, out = maps[step.a], maps[step.out]
    x_at, out_at = place(x, batch, k), place(out, batch, k)
    if f.affine:
        affine_images(values, x_at, x.image, 1, f.inputs, weights, f.packed, k.part * f.lines // k.parts,
                      (k.part + 1) * f.lines // k.parts, f.outputs, f.lanes, f.bias_lines, step.relu, values, out_at,
                      out.image, scratch, places)
        return True
    s, finish = tables.sweeps[f.forward], finish_of(step, maps, batch, k)
    by_winograd = winograd and f.winograd
    chunks = k.parts // (blocks_of(s) if by_winograd else s.bands)
    if by_winograd:
        t, chunk = tiling(s, 1, usual_block(s.channels)), k.part % chunks
        return winograd_block(s, t, values, x_at, weights, f.u, weights, f.bias_lines, k.part // chunks * t.block,
                              chunk * s.lines // chunks, (chunk + 1) * s.lines // chunks, finish, values,
                              memory.octets, values, out_at, scratch)
    if finish.winner >= 0:
        pooled_images(s, 1, values, x_at, weights, f.packed, f.bias_lines, finish, memory.octets, values, out_at,
                      scratch, places)
    else:
        chunk = k.part % chunks
        sweep_band(s, values, x_at, weights, f.packed, weights, f.bias_lines, 0, k.part // chunks * s.rows,
                   chunk * s.lines // chunks, (chunk + 1) * s.lines // chunks, step.relu, values, out_at, scratch,
                   places)
    return True


@inner
def row_part(step, tables, batch, memory, k, scratch):
    """Some rows of a step without filters."""
    kind, maps = step.kind, tables.maps
    if kind == INPUT:
        take_images(maps[step.out], batch, memory.values, k)
    elif kind == OUTPUT:
        give_rows(maps[step.a], batch, memory.values, k)
    elif kind == SLICE:
        slice_channels(step, maps, batch, memory.values, k)
    elif kind == SCALE:
        scale_rows(step, maps, batch, memory.values, k)
    elif kind == MAX_POOLING or kind == AVERAGE_POOLING:
        pool_rows(step, maps, batch, memory.values, k)
    elif kind == LRN:
        lrn_rows(step, maps, batch, memory.values, k, scratch)
    elif kind == FLATTEN:
        flatten_images(step, maps, batch, memory.values, k, False)
    elif kind == NORMALIZE:
        normalize(step, tables, batch, memory, k, scratch)
    else:
        by_rule(step, maps, batch, memory.values, k)
