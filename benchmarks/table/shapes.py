"""The layers whose shapes the workloads take: DeepConvNet, VGG-16 (configuration D), ResNet and what they lack."""
from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class ConvolutionShape:
    """A convolution: images (N, H, W, C) with FN square filters."""

    name: str
    x: tuple[int, int, int, int]
    FN: int
    size: int = 3
    stride: int = 1
    pad: int = 1
    groups: int = 1

    @property
    def weight(self) -> tuple[int, int, int, int]:
        return self.FN, self.x[3] // self.groups, self.size, self.size

    @property
    def out(self) -> tuple[int, int, int, int]:
        N, H, W, _ = self.x
        OH, OW = ((n + 2 * self.pad - self.size) // self.stride + 1 for n in (H, W))
        return N, OH, OW, self.FN


def _deep_convnet(N: int) -> list[ConvolutionShape]:
    layers = [(28, 1, 16, 1), (28, 16, 16, 1), (14, 16, 32, 1), (14, 32, 32, 2), (8, 32, 64, 1), (8, 64, 64, 1)]
    return [ConvolutionShape(f"deepconvnet-{i}", (N, side, side, C), FN, pad=pad)
            for i, (side, C, FN, pad) in enumerate(layers, 1)]


def _vgg(N: int) -> list[ConvolutionShape]:
    """Return the nine shapes of the thirteen layers; equal ones share a row and its name."""
    layers = [("1_1", 224, 3, 64), ("1_2", 224, 64, 64), ("2_1", 112, 64, 128), ("2_2", 112, 128, 128),
              ("3_1", 56, 128, 256), ("3_2+3_3", 56, 256, 256), ("4_1", 28, 256, 512), ("4_2+4_3", 28, 512, 512),
              ("5_1+5_2+5_3", 14, 512, 512)]
    return [ConvolutionShape(f"vgg-{name}", (N, side, side, C), FN) for name, side, C, FN in layers]


CONVOLUTIONS = (
    *_deep_convnet(100),
    *_vgg(1),
    ConvolutionShape("resnet-7x7-stride2", (2, 224, 224, 3), 64, size=7, stride=2, pad=3),
    ConvolutionShape("resnet-1x1", (2, 56, 56, 64), 256, size=1, pad=0),
    ConvolutionShape("resnet-3x3-stride2", (2, 56, 56, 128), 128, stride=2),
    ConvolutionShape("resnext-grouped", (2, 28, 28, 256), 256, groups=32),
    ConvolutionShape("mobilenet-depthwise", (2, 56, 56, 128), 128, groups=128),
)


@dataclass(frozen=True)
class PoolingShape:
    """Pooling of images (N, H, W, C) by square windows."""

    name: str
    x: tuple[int, int, int, int]
    size: int
    stride: int
    pad: int

    @property
    def out(self) -> tuple[int, int, int, int]:
        N, H, W, C = self.x
        OH, OW = ((n + 2 * self.pad - self.size) // self.stride + 1 for n in (H, W))
        return N, OH, OW, C


POOLINGS = (
    PoolingShape("deepconvnet-1", (100, 28, 28, 16), 2, 2, 0),
    PoolingShape("deepconvnet-3", (100, 8, 8, 64), 2, 2, 0),
    PoolingShape("vgg-1", (2, 224, 224, 64), 2, 2, 0),
    PoolingShape("resnet-3x3-stride2", (2, 112, 112, 64), 3, 2, 1),
)

GEMMS = {  # name -> (M, K, N)
    "square-256": (256, 256, 256),
    "square-1024": (1024, 1024, 1024),
    "tall": (20_000, 64, 64),
    "wide": (64, 1024, 8192),
    "tiny": (10, 50, 10),
    "deepconvnet-affine": (100, 1024, 50),
    "vgg-affine": (8, 4096, 4096),
}
