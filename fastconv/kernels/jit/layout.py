"""Where a plan's filters, and what their steps need, lie in its memory: a record for each layer, laid out by Python."""
from __future__ import annotations

from typing import Annotated, Any

import numpy as np

from .arguments import Records
from .compile import both
from .direct import PLACES
from .gradient import gradient_buffer, gradient_places
from .lines import LINE_BYTES
from .plan_state import number_of
from .sweep import Map, band_size, forward_axis, phase_axis, split_rows, sweep
from .tile import MR
from .winograd import HALF, LANES, POINTS, points_size, usual_block, winograd_pays, winograd_scratch

TASKS = 64             # bands of an image that all workers share, at most
WEIGHT_BYTES = 1 << 18  # packed weights that stay in L2 beside each
BAND_BYTES = 1 << 18   # a padded copy of a part of an image should stay in L2
ALL_TILES = 3 << 17    # bytes of points that stay in L2 beside a line of their gradient

FILTERS = np.dtype([(name, np.int64) for name in (
    "forward",            # numbers of sweeps
    "gradient",           # forward's geometry, on the map of dout
    "back",               # the data gradient, one sweep per stride phase
    "phases",
    "affine",
    "winograd",           # which of the three go by Winograd's method
    "winograd_back",
    "winograd_gradient",
    "inputs",             # values of an Affine layer's row
    "outputs",            # of either
    "lanes",              # outputs per line
    "lines",
    "back_lines",
    "plane",              # pixels of an image that an Affine layer reads as a row
    "filter_w",
    "filter_size",
    "packed",             # where packed weights stand: lines, forward
    "bias_lines",
    "u",                  # the same at Winograd's points
    "packed_back",        # of the first phase; the others follow
    "u_back",
    "no_bias",            # as many zeros as the data gradient has outputs
    "sums",               # where the gradient stands among the lane's
)])
Filters = Annotated[np.ndarray, Records(FILTERS)]


