"""The four families in PyTorch, with the module paths that torchvision's published weights have.

Channels are multiplied by a width, as fastconv's narrow networks do.
"""
from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import nn


def channels(count, width, groups=1):
    return max(1, round(count * width / groups)) * groups


class Classified(nn.Module):
    """`features`, an average to a size if one is given, `classifier`."""

    def __init__(self, features, size, classifier):
        super().__init__()
        self.features, self.classifier = nn.Sequential(*features), nn.Sequential(*classifier)
        self.avgpool = nn.Identity() if size is None else nn.AdaptiveAvgPool2d(size)

    def forward(self, x):
        return self.classifier(torch.flatten(self.avgpool(self.features(x)), 1))


def alexnet(variant="one-tower", classes=1000, width=1.0, maps=6):
    """`maps`: the size of the last map, (h, w), for the variant that does not average it."""
    def c(n):
        return channels(n, width, 1 if variant == "one-tower" else 2)

    if variant == "one-tower":
        features = [
            nn.Conv2d(3, c(64), 11, 4, 2), nn.ReLU(), nn.MaxPool2d(3, 2),
            nn.Conv2d(c(64), c(192), 5, padding=2), nn.ReLU(), nn.MaxPool2d(3, 2),
            nn.Conv2d(c(192), c(384), 3, padding=1), nn.ReLU(),
            nn.Conv2d(c(384), c(256), 3, padding=1), nn.ReLU(),
            nn.Conv2d(c(256), c(256), 3, padding=1), nn.ReLU(), nn.MaxPool2d(3, 2)]
        last, size = c(256) * 36, 6
    else:
        second, fourth, fifth = c(256), c(384), c(256)
        features = [
            nn.Conv2d(3, c(96), 11, 4, 2), nn.ReLU(), nn.LocalResponseNorm(5, 1e-4, 0.75, 2.0), nn.MaxPool2d(3, 2),
            nn.Conv2d(c(96), second, 5, padding=2, groups=2), nn.ReLU(), nn.LocalResponseNorm(5, 1e-4, 0.75, 2.0),
            nn.MaxPool2d(3, 2),
            nn.Conv2d(second, c(384), 3, padding=1), nn.ReLU(),
            nn.Conv2d(c(384), fourth, 3, padding=1, groups=2), nn.ReLU(),
            nn.Conv2d(fourth, fifth, 3, padding=1, groups=2), nn.ReLU(), nn.MaxPool2d(3, 2)]
        h, w = maps if isinstance(maps, tuple) else (maps, maps)
        last, size = fifth * h * w, None
    hidden = c(4096)
    return Classified(features, size, [
        nn.Dropout(), nn.Linear(last, hidden), nn.ReLU(), nn.Dropout(), nn.Linear(hidden, hidden), nn.ReLU(),
        nn.Linear(hidden, classes)])


VGG = {
    11: "64 M 128 M 256 256 M 512 512 M 512 512 M",
    13: "64 64 M 128 128 M 256 256 M 512 512 M 512 512 M",
    16: "64 64 M 128 128 M 256 256 256 M 512 512 512 M 512 512 512 M",
    19: "64 64 M 128 128 M 256 256 256 256 M 512 512 512 512 M 512 512 512 512 M",
}


def vgg(layers=16, batch_norm=False, classes=1000, width=1.0, hidden=4096):
    features, before = [], 3
    for entry in VGG[layers].split():
        if entry == "M":
            features.append(nn.MaxPool2d(2, 2))
            continue
        after = channels(int(entry), width)
        features.append(nn.Conv2d(before, after, 3, padding=1))
        if batch_norm:
            features.append(nn.BatchNorm2d(after))
        features.append(nn.ReLU())
        before = after
    return Classified(features, 7, [
        nn.Linear(before * 49, hidden), nn.ReLU(), nn.Dropout(), nn.Linear(hidden, hidden), nn.ReLU(), nn.Dropout(),
        nn.Linear(hidden, classes)])


