"""What a plan is made of (plan.py): maps, the steps that go from map to map, and the part of a batch they work on.

A map is one tensor, for a few images at a time: (n, h, w, c), channels-last, with zeros around each image where a
convolution will look for padding; ../native/plan_state.pxd has a drawing. All maps lie in one array of floats, so a
place is one number; that of a map of bytes counts bytes.
"""
from __future__ import annotations

import operator
from typing import Any, NamedTuple

import numba
import numpy as np
from llvmlite import ir
from numba import types
from numba.extending import intrinsic

from . import plain
from .compile import inline
from .lrn import RESPONSE
from .windows import POOL

MAP = np.dtype([(name, np.int64) for name in (
    "h", "w", "c", "before", "after",
    "row",     # elements from one row to the next
    "image",   # and from one image to the next
    "item",    # bytes of an element
    "offset",  # of the map in its memory, in bytes; of a batch's map, for each image of the batch
    "origin",  # bytes from there to the first image's first pixel
    "batch",   # one place for each image of the batch, else a few places that each worker has to itself
)])

# what a step runs
KINDS = {name: number for number, name in enumerate((
    "input", "output", "filter", "filter_data", "filter_weight", "relu", "relu_gradient", "sigmoid",
    "sigmoid_gradient", "sum", "sum_relu", "copy", "slice", "scale", "max_pooling", "average_pooling",
    "max_pooling_gradient", "average_pooling_gradient", "unpool", "dropout", "dropout_gradient", "loss", "mean",
    "variance", "normalize",
    "normalize_sums", "normalize_gradient", "lrn", "lrn_gradient", "flatten", "unflatten"))}

STEP = np.dtype([*((name, np.int64) for name in (
    "kind",
    "a",         # numbers of maps: inputs, what a forward pass left, the result; -1: none
    "b",
    "c",
    "out",
    "relu",
    "clear",     # the result has zeros around it, to be written anew
    "filters",   # numbers of what the step uses
    "columns",
    "number",    # of the Dropout layer
    "threshold",
    "first",     # channel of a slice
    "other",     # channel where it goes
    "channels",
)), ("ratio", np.float64), ("pool", POOL), ("response", RESPONSE)])

# of a BatchNormalization layer: how many, and where its values and its sums stand
COLUMNS = np.dtype([("count", np.int64), ("values", np.int64), ("sums", np.int64), ("eps", np.float64)])


class Tables(NamedTuple):
    """The parts of a plan, the same in every run."""

    maps: np.ndarray      # of MAP
    steps: np.ndarray     # of STEP
    filters: np.ndarray   # of filters.FILTERS
    sweeps: np.ndarray    # of sweep.SWEEP
    columns: np.ndarray   # of COLUMNS


class Memory(NamedTuple):
    """What a plan computes in."""

    values: np.ndarray    # the maps: each worker's, then the batch's
    octets: np.ndarray    # the same memory, byte by byte
    scratch: np.ndarray   # of the kernels, each worker's
    places: np.ndarray    # and their numbers
    weights: np.ndarray   # packed
    sums: np.ndarray      # gradients of the lanes
    column_values: np.ndarray  # [6][count] of each normalization: gamma, beta, mean, var, dgamma, dbeta
    column_sums: np.ndarray    # [lane][2][count] of each


class Batch(NamedTuple):
    """One run: the caller's arrays, and how the batch is cut."""

    images: int
    lanes: int
    most: int             # images per chunk
    local_bytes: int      # of a worker's maps
    batch_at: int         # where the batch's maps begin, in bytes
    scratch_size: int     # of a worker
    places_size: int
    sums_size: int        # of a lane
    x: int                # address of the first value, how far apart they are in bytes, and their kind
    x_image: int
    x_channel: int
    x_row: int
    x_column: int
    x_kind: int           # 0: float32, 1: float64, 2: bytes, to be divided by 255
    index: np.ndarray     # which image comes when; empty: as they are
    labels: np.ndarray
    soft: np.ndarray      # labels as rows (N, K), or empty
    y: np.ndarray         # probabilities, or the scores of a prediction
    losses: np.ndarray
    keys: np.ndarray      # of the Dropout layers


class Chunk(NamedTuple):
    """A few images on one worker."""

    first: int
    n: int
    lane: int
    local: int            # where the worker's maps begin, in bytes
    fresh: bool           # nothing has been added to the lane's sums
    part: int             # of the step, where workers share it (shared_steps.py), else 0
    parts: int            # of so many, else 1


@inline
def place(m, batch, k):
    """Return where the chunk's first pixel of a map stands, in elements of the map."""
    if m.batch:
        return (batch.batch_at + m.offset * batch.images + k.first * m.image * m.item + m.origin) // m.item
    return (k.local + m.offset + m.origin) // m.item


@inline
def first_row(h, k):
    """Return the first of a map's h rows that belongs to the chunk's part of a step."""
    return k.part * h // k.parts


@inline
def last_row(h, k):
    """Return the row behind the last."""
    return (k.part + 1) * h // k.parts


@inline
def start_of(part, images, cut):
    """Return where a part begins of images cut into so many; larger parts come first, so that threads end together."""
    return part * (images // cut) + min(part, images % cut)


def _at_address(kind: ir.Type, name: str) -> Any:
    @intrinsic
    def read(typingctx, address):
        def codegen(context, builder, signature, args):
            return builder.load(builder.inttoptr(args[0], kind.as_pointer()), align=1)
        return getattr(types, name)(types.int64), codegen
    return read


float32_at = _at_address(ir.FloatType(), "float32")
float64_at = _at_address(ir.DoubleType(), "float64")
uint8_at = _at_address(ir.IntType(8), "uint8")

if numba.config.DISABLE_JIT:
    float32_at, float64_at, uint8_at = (plain.at_address(kind) for kind in "fdB")


def table(dtype: np.dtype, rows: list[dict[str, Any]]) -> np.ndarray:
    """Return records, in the array that compiled functions read; what a row leaves out is 0."""
    made = np.zeros(len(rows), dtype)
    for record, row in zip(made, rows, strict=True):
        for name, value in row.items():
            record[name] = value
    return made.view(np.recarray) if numba.config.DISABLE_JIT else made


def number_of(value: Any) -> int:
    """Return the number of a map, -1 for none."""
    return -1 if value is None else operator.index(value)
