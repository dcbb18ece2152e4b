"""Sweeps by Winograd's F(4x4, 3x3), for 3x3 filters at stride 1: a quarter of the products.

4x4 outputs of a 3x3 filter from 6x6 inputs with 36 products instead of 144 (Lavin, Gray, "Fast Algorithms for
Convolutional Neural Networks", arXiv:1509.09308, section 4.3):

    y  = A' [ (G g G') * (B' d B) ] A         * element by element
    dg = G' [ (A dy A') * (B' d B) ] G        its gradient to the filter

    4x4 tiles of all images, in blocks of `block`
        input transform       6x6 patch of each tile         ->  v [36][block][channel]
        for each line of outputs
            36 products       v[p] [block][channel] times u[p] [channel][lane], register tiles  ->  m [36][block][lane]
            output transform  m [36] of each tile            ->  4x4 outputs

and the gradient to the weights

        for each line of outputs
            gradient transform  4x4 of each tile             ->  z [36][block][lane]
            36 products         v[p] transposed times z[p]   +>  u [36][channel][lane], over all blocks of a lane
    lanes added in order, filter transform backwards         ->  3x3 taps

Where a result is not finite the caller computes the whole sweep directly: the transforms would spread one nan or inf
over a 4x4 tile, and overflow earlier.

Here is how a sweep is cut into tiles, and when it pays; transforms.py has the transforms, winograd_sweep.py and
winograd_gradient.py the two loops, winograd_points.py both where the weights' points come from memory.
"""
from __future__ import annotations

from typing import NamedTuple

import numpy as np

from .compile import both, inline
from .lines import LINE_BYTES
from .tile import MR

POINTS = 36
LANES = 16           # floats per line; doubles are half as many
NEAR = 4 << 20       # bytes of weights' points that L2 and a core's share of L3 hold
FAR = 16 << 20       # and L3
TOGETHER = 1 << 24   # bytes of tiles at their points, where those of the weights come from memory
HALF = POINTS * LANES  # floats of a transform's first half

NOTHING = np.zeros(1, np.int64)  # the offset of a sum's only run


class Tiling(NamedTuple):
    """How the results of a sweep are cut into tiles."""

    h: int       # tiles per column of an image
    w: int       # tiles per row
    count: int   # tiles of all images
    block: int   # tiles at a time
    v_step: int  # values from one of the 36 points to the next in v; an odd number of lines, because the 36 lines of a
    m_step: int  # tile would otherwise fall on a few sets of the cache; in m
    u_step: int  # and in u


class Finish(NamedTuple):
    """What happens to a sweep's results before they are stored."""

    relu: bool         # they are replaced by their positive part
    mask: int          # or are zero where the map that begins here is <= 0; -1: there is none
    mask_row: int
    mask_image: int
    winner: int        # relu and 2x2 pooling: results go to a pooled map, and where they came from here; -1: no pooling
    winner_row: int
    winner_image: int
    pooled_row: int
    pooled_image: int


@inline
def no_finish():
    return Finish(False, -1, 0, 0, -1, 0, 0, 0, 0)


@both
def usual_block(channels: int, lanes: int = LANES) -> int:
    """Return the tiles at a time with which v stays in L2; a multiple of every MR."""
    return 48 if channels <= 2 * lanes else 24


@inline
def tile_count(s, images):
    return images * -(-s.h.grid // 4) * -(-s.w.grid // 4)


@inline
def tiling(s, images, block):
    return Tiling(-(-s.h.grid // 4), -(-s.w.grid // 4), tile_count(s, images), block,
                  (block * s.channels // s.lanes | 1) * s.lanes, (block | 1) * s.lanes, (s.channels | 1) * s.lanes)


@both
def points_size(channels: int, lanes: int = LANES) -> int:
    """Return the values of a line of weights at the 36 points."""
    return POINTS * (channels | 1) * lanes


def winograd_fits(s: dict) -> bool:
    """Say whether the sweep is one that these functions can compute."""
    return (all(a.taps == 3 and a.at_step == a.step == a.stride == 1 for a in (s["h"], s["w"]))
            and s["groups"] == 1 and s["channels"] % s["lanes"] == 0 and s["outputs"] >= s["lanes"])


def from_memory(s: dict) -> bool:
    """Say whether the weights' points are larger than the caches."""
    return POINTS * LINE_BYTES // s["lanes"] * s["channels"] * s["outputs"] > FAR


def tiles_together(s: dict, count: int) -> int:
    """Return how many of the tiles are at their points together where those of the weights come from memory."""
    size = POINTS * LINE_BYTES // s["lanes"] * (s["channels"] + s["lines"] * s["lanes"])
    return min(max(MR, TOGETHER // size // MR * MR), -(-count // MR) * MR)


def winograd_pays(s: dict, images: int, one_call: bool) -> bool:
    """Say whether it fits and takes fewer cycles than the direct sweep; the cost model of ../native/winograd.pxd.

    One call transforms its weights as well, and may take many tiles together (winograd_points.py).
    """
    if not winograd_fits(s):
        return False
    count, item = images * -(-s["h"].grid // 4) * -(-s["w"].grid // 4), LINE_BYTES // s["lanes"]
    lines, points = s["channels"] * s["outputs"] / s["lanes"], POINTS * item * s["channels"] * s["outputs"]
    per_byte = 0.125 if points <= NEAR else 0.25 if points <= FAR else 0.4 if one_call else 1
    together = tiles_together(s, count) if one_call and from_memory(s) else usual_block(s["channels"], s["lanes"])
    direct = 9 * images * s["h"].grid * s["w"].grid * lines
    tiles = count * (POINTS * lines + item * (5 * s["channels"] + 2.5 * s["outputs"]))
    weights = 2 * item * s["channels"] * s["outputs"] + points * per_byte if one_call else 0
    return tiles + weights + points * per_byte * -(-count // together) < direct


@both
def winograd_scratch(channels: int, block: int, lanes: int = LANES) -> int:
    """Return the values one thread needs: half a transform, v, m, a patch or a tile."""
    return HALF + POINTS * ((block * channels // lanes | 1) + (block | 1)) * lanes + POINTS * max(channels, lanes)