class Block(nn.Module):
    """A residual block; its convolutions are (filters, size, stride)."""

    def __init__(self, before, convolutions, stride):
        super().__init__()
        first, self.count = before, len(convolutions)
        for i, (filters, size, step) in enumerate(convolutions, 1):
            self.add_module(f"conv{i}", nn.Conv2d(before, filters, size, step, size // 2, bias=False))
            self.add_module(f"bn{i}", nn.BatchNorm2d(filters))
            before = filters
        self.downsample = None
        if stride != 1 or first != before:
            self.downsample = nn.Sequential(nn.Conv2d(first, before, 1, stride, bias=False), nn.BatchNorm2d(before))

    def forward(self, x):
        out = x
        for i in range(1, self.count + 1):
            out = getattr(self, f"bn{i}")(getattr(self, f"conv{i}")(out))
            if i < self.count:
                out = F.relu(out)
        return F.relu(out + (x if self.downsample is None else self.downsample(x)))


class ResNet(nn.Module):
    def __init__(self, blocks, widths, bottleneck, classes, small=False):
        super().__init__()
        before = widths[0]
        self.small = small
        self.conv1 = nn.Conv2d(3, before, 3, 1, 1, bias=False) if small else nn.Conv2d(3, before, 7, 2, 3, bias=False)
        self.bn1 = nn.BatchNorm2d(before)
        self.stages = len(blocks)
        for stage, (count, filters) in enumerate(zip(blocks, widths, strict=True)):
            parts = []
            for i in range(count):
                stride = 2 if stage and i == 0 else 1
                table = [(filters, 3, stride), (filters, 3, 1)]
                if bottleneck:
                    table = [(filters, 1, 1), (filters, 3, stride), (4 * filters, 1, 1)]
                parts.append(Block(before, table, stride))
                before = table[-1][0]
            self.add_module(f"layer{stage + 1}", nn.Sequential(*parts))
        self.fc = nn.Linear(before, classes)

    def forward(self, x):
        x = F.relu(self.bn1(self.conv1(x)))
        if not self.small:
            x = F.max_pool2d(x, 3, 2, 1)
        for stage in range(self.stages):
            x = getattr(self, f"layer{stage + 1}")(x)
        return self.fc(x.mean((2, 3)))


RESNET = {18: ([2, 2, 2, 2], False), 34: ([3, 4, 6, 3], False), 50: ([3, 4, 6, 3], True),
          101: ([3, 4, 23, 3], True), 152: ([3, 8, 36, 3], True)}


def resnet(depth, classes=1000, width=1.0):
    blocks, bottleneck = RESNET[depth]
    return ResNet(blocks, [channels(n, width) for n in (64, 128, 256, 512)], bottleneck, classes)


def small_resnet(depth, classes=10, width=1.0):
    return ResNet([(depth - 2) // 6] * 3, [channels(n, width) for n in (16, 32, 64)], False, classes, small=True)


class BasicConv2d(nn.Module):
    def __init__(self, before, after, norm, **settings):
        super().__init__()
        self.conv = nn.Conv2d(before, after, bias=not norm, **settings)
        self.bn = nn.BatchNorm2d(after, eps=0.001) if norm else nn.Identity()

    def forward(self, x):
        return F.relu(self.bn(self.conv(x)))


class Inception(nn.Module):
    def __init__(self, before, one, three_reduced, three, five_reduced, five, pooled, norm):
        super().__init__()
        size = 3 if norm else 5
        self.branch1 = BasicConv2d(before, one, norm, kernel_size=1)
        self.branch2 = nn.Sequential(BasicConv2d(before, three_reduced, norm, kernel_size=1),
                                     BasicConv2d(three_reduced, three, norm, kernel_size=3, padding=1))
        self.branch3 = nn.Sequential(BasicConv2d(before, five_reduced, norm, kernel_size=1),
                                     BasicConv2d(five_reduced, five, norm, kernel_size=size, padding=size // 2))
        self.branch4 = nn.Sequential(nn.MaxPool2d(3, 1, 1, ceil_mode=True),
                                     BasicConv2d(before, pooled, norm, kernel_size=1))

    def forward(self, x):
        return torch.cat([self.branch1(x), self.branch2(x), self.branch3(x), self.branch4(x)], 1)


class InceptionAux(nn.Module):
    def __init__(self, before, reduced, hidden, classes, norm, maps):
        super().__init__()
        self.pool = nn.AdaptiveAvgPool2d(4) if norm else nn.AvgPool2d(5, 3)
        self.conv = BasicConv2d(before, reduced, norm, kernel_size=1)
        self.fc1, self.fc2 = nn.Linear(reduced * (16 if norm else maps), hidden), nn.Linear(hidden, classes)
        self.dropout = nn.Dropout(0.7)

    def forward(self, x):
        x = torch.flatten(self.conv(self.pool(x)), 1)
        return self.fc2(self.dropout(F.relu(self.fc1(x))))


MODULES = {
    "3a": (192, 64, 96, 128, 16, 32, 32), "3b": (256, 128, 128, 192, 32, 96, 64),
    "4a": (480, 192, 96, 208, 16, 48, 64), "4b": (512, 160, 112, 224, 24, 64, 64),
    "4c": (512, 128, 128, 256, 24, 64, 64), "4d": (512, 112, 144, 288, 32, 64, 64),
    "4e": (528, 256, 160, 320, 32, 128, 128), "5a": (832, 256, 160, 320, 32, 128, 128),
    "5b": (832, 384, 192, 384, 48, 128, 128),
}


class GoogLeNet(nn.Module):
    """In training it returns the scores and both auxiliary ones. `maps`: values of a channel that these pool to."""

    def __init__(self, variant="batch_norm", classes=1000, width=1.0, maps=16):
        super().__init__()
        norm = variant == "batch_norm"

        def c(n):
            return channels(n, width)

        self.lrn = nn.Identity() if norm else nn.LocalResponseNorm(5, 1e-4, 0.75, 1.0)
        self.last_pool = nn.MaxPool2d(2 if norm else 3, 2, ceil_mode=True)
        self.conv1 = BasicConv2d(3, c(64), norm, kernel_size=7, stride=2, padding=3)
        self.conv2 = BasicConv2d(c(64), c(64), norm, kernel_size=1)
        self.conv3 = BasicConv2d(c(64), c(192), norm, kernel_size=3, padding=1)
        before = c(192)
        for name, (inputs, one, r3, three, r5, five, pooled) in MODULES.items():
            module = Inception(before, c(one), c(r3), c(three), c(r5), c(five), c(pooled), norm)
            self.add_module(f"inception{name}", module)
            assert width != 1 or before == inputs
            before = c(one) + c(three) + c(five) + c(pooled)
            if name in ("4a", "4d"):
                number = 1 if name == "4a" else 2
                self.add_module(f"aux{number}", InceptionAux(before, c(128), c(1024), classes, norm, maps))
        self.dropout = nn.Dropout(0.2 if norm else 0.4)
        self.fc = nn.Linear(before, classes)

    def forward(self, x):
        def pool(x):
            return F.max_pool2d(x, 3, 2, ceil_mode=True)

        x = self.lrn(pool(self.conv1(x)))
        x = pool(self.lrn(self.conv3(self.conv2(x))))
        x = pool(self.inception3b(self.inception3a(x)))
        first = self.inception4a(x)
        second = self.inception4d(self.inception4c(self.inception4b(first)))
        x = self.last_pool(self.inception4e(second))
        x = self.inception5b(self.inception5a(x)).mean((2, 3))
        scores = self.fc(self.dropout(x))
        return (scores, self.aux1(first), self.aux2(second)) if self.training else scores