@both
def gradient_block(count, channels):
    """Return the usual block, or one with all tiles if their points fit into ALL_TILES bytes."""
    usual = usual_block(channels)
    return -(-count // 8) * 8 if count > usual and POINTS * count * channels * 4 <= ALL_TILES else usual


class Layout:
    """Lays the filters of a plan, given as the native plan takes them, over its maps."""

    def __init__(self, single: bool, maps: np.ndarray, most: int, winograd: bool, shared: bool = False) -> None:
        self.maps, self.most, self.winograd, self.shared = maps, most, winograd and single, shared
        self.item = 4 if single else 8
        self.lanes = LINE_BYTES // self.item
        self.sweeps: list[dict] = []
        self.weights = self.sums = 0   # elements
        self.scratch = self.places = 0

    def add(self, given: dict[str, Any]) -> dict[str, int]:
        """Return the fields of one layer's filters."""
        return self._affine(given) if given["affine"] else self._convolution(given)

    def _convolution(self, given: dict[str, Any]) -> dict[str, int]:
        x, out = self.maps[given["x"]], self.maps[given["out"]]
        outputs, _, FH, FW = given["shape"]
        channels, groups, pooled = int(x["c"]), given["groups"], given["pooled"]
        steps = given["stride"], given["pad"], given["dilation"]
        sizes = int(x["h"]), int(x["w"])
        axes = [forward_axis(sizes[i], given["shape"][2 + i], *(step[i] for step in steps), given["size"][i])
                for i in (0, 1)]
        forward = self._sweep(axes, channels, outputs, groups, x, None if pooled else out)
        if pooled:
            forward["room"] = True
        f = {"forward": len(self.sweeps), "outputs": outputs, "lanes": self.lanes, "lines": forward["lines"],
             "filter_w": FW, "filter_size": FH * FW, "winograd": self._by_winograd(forward)}
        self.sweeps.append(forward)
        f["packed"] = self._weights(forward["lines"] * forward["depth"] * self.lanes)
        f["bias_lines"] = self._weights(forward["lines"] * self.lanes)
        f["u"] = self._weights(forward["lines"] * points_size(channels) if f["winograd"] else 0)
        whole = -(-forward["h"].size * forward["w"].size * outputs // self.lanes) * self.lanes if pooled else 0
        self._need_sweep(forward, f["winograd"], whole)
        if given["dout"] is not None:
            self._convolution_gradient(f, given, axes, x, channels, groups)
        if given["dx"] is not None:
            self._convolution_back(f, given, sizes, channels, groups, steps)
        return f

    def _convolution_gradient(self, f, given, axes, x, channels, groups) -> None:
        s = self._sweep(axes, channels, f["outputs"], groups, x, self.maps[given["dout"]])
        f["gradient"], f["winograd_gradient"] = len(self.sweeps), self._by_winograd(s)
        self.sweeps.append(s)
        size = (s["depth"] + 1) * self.lanes
        f["sums"], self.sums = self.sums, self.sums + s["lines"] * size
        direct = gradient_buffer(s) + band_size(s)
        self._need(direct, gradient_places(s))
        if f["winograd_gradient"]:
            for images in range(1, self.most + 1):  # fewer images may have larger blocks
                block = gradient_block(images * -(-s["h"].grid // 4) * -(-s["w"].grid // 4), channels)
                self._need(s["lines"] * (points_size(channels) + LANES) + size + 2 * HALF
                           + winograd_scratch(channels, block) + direct, gradient_places(s))

    def _convolution_back(self, f, given, sizes, channels, groups, steps) -> None:
        dout, dx = self.maps[given["dout"]], self.maps[given["dx"]]
        rows, columns = (max(1, min(step, size)) for step, size in zip(steps[0], sizes, strict=True))  # with pixels
        f["back"], f["phases"] = len(self.sweeps), rows * columns
        for phase in range(f["phases"]):
            axes = [phase_axis(given["size"][i], given["shape"][2 + i], *(step[i] for step in steps), sizes[i], at)
                    for i, at in enumerate(divmod(phase, columns))]
            s = self._sweep(axes, f["outputs"], channels, groups, dout, dx)
            self.sweeps.append(s)
            at = self._weights(s["lines"] * s["depth"] * self.lanes)
            if phase == 0:
                f["packed_back"], f["back_lines"] = at, s["lines"]
                f["winograd_back"] = f["phases"] == 1 and self._by_winograd(s)
            self._need_sweep(s, phase == 0 and f["winograd_back"], 0)
        f["u_back"] = self._weights(f["back_lines"] * points_size(f["outputs"]) if f["winograd_back"] else 0)
        f["no_bias"] = self._weights(f["back_lines"] * self.lanes)

    def _affine(self, given: dict[str, Any]) -> dict[str, int]:
        outputs, inputs = given["shape"][:2]
        lines, back_lines = -(-outputs // self.lanes), -(-inputs // self.lanes)
        f = {"affine": True, "inputs": inputs, "outputs": outputs, "lanes": self.lanes, "lines": lines,
             "back_lines": back_lines, "plane": given["plane"], "packed": self._weights(lines * inputs * self.lanes),
             "bias_lines": self._weights(lines * self.lanes)}
        if given["dout"] is not None:
            f["sums"], self.sums = self.sums, self.sums + lines * (inputs + 1) * self.lanes
        if given["dx"] is not None:
            f["phases"], f["packed_back"] = 1, self._weights(back_lines * outputs * self.lanes)
            f["no_bias"] = self._weights(back_lines * self.lanes)
        self._need((MR + self.most) * self.lanes, 3 * MR)
        return f

    def _sweep(self, axes, channels, outputs, groups, source, out) -> dict:
        room = out is not None and out["after"] >= max(-out["h"] % 4, -out["w"] % 4)
        s = sweep(*axes, channels, outputs, groups, self.lanes,
                  Map(*(int(source[name]) for name in ("row", "image", "before", "after"))),
                  None if out is None else Map(int(out["row"]), int(out["image"]), room=bool(room)))
        if s["padded"]:
            split_rows(s, BAND_BYTES // (s["h"].step * max(s["band_w"], 1) * channels * 8 + 1))
        if self.shared and s["lines"] * s["depth"] * LINE_BYTES <= WEIGHT_BYTES:  # else its lines are parts
            split_rows(s, min(s["rows"], max(4, -(-s["h"].grid // TASKS))))
        return s

    def _by_winograd(self, s: dict) -> bool:
        return self.winograd and winograd_pays(s, self.most, False)

    def _weights(self, size: int) -> int:
        self.weights += size
        return self.weights - size

    def _need(self, scratch: int, places: int) -> None:
        self.scratch, self.places = max(self.scratch, scratch), max(self.places, places)

    def _need_sweep(self, s: dict, winograd: bool, whole: int) -> None:
        self._need(whole + band_size(s) + MR * self.lanes, s["runs"] + PLACES)
        if winograd:
            self._need(winograd_scratch(s["channels"], usual_block(s["channels"])), 0)


def without_room(sweeps: list[dict], filters: dict[str, int], maps: np.ndarray, step: dict[str, Any]) -> None:
    """Take whole tiles away from a data gradient whose mask has no room for them."""
    mask, out = number_of(step.get("b")), number_of(step.get("out"))
    if step["name"] != "filter_data" or mask < 0 or filters.get("affine"):
        return
    if maps[mask]["after"] < maps[out]["after"]:
        sweeps[filters["back"]]["room"] = False
