"""Runs a plan: a flat list of steps over planned memory, compiled as one function; the twin of ../native/plan.pyx.

    weights       packed, and brought to Winograd's points                       one task per line of filters
    segments      lanes: the batch in equal parts, each taken chunk by chunk     workers take one lane after another
                  through all steps, forwards and backwards; there is one
                  segment, unless a step needs sums over the whole batch
    gradients     the lanes' sums added in order                                 one task per line of filters

Lanes and chunks follow from the number of images alone, so a result has the same bits on any number of threads.
"""
from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

import numba
import numpy as np
from numba import prange

from .arguments import Row, Words
from .checksum import checksum
from .columns import finish
from .compile import Loop, once
from .dropout import dropout_threshold
from .float_mode import flush_denormals, restore_mode
from .layout import FILTERS, Layout, without_room
from .lrn import response_record, response_size
from .memory import flat, none, zeros
from .packing import pack, reduce
from .plan_state import COLUMNS, KINDS, MAP, STEP, Batch, Chunk, Memory, Tables, number_of, start_of, table
from .plan_steps import run_step
from .shared_steps import run_shared
from .sweep import records
from .turns import runs_of, turns
from .windows import POOL, pool_record

LANES = 16           # private gradients at most, each of some images
MANY_LANES = 32      # the same for
MANY_IMAGES = 1024   # as many images, for machines with many cores
ROUND_WORK = 1 << 35  # multiply-adds between two looks at Python's signals
ENDS = ("mean", "variance", "normalize_sums")  # steps that end a segment
X_KINDS = "fdB"
Packed = tuple[list[int], bytes]  # which arrays that cannot change, and the checksums of the others
PIECE = 1 << 14  # elements of a parameter with a checksum of their own


