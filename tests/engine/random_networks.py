"""Small random networks of fastconv's own layers, and the ways to run them: as a plan, and layer by layer."""
from __future__ import annotations

import contextlib
import copy

import numpy as np

from fastconv import dispatch
from fastconv.engine import Network
from fastconv.engine.compile import NotCompiled
from fastconv.layers import (
    LRN,
    Add,
    Affine,
    BatchNormalization,
    Concat,
    Convolution,
    Dropout,
    Flatten,
    GlobalAveragePooling,
    Pooling,
    Relu,
    Sigmoid,
)
from fastconv.shapes import convolution_geometry, pooling_geometry

BATCH_SIZES = 1, 2, 5, 19, 70


class RandomNetwork:
    """A network, the shape of its samples and its number of classes; all follow from the seed.

    With ``smooth=True`` it has neither Relu nor maxima, so its loss has derivatives everywhere.
    """

    def __init__(self, seed, dtype=np.float64, *, smooth=False, normalized=True, dropout=True):
        self.rng = np.random.default_rng([17, seed])
        self.network, self.dtype = Network(dtype=dtype), np.dtype(dtype)
        self.smooth, self.normalized, self.dropout = smooth, normalized, dropout
        self.keys = np.random.default_rng([18, seed])  # of the Dropout layers
        self.classes = int(self.rng.integers(2, 12))
        self.shapes = {}                               # node -> (C, H, W) or (D,)
        if self.rng.random() < 0.12:
            self.shape = (int(self.rng.integers(3, 40)),)
        else:
            C = int(self.rng.choice([1, 2, 3, 5, 16, 32]))
            self.shape = (C, int(self.rng.integers(5, 14)), int(self.rng.integers(5, 14)))
        self.shapes[-1] = self.shape
        self.node = -1
        for _ in range(int(self.rng.integers(2, 6))):
            self._grow()
        if len(self.now) == 3 and self.rng.random() < 0.3:
            self._end_of_images()
        if len(self.now) == 3 or self.rng.random() < 0.5:
            for _ in range(int(self.rng.integers(0, 3))):
                self._affine(int(self.rng.integers(3, 35)))
                self._grow()
        self._affine(self.classes)
        if self.rng.random() < 0.15:
            self._activation()
        if self.rng.random() < 0.1:
            self._normalization()

    def batch(self, n, seed=0):
        """Return n samples and their labels."""
        rng = np.random.default_rng([19, seed, n])
        return rng.normal(0.2, 1, (n, *self.shape)).astype(self.dtype), rng.integers(0, self.classes, n)

    @property
    def now(self):
        """The shape of the last node's output."""
        return self.shapes[self.node]

    def _add(self, layer, shape, inputs=None):
        inputs = self.node if inputs is None else inputs
        self.node = self.network.add(layer, inputs=inputs)
        self.shapes[self.node] = tuple(map(int, shape))
        return self.node

    def _one_of(self, *choices):
        return choices[self.rng.integers(len(choices))]

    def _normal(self, *shape, fan=1):
        return self.rng.normal(0, np.sqrt(1.5 / fan), shape)

    # ---- parts of a network

    def _grow(self):
        parts = [self._activation, self._normalization, self._drop, self._skip, self._join]
        if len(self.now) == 3:
            parts += [self._convolution] * 3 + [self._block] * 3 + [self._winograd] * 4
            parts += [self._pooling] * 2 + [self._responses]
        else:
            parts += [lambda: self._affine(int(self.rng.integers(3, 35)))] * 3
        parts[self.rng.integers(len(parts))]()

    def _activation(self):
        self._add(Sigmoid() if self.smooth or self.rng.random() < 0.25 else Relu(), self.now)

    def _drop(self):
        if self.dropout:
            self._add(Dropout(self._one_of(0.0, 0.2, 0.5), rng=self.keys), self.now)

    def _normalization(self):
        if not self.normalized:
            return
        count = self._one_of(self.now[0], int(np.prod(self.now)))
        gamma, beta, momentum = self.rng.normal(1, 0.3, count), self._normal(count), self._one_of(0.9, 0.5)
        settings = {} if momentum == 0.9 else {"eps": 1e-3, "unbiased": True}
        self._add(BatchNormalization(gamma, beta, momentum, **settings), self.now)
        if self.rng.random() < 0.5:
            self._activation()

    def _affine(self, outputs):
        values = int(np.prod(self.now))
        b = None if self.rng.random() < 0.2 else self._normal(outputs)
        self._add(Affine(self._normal(values, outputs, fan=values), b), (outputs,))
        if self.rng.random() < 0.4:
            self._activation()

    def _filters(self, FN, window, *, inputs=None, groups=1, **settings):
        """Add a convolution, if its window fits on the images."""
        inputs = self.node if inputs is None else inputs
        C, H, W = self.shapes[inputs]
        shape = (FN, C // groups, *window)
        layer = Convolution(self._normal(*shape, fan=np.prod(shape[1:])),
                            None if self.rng.random() < 0.25 else self._normal(FN), groups=groups, **settings)
        try:
            _, OH, OW, _ = convolution_geometry((1, C, H, W), shape, layer.stride, layer.pad, layer.dilation,
                                                groups).out_shape
        except ValueError:
            return None
        return self._add(layer, (FN, OH, OW), inputs)

    def _pair(self, *choices):
        return self._one_of(self._one_of(*choices), (self._one_of(*choices), self._one_of(*choices)))

    def _convolution(self):
        C = self.now[0]
        groups = self._one_of(*(g for g in (1, 1, 2, 3, 4, 5, 8, 16) if C % g == 0))
        FN = groups * self._one_of(1, 2, 3) if groups > 1 else self._one_of(1, 2, 5, 7, 16, 17, 24)
        window = self._one_of((1, 1), (3, 3), (2, 3), (5, 1), (1, 4), (5, 5), (3, 2))
        self._filters(FN, window, groups=groups, stride=self._pair(1, 1, 2, 3), pad=self._pair(0, 1, 2, 3),
                      dilation=self._pair(1, 1, 2))

    def _block(self):
        """Convolution, Relu and a Pooling of 2x2, which are one step where the filters fill cache lines."""
        if self._filters(self._one_of(8, 16, 16, 32, 12), (3, 3), pad=self._one_of(0, 1, 2)) is not None:
            self._activation()
            self._halve()

    def _winograd(self):
        """A convolution that Winograd's method computes, behind another one that gives it its channels."""
        if self.now[0] % 16:
            self._filters(16, (1, 1), pad=self._one_of(0, 1))
        if self.now[0] % 16 == 0:
            self._filters(self._one_of(16, 16, 32, 20), (3, 3), pad=self._one_of(0, 1, 1, 2))
            if self.rng.random() < 0.7:
                self._activation()
                if self.rng.random() < 0.4:
                    self._halve()

    def _halve(self):
        C, H, W = self.now
        if min(H, W) >= 2:
            self._add(Pooling(2, 2, stride=2, mode="average" if self.smooth else "max"), (C, H // 2, W // 2))

    def _pooling(self):
        C, H, W = self.now
        window = self._one_of((2, 2), (3, 3), (2, 3), (3, 1))
        pad = tuple(int(self.rng.integers(0, w)) for w in window) if self.rng.random() < 0.4 else 0
        mode = "average" if self.smooth or self.rng.random() < 0.4 else "max"
        layer = Pooling(*window, stride=self._pair(1, 2, 3), pad=pad, mode=mode, ceil_mode=self.rng.random() < 0.4)
        with contextlib.suppress(ValueError):
            _, OH, OW, _ = pooling_geometry((1, C, H, W), *window, layer.stride, pad, layer.ceil_mode).out_shape
            self._add(layer, (C, OH, OW))

    def _responses(self):
        self._add(LRN(self._one_of(1, 2, 3, 5, 5), self._one_of(1.0, 2.0), self._one_of(1e-4, 0.5, 2.0),
                      self._one_of(0.75, 0.75, 0.5)), self.now)

    def _end_of_images(self):
        """Make rows, not necessarily in front of an Affine layer."""
        C, H, W = self.now
        if self.rng.random() < 0.5:
            self._add(GlobalAveragePooling(), (C,))
        else:
            self._add(Flatten(), (C * H * W,))
        if self.rng.random() < 0.6:
            self._drop()
        if self.rng.random() < 0.3:
            self._activation()

    def _same_size(self, inputs, outputs):
        """Add a branch whose samples have the size of its input's."""
        if len(self.shapes[inputs]) == 1:
            values, = self.shapes[inputs]
            self._add(Affine(self._normal(values, outputs, fan=values), self._normal(outputs)), (outputs,), inputs)
        else:
            half, dilation = self._one_of((0, 0), (1, 1), (1, 0), (2, 1)), self._one_of(1, 2)
            self._filters(outputs, (2 * half[0] + 1, 2 * half[1] + 1), inputs=inputs, dilation=dilation,
                          pad=(half[0] * dilation, half[1] * dilation))
        if self.rng.random() < 0.6:
            self._activation()
        return self.node

    def _skip(self):
        stem = self.node
        sources = [stem, self._same_size(stem, self.now[0])]
        if self.rng.random() < 0.3:
            sources.append(self._same_size(sources[-1], self.shapes[stem][0]))
        if self.rng.random() < 0.4:
            sources.append(self._one_of(*sources))
        if self.shapes[stem] == self.shape and self.rng.random() < 0.5:
            sources.append(-1)
        self.rng.shuffle(sources)
        self._add(Add(), self.shapes[stem], tuple(map(int, sources)))

    def _join(self):
        stem = self.node
        sources = [self._same_size(stem, self._one_of(1, 3, 5, 16)) for _ in range(self.rng.integers(1, 4))]
        sources += [stem] * self._one_of(0, 1, 1, 2)
        if self.shapes[stem][1:] == self.shape[1:] and self.rng.random() < 0.6:
            sources.append(-1)
        if len(sources) == 1:
            sources *= 2
        self.rng.shuffle(sources)
        channels = sum(self.shapes[int(i)][0] for i in sources)
        self._add(Concat(), (channels, *self.shapes[stem][1:]), tuple(map(int, sources)))


def layer_by_layer(network):
    """Return a copy of the network, in the same state, that never runs as a plan."""
    twin = copy.deepcopy(network)
    vars(twin._graph).pop("forward", None)  # of only_plans
    twin._plans.take = lambda *args: NotCompiled("the layers run one by one")
    return twin


@contextlib.contextmanager
def only_plans(network):
    """Within the block the network's layers must not run one by one; where there are no plans, they may."""
    def forward(x, train_flg):
        raise AssertionError("the network did not run as a plan")

    if dispatch.plan(dispatch.backend()) is not None:
        network._graph.forward = forward
    try:
        yield network
    finally:
        vars(network._graph).pop("forward", None)
