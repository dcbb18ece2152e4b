"""What images go through before they are a network's input; kept with its parameters, as `Network.preprocessing`.

Images of uint8, 0 to 255, count as 0 to 1, as everywhere in fastconv; floating ones are taken as they are.
"""
from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from .arrays import as_array

IMAGENET_MEAN = (0.485, 0.456, 0.406)  # of ImageNet's training set, as torchvision's weights expect
IMAGENET_STD = (0.229, 0.224, 0.225)
HALF = (0.5, 0.5, 0.5)  # mean and deviation that bring 0..1 to -1..1, as torchvision's GoogLeNet does itself


class MeanStd:
    """``(x - mean) / std`` per channel.

    Parameters
    ----------
    mean, std : sequence of C floats
        Of images from 0 to 1. Default: those that torchvision's networks are trained with.

    Raises
    ------
    ValueError
        They are not one finite number for each channel, or a deviation is not above 0.
    """

    def __init__(self, mean: ArrayLike = IMAGENET_MEAN, std: ArrayLike = IMAGENET_STD) -> None:
        self.mean, self.std = _numbers("MeanStd: mean", mean), _numbers("MeanStd: std", std)
        if self.mean.shape != self.std.shape:
            raise ValueError(f"MeanStd: mean has {len(self.mean)} numbers and std {len(self.std)}, expected one each "
                             "for every channel")
        if not (self.std > 0).all():
            raise ValueError(f"MeanStd: std is {self.std.tolist()}, expected numbers above 0")

    def __call__(self, images: ArrayLike) -> NDArray[np.float32]:
        """Return images (N, C, H, W), uint8 or floating, as a network takes them: new, float32."""
        x = _images("MeanStd", images, len(self.mean))
        return _scaled(x, 1 / self.std, self.mean / self.std)

    def state(self) -> dict[str, NDArray[np.float64]]:
        """Return the arrays that `from_state` takes."""
        return {"mean": self.mean, "std": self.std}

    @classmethod
    def from_state(cls, arrays: Mapping[str, Any]) -> MeanStd:
        """Return what had this state; ValueError if it is none."""
        _check_names("MeanStd", arrays, "mean", "std")
        return cls(arrays["mean"], arrays["std"])

    def __repr__(self) -> str:
        return f"MeanStd({self.mean.tolist()}, {self.std.tolist()})"


class ChannelMean:
    """``x - mean`` per channel, with the mean of the training images: all the preprocessing of the VGG paper.

    Simonyan and Zisserman, "Very deep convolutional networks for large-scale image recognition", section 2.1
    (https://arxiv.org/abs/1409.1556). There the images go from 0 to 255, here from 0 to 1.

    Parameters
    ----------
    mean : sequence of C floats, optional
        Of images from 0 to 1; without it, `fit` finds it.

    Examples
    --------
    >>> network.preprocessing = ChannelMean().fit(x_train)
    >>> network.predict(network.preprocessing(x_test))
    """

    def __init__(self, mean: ArrayLike | None = None) -> None:
        self.mean = None if mean is None else _numbers("ChannelMean: mean", mean)

    def fit(self, x_train: ArrayLike) -> ChannelMean:
        """Take the mean of each channel over images (N, C, H, W), uint8 or floating, and return this object."""
        x = _images("ChannelMean.fit", x_train)
        if not x.size:
            raise ValueError(f"ChannelMean.fit: x_train has shape {x.shape}, there is nothing to take the mean of")
        totals = sum(image.sum(axis=(1, 2), dtype=np.float64) for image in x)  # image by image: no float64 copy of all
        count = x.size // x.shape[1] * (255 if x.dtype == np.uint8 else 1)
        self.mean = _numbers("ChannelMean.fit: the mean of x_train", totals / count)
        return self

    def __call__(self, images: ArrayLike) -> NDArray[np.float32]:
        """Return images (N, C, H, W), uint8 or floating, as a network takes them: new, float32."""
        mean = self._fitted()
        x = _images("ChannelMean", images, len(mean))
        return _scaled(x, np.ones_like(mean), mean)

    def state(self) -> dict[str, NDArray[np.float64]]:
        """Return the arrays that `from_state` takes."""
        return {"mean": self._fitted()}

    @classmethod
    def from_state(cls, arrays: Mapping[str, Any]) -> ChannelMean:
        """Return what had this state; ValueError if it is none."""
        _check_names("ChannelMean", arrays, "mean")
        return cls(arrays["mean"])

    def __repr__(self) -> str:
        return f"ChannelMean({'' if self.mean is None else self.mean.tolist()})"

    def _fitted(self) -> NDArray[np.float64]:
        if self.mean is None:
            raise ValueError("ChannelMean: there is no mean yet: call fit(x_train) first")
        return self.mean


def _scaled(x: NDArray[Any], scale: NDArray[np.float64], shift: NDArray[np.float64]) -> NDArray[np.float32]:
    """Return ``x * scale - shift`` per channel, uint8 as 0 to 1."""
    scale = scale / 255 if x.dtype == np.uint8 else scale
    wide = x.dtype.itemsize > 4  # numbers that float32 cannot hold may be differences that it can
    out = np.multiply(x, scale[:, None, None], dtype=np.float64 if wide else np.float32, casting="same_kind")
    out -= shift[:, None, None].astype(out.dtype)
    return out.astype(np.float32, copy=False)


def _images(where: str, images: ArrayLike, channels: int | None = None) -> NDArray[Any]:
    x = as_array(where, "images", images)
    if x.dtype != np.uint8 and x.dtype.kind != "f":
        raise TypeError(f"{where}: images have dtype {x.dtype}, expected uint8 (0 to 255) or floating (0 to 1)")
    if x.ndim != 4:
        raise ValueError(f"{where}: images have shape {x.shape}, expected (N, C, H, W)"
                         f"{'; one image is image[None]' if x.ndim == 3 else ''}")
    if channels is not None and x.shape[1] != channels:
        raise ValueError(f"{where}: images have shape {x.shape}, {x.shape[1]} channels, expected {channels}")
    return x


def _numbers(name: str, values: ArrayLike) -> NDArray[np.float64]:
    given = as_array(name, "what is given", values)
    if given.dtype.kind not in "biuf":
        raise TypeError(f"{name} has dtype {given.dtype}, expected one finite number for each channel")
    numbers = given.astype(np.float64)
    if numbers.ndim != 1 or not len(numbers) or not np.isfinite(numbers).all():
        raise ValueError(f"{name} is {np.array2string(numbers, threshold=10)}, expected one finite number for each "
                         "channel")
    return numbers


def _check_names(where: str, arrays: Mapping[str, Any], *names: str) -> None:
    if not isinstance(arrays, Mapping):
        raise TypeError(f"{where}.from_state: arrays is a {type(arrays).__name__}, expected a mapping")
    if set(arrays) != set(names):
        raise ValueError(f"{where}.from_state: the arrays are {', '.join(sorted(arrays)) or 'none'}, "
                         f"expected {' and '.join(names)}")