class Plan:
    """A compiled schedule; the parameters are those of the native plan."""

    IMAGES_APART = True  # workers take images of their own through all steps, but a single one through each together

    def __init__(self, single, maps, filters, columns, steps, local_bytes, batch_bytes, most, training,
                 winograd, segments=()) -> None:
        self._real = np.dtype(np.float32 if single else np.float64)
        self._most, self._training = most, training
        self._local_bytes, self._batch_bytes = -(-local_bytes // 64) * 64, batch_bytes
        places = table(MAP, [_map(*m) for m in maps])
        self._shared = len(segments) > 0
        layout = Layout(single, places, most, winograd, self._shared)
        laid = [layout.add(given) for given in filters]
        self._work = (3 if training else 1) * sum(math.prod((*given["shape"], *given["size"])) for given in filters)
        for step in steps:
            if "filters" in step:
                without_room(layout.sweeps, laid[step["filters"]], places, step)
        self._steps = [(step["name"], step.get("columns", 0), step.get("a")) for step in steps]
        self._maps = places
        self._column_eps = [eps for _, eps in columns]
        self._counts = [count for count, _ in columns]
        starts = np.cumsum([0, *self._counts]).tolist()
        self._tables = Tables(places, table(STEP, [_step(step, places) for step in steps]), table(FILTERS, laid),
                              records(layout.sweeps), table(COLUMNS, [
                                  {"count": count, "eps": eps, "values": 6 * at, "sums": 2 * MANY_LANES * at}
                                  for (count, eps), at in zip(columns, starts, strict=False)]))
        self._column_values = np.zeros(6 * starts[-1], self._real)
        self._column_sums = np.zeros(2 * MANY_LANES * starts[-1])
        responses = (response_size(step["response"]) for step in self._tables.steps)
        self._scratch_size = -(-max(layout.scratch, *self._counts, *responses, 1) // 64) * 64
        self._places_size = max(layout.places, 1)
        self._sums_size = layout.sums
        self._weights = zeros(layout.weights, self._real)
        self._values = self._scratch = self._sums = none(self._real)
        self._places = none(np.int64)
        self._packed: Packed | None = None  # what tells which parameters are packed for predictions
        self._constant: list[np.ndarray] = []

    def __call__(self, x, parameters, y, n_threads, *, index=None, labels=None, soft=None, losses=None, keys=None,
                 gradients=None, columns=()) -> None:
        """Run the steps over a batch; the arguments are those of the native plan."""
        images = len(x) if index is None else len(index)
        cut = _lanes_of(images) if self._training or self._counts else max(-(-images // self._most),
                                                                           min(images, 2 * -(-images // 8)))
        together = self._shared and images == 1
        workers = max(1, min(n_threads, n_threads if together else cut, numba.config.NUMBA_NUM_THREADS))
        self._make_room(workers, images, cut)
        for at, given in enumerate(columns):
            self._values_of(at)[...] = given
        now = None if self._training else self._checksums(parameters, n_threads)
        if now is None or now != self._packed:
            self._packed = None
            if now is not None:  # copies, which no other thread changes between being summed and being packed
                parameters = [[a if a is None or _is_constant(a) else a.copy() for a in triple]
                              for triple in parameters]
                now = self._checksums(parameters, n_threads)
            for number, (weight, bias, scale) in enumerate(parameters):
                if scale is not None:
                    weight = weight * scale.reshape(-1, 1, 1, 1)
                pack.on(n_threads, self._real)(self._tables.filters, number, self._tables.sweeps,
                                               np.ascontiguousarray(weight), bias, self._weights)
            self._packed = now
        batch = self._batch(x, images, cut, workers, index, labels, soft, y, losses, keys)
        if together:
            self._run_together(batch, workers)
        else:
            self._run(batch, workers)
        for at, given in enumerate(columns):
            for row, array in enumerate(given):
                if row >= 2 and array.flags.writeable:
                    array[...] = self._values_of(at)[row]
        for number, (dweight, dbias) in enumerate(gradients or ()):
            reduce.on(n_threads, self._real)(self._tables.filters, number, self._tables.sweeps, self._sums, cut,
                                             self._sums_size, dweight, dbias)

    def _run_together(self, batch: Batch, workers: int) -> None:
        """Take a single image through the steps, some at a time: in between Ctrl-C is noticed."""
        memory, count = self._memory(), len(self._steps)
        each = max(1, count * ROUND_WORK // max(self._work, ROUND_WORK))
        for first in range(0, count, each):
            run_shared(workers, first, min(first + each, count), self._tables, batch, memory)

    def _memory(self) -> Memory:
        return Memory(self._values, self._values.view(np.uint8), self._scratch, self._places, self._weights, self._sums,
                      self._column_values, self._column_sums)

    def _run(self, batch: Batch, workers: int) -> None:
        memory, first = self._memory(), 0
        while first < len(self._steps):
            last = next((i + 1 for i in range(first, len(self._steps)) if self._steps[i][0] in ENDS), len(self._steps))
            for lane, last_lane, chunk, last_chunk in self._rounds(batch, workers):
                _run_lanes(workers, lane, last_lane, first, last, chunk, last_chunk, self._tables, batch, memory)
            name, at, a = self._steps[last - 1]
            if name in ENDS:
                m, count = self._maps[a], self._counts[at]
                rows = batch.images * (int(m["h"]) * int(m["w"]) * int(m["c"]) // count)
                sums = self._column_sums[int(self._tables.columns[at]["sums"]) :][: batch.lanes * 2 * count]
                finish(name, sums.reshape(batch.lanes, 2, count), rows, self._column_eps[at], self._values_of(at))
            first = last

    def _rounds(self, batch: Batch, workers: int) -> Iterator[tuple[int, int, int, int]]:
        """Yield which lanes, and which of their chunks, are run at once: between two rounds Ctrl-C is noticed."""
        images = -(-batch.images // max(batch.lanes, 1))  # of a lane
        work = max(self._work * min(images, batch.most), 1)
        lanes = min(max(ROUND_WORK // work // workers, 1) * workers, batch.lanes)
        chunks = max(ROUND_WORK // (work * max(lanes, 1)), 1)
        for lane in range(0, batch.lanes, max(lanes, 1)):
            for chunk in range(0, -(-images // batch.most), chunks):
                yield lane, min(lane + lanes, batch.lanes), chunk, chunk + chunks

    def _batch(self, x, images, cut, workers, index, labels, soft, y, losses, keys) -> Batch:
        steps = (*x.strides, 0, 0)
        return Batch(images, cut, self._most, self._local_bytes, workers * self._local_bytes, self._scratch_size,
                     self._places_size, self._sums_size, x.__array_interface__["data"][0], *steps[:4],
                     X_KINDS.index(x.dtype.char), *(_given(array, np.int64) for array in (index, labels)),
                     _given(soft, self._real), flat(y), _given(losses, np.float64), _given(keys, np.uint64))

    def _values_of(self, at: int) -> np.ndarray:
        count = self._counts[at]
        return self._column_values[int(self._tables.columns[at]["values"]) :][: 6 * count].reshape(6, count)

    def _make_room(self, workers: int, images: int, cut: int) -> None:
        """Have memory for so many workers, for the lanes' gradients and the batch's maps."""
        size = -(-(workers * self._local_bytes + images * self._batch_bytes) // self._real.itemsize)
        if size > self._values.size:
            self._values = zeros(size, self._real)
        if workers * self._scratch_size > self._scratch.size:
            self._scratch = zeros(workers * self._scratch_size, self._real)
            self._places = np.zeros(workers * self._places_size, np.int64)
        if self._training and cut * self._sums_size > self._sums.size:
            self._sums = np.empty(cut * self._sums_size, self._real)

    def _checksums(self, parameters, n_threads: int) -> Packed:
        """Return what tells whether the parameters still have the values that are packed."""
        found = [array for triple in parameters for array in triple if array is not None]
        constant, arrays = [a for a in found if _is_constant(a)], [a for a in found if not _is_constant(a)]
        if [*map(id, constant)] != [*map(id, self._constant)]:
            self._constant, self._packed = constant, None  # kept: no other array gets their numbers
        sums, at = np.empty(sum(-(-array.size // PIECE) for array in arrays), np.uint64), 0
        for array in arrays:
            _add_up.on(n_threads, self._real, array.size)(array, sums, at)
            at += -(-array.size // PIECE)
        return [*map(id, constant)], sums.tobytes()


@Loop
def _add_up(workers: int, x: Row, sums: Words, at: int):
    """Write the checksum of each piece of an array to sums[at:]."""
    runs = runs_of(-(-x.size // PIECE), workers)
    for worker in prange(workers):
        for piece in turns(runs, worker):
            sums[at + piece] = checksum(x, piece * PIECE, min(x.size, (piece + 1) * PIECE))


@Loop
def _run_lanes(workers, first_lane, last_lane, first_step, last_step, first_chunk, last_chunk, tables, batch, memory):
    runs = runs_of(last_lane - first_lane, workers)
    for worker in prange(workers):
        run_worker(runs, worker, first_lane, first_step, last_step, first_chunk, last_chunk, tables, batch, memory)


@once
def run_worker(runs, worker, first_lane, first_step, last_step, first_chunk, last_chunk, tables, batch, memory):
    """Take one lane after another, and its images through the steps, a chunk at a time."""
    mode = flush_denormals()
    scratch = memory.scratch[worker * batch.scratch_size : (worker + 1) * batch.scratch_size]
    places = memory.places[worker * batch.places_size : (worker + 1) * batch.places_size]
    for turn in turns(runs, worker):
        lane = first_lane + turn
        first = start_of(lane, batch.images, batch.lanes)
        images = start_of(lane + 1, batch.images, batch.lanes) - first
        chunks = -(-images // batch.most)
        for i in range(first_chunk, min(last_chunk, chunks)):
            begin = start_of(i, images, chunks)
            k = Chunk(first + begin, start_of(i + 1, images, chunks) - begin, lane, worker * batch.local_bytes, i == 0,
                      0, 1)
            for number in range(first_step, last_step):
                run_step(tables.steps[number], tables, batch, memory, k, scratch, places)
    restore_mode(mode)


def _is_constant(array: np.ndarray) -> bool:
    """Say whether it owns its memory and is read-only: it has the same values as long as it is the same array."""
    return array.base is None and not array.flags.writeable


def _lanes_of(images: int) -> int:
    """Return into how many lanes a batch is cut: by its size alone; few small ones in pairs, for two threads."""
    return min(images, MANY_LANES if images >= MANY_IMAGES else min(LANES, 2 * -(-images // 8)))


def _given(array: np.ndarray | None, dtype: Any) -> np.ndarray:
    return none(dtype) if array is None else flat(array)


def _map(h, w, c, before, after, item, batch, offset) -> dict[str, int]:
    row = (before + w + after) * c
    return {"h": h, "w": w, "c": c, "before": before, "after": after, "row": row, "image": (before + h + after) * row,
            "item": item, "offset": offset, "origin": (before * row + before * c) * item, "batch": batch}


def _step(given: dict[str, Any], maps: np.ndarray) -> dict[str, Any]:
    """Return the record of one step."""
    made = {name: number_of(given.get(name)) for name in ("a", "b", "c", "out")}
    made["kind"] = KINDS[given["name"]]
    out = maps[made["out"]]
    made["clear"] = made["out"] >= 0 and (out["before"] > 0 or out["after"] > 0)
    names = "relu", "filters", "columns", "number", "first", "other", "channels", "ratio"
    made |= {name: given[name] for name in names if name in given}
    if given["name"] == "dropout":
        made["threshold"] = dropout_threshold(given["ratio"])
    made["pool"] = _pool(given, made, maps) if "pool" in given else np.zeros((), POOL)
    if "response" in given:
        made["response"] = response_record(int(maps[made["a"]]["c"]), *given["response"])[0]
    return made


def _pool(given: dict[str, Any], made: dict[str, Any], maps: np.ndarray) -> np.ndarray:
    window, stride, pad, x, out = given["pool"]
    (mx, mo), md, m = (maps[x], maps[out]), maps[made["a"]], maps[made["out"]]
    image, result = ((int(each["h"]), int(each["w"]), int(each["c"])) for each in (mx, mo))
    return pool_record(image, result, window, stride, pad, x_row=int(mx["row"]), out_row=int(mo["row"]),
                       dx_row=int(m["row"]), dout_row=int(md["row"]))[0]
