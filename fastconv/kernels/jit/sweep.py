"""The geometry of a sweep: the register tile visits every result pixel and sums over the taps below it.

A forward convolution is one sweep. Its data gradient is one sweep per stride phase (result pixels i, i + stride, ...
of dx see the same filter taps), each a stride-1 convolution of dout. Source, kernel and result along one axis:

    source   . . o o o o o o o o . .      o pixels, . padding (zeros)
    taps         ^   ^   ^                at, at + at_step, ... below result pixel 0
                   ^   ^   ^              moved by step for result pixel 1

Compiled functions read a sweep as a record (`SWEEP`), Python makes it with `sweep`. Sizes and steps are in elements.
"""
from __future__ import annotations

from typing import Annotated, NamedTuple

import numba
import numpy as np

from .arguments import Records
from .compile import inline, inner
from .lines import copy, zero

AXIS = np.dtype([(name, np.int64) for name in (
    "source",      # pixels of the source
    "size",        # pixels of the output
    "grid",        # result pixels of this sweep
    "step",        # source pixels from one result pixel to the next
    "first",       # where result pixel 0 stands in the output
    "stride",      # output pixels from one result pixel to the next
    "taps",
    "at",          # source pixel below tap 0 of result pixel 0; negative in the padding
    "at_step",     # source pixels between taps
    "index",       # filter index of tap 0
    "index_step",  # filter indices between taps
)])
SWEEP = np.dtype([("h", AXIS), ("w", AXIS), *((name, np.int64) for name in (
    "channels",        # of a source pixel, all groups
    "outputs",         # of an output pixel, all groups
    "groups",
    "group_channels",
    "group_outputs",
    "lanes",           # outputs per line
    "blocks",          # lines per group
    "lines",           # of all groups
    "runs",            # of evenly spaced source values below a result pixel
    "length",          # values per run
    "depth",           # runs * length: products per result
    "band_h",          # source rows below `rows` grid rows are rows*step + band_h
    "band_w",          # source columns below a grid row
    "source_row",      # from one source row to the next
    "source_image",    # and from one image to the next
    "out_row",         # the same of the output
    "out_image",
    "before",          # pixels of zeros around the source, above and to the left, that may be read
    "after",           # and below and to the right
    "room",            # the output's memory goes on to the next multiple of four rows and columns
    "padded",          # some taps fall outside the source and its zeros
    "depthwise",       # one filter to each channel: as one group, whose lines read their own channels
    "pitch",           # from one source row to the next, as `band` lays them out
    "rows",            # grid rows per band
    "bands",           # per image
))])
Sweeps = Annotated[np.ndarray, Records(SWEEP)]


class Axis(NamedTuple):
    """One axis of a sweep; the fields are those of `AXIS`."""

    source: int
    size: int
    grid: int
    step: int
    first: int
    stride: int
    taps: int
    at: int
    at_step: int
    index: int
    index_step: int

    @property
    def span(self) -> int:
        """Source pixels from the first tap to the last."""
        return (self.taps - 1) * self.at_step + 1 if self.taps else 0

    def needs_padding(self, before: int, after: int) -> bool:
        return self.at < -before or self.at + (self.grid - 1) * self.step + self.span > self.source + after


class Map(NamedTuple):
    """How the images of a sweep's source or output lie in memory."""

    row: int
    image: int
    before: int = 0
    after: int = 0
    room: bool = False


def forward_axis(source: int, filter_size: int, stride: int, pad: int, dilation: int, out: int) -> Axis:
    """Return the axis of a forward convolution: o*stride + t*dilation - pad."""
    return Axis(source, out, out, stride, 0, 1, filter_size, -pad, dilation, 0, 1)


def phase_axis(source: int, filter_size: int, stride: int, pad: int, dilation: int, size: int, phase: int) -> Axis:
    """Return the axis of one stride phase of a data gradient.

    dx[i] sums dout[o] * filter[t] over all i + pad = o*stride + t*dilation; for i = phase + g*stride the taps t are
    those with (phase + pad - t*dilation) divisible by stride, and o = g + (phase + pad - t*dilation)/stride.
    """
    taps = [(t, (phase + pad - t * dilation) // stride) for t in reversed(range(filter_size))
            if (phase + pad - t * dilation) % stride == 0]
    (index, at), (next_index, next_at) = (taps[:1] or [(0, 0)])[0], (taps[1:2] or [(None, None)])[0]
    index_step, at_step = (next_index - index, next_at - at) if len(taps) > 1 else (1, 1)
    grid = -(-(size - phase) // stride) if size > phase else 0
    return Axis(source, size, grid, 1, phase, stride, len(taps), at, at_step, index, index_step)


def sweep(h: Axis, w: Axis, channels: int, outputs: int, groups: int, lanes: int, source: Map | None = None,
          out: Map | None = None) -> dict:
    """Return the fields of a sweep; without maps, source and output are dense."""
    source = source or Map(w.source * channels, h.source * w.source * channels)
    out = out or Map(w.size * outputs, h.size * w.size * outputs)
    group_channels, group_outputs = channels // groups, outputs // groups
    depthwise = group_channels == group_outputs == 1 and groups >= lanes
    if depthwise:
        group_outputs = outputs
    blocks = -(-group_outputs // lanes)
    if groups == 1 and (w.at_step == 1 or w.taps == 1):  # (tap, channel) is contiguous in NHWC memory
        runs, length = h.taps, w.taps * channels
    else:
        runs, length = h.taps * w.taps, group_channels
    depth = runs * length
    padded = depth > 0 and (h.needs_padding(source.before, source.after)
                            or w.needs_padding(source.before, source.after))
    band_w = (w.grid - 1) * w.step + w.span
    return {"h": h, "w": w, "channels": channels, "outputs": outputs, "groups": groups,
            "group_channels": group_channels, "group_outputs": group_outputs, "lanes": lanes, "blocks": blocks,
            "lines": blocks if depthwise else groups * blocks, "runs": runs,
            "length": length, "depth": depth, "band_h": h.span - h.step, "band_w": band_w, "source_row": source.row,
            "source_image": source.image, "out_row": out.row, "out_image": out.image, "before": source.before,
            "after": source.after, "room": out.room, "padded": padded, "depthwise": depthwise,
            "pitch": band_w * channels if padded else source.row, "rows": h.grid, "bands": 1}


def split_rows(s: dict, rows: int) -> None:
    """Cut the grid into bands of at most `rows` rows."""
    s["rows"] = max(1, min(rows, s["h"].grid))
    s["bands"] = -(-s["h"].grid // s["rows"])


def band_size(s: dict) -> int:
    """Return the elements of a padded band."""
    return (s["rows"] * s["h"].step + s["band_h"]) * s["band_w"] * s["channels"] if s["padded"] else 0


def records(sweeps: list[dict]) -> np.ndarray:
    """Return sweeps as the array of records that compiled functions read."""
    made = np.array([tuple(tuple(s[name]) if name in "hw" else s[name] for name in SWEEP.names) for s in sweeps], SWEEP)
    return made.view(np.recarray) if numba.config.DISABLE_JIT else made


@inline
def first_output(s, block):
    """Return which of its group's outputs a line begins with; the last of a depthwise sweep is always whole."""
    return min(block * s.lanes, s.group_outputs - s.lanes) if s.depthwise else block * s.lanes


@inner
def run_offsets(s, group, offset):
    """Write the offset of each run from the pixel under tap (0, 0)."""
    columns = s.runs // max(s.h.taps, 1)
    for r in range(s.runs):
        offset[r] = ((r // columns) * s.h.at_step * s.pitch + (r % columns) * s.w.at_step * s.channels
                     + group * s.group_channels)


@inline
def image_at(s, n, row):
    """Return where the source pixel under tap (0, 0) of result pixel (row, 0) of image n stands; not if padded."""
    return n * s.source_image + (row * s.h.step + s.h.at) * s.source_row + s.w.at * s.channels


@inner
def fill_band(s, source, source_at, n, row, rows, buffer):
    """Copy the source below `rows` grid rows to `buffer`, with the zeros of the padding."""
    c, left = s.channels, s.w.at
    first = min(max(-left, 0), s.band_w)
    last = max(min(s.w.source - left, s.band_w), first)
    top, to = row * s.h.step + s.h.at, 0
    for i in range(top, top + rows * s.h.step + s.band_h):
        if i < 0 or i >= s.h.source:
            zero(buffer, to, s.band_w * c)
        else:
            start = source_at + n * s.source_image + i * s.source_row + (left + first) * c
            zero(buffer, to, first * c)
            copy(buffer, to + first * c, source, start, (last - first) * c)
            zero(buffer, to + last * c, (s.band_w - last) * c)
        to += s.band_w * c
