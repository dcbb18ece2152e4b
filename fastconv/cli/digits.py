"""Image files of any size to images as in MNIST: 28 x 28, a light digit on black.

The steps are those of MNIST's authors (LeCun, Cortes and Burges, "The MNIST database of handwritten digits"):
the digit is scaled to fit a box of 20 x 20 pixels, its proportions kept, and placed so that its centre of
mass is the centre of the image.
"""
from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..images import open_image
from .common import CommandError, opened

SIZE, BOX, CENTRE = 28, 20, 14
FAINT = 0.2  # what has less of the digit's brightness is paper, shadow or compression noise


def read_digit(path: str) -> NDArray[np.uint8]:
    """Return the digit in an image file as a (28, 28) uint8 image like MNIST's.

    Raises
    ------
    CommandError
        Pillow is not installed, the file is no image, or there is nothing in it.
    """
    grey = np.asarray(opened(open_image, path).convert("L"))
    if looks_like_mnist(grey):
        return grey
    if np.ptp(grey) < 16:
        raise CommandError(f"{path} shows no digit: all of it is about the same grey")
    return centred(ink(grey))


def looks_like_mnist(grey: NDArray[np.uint8]) -> bool:
    """Say whether an image is as every image in MNIST is: 28 x 28, on black, in the box, centred by mass."""
    if grey.shape != (SIZE, SIZE) or not grey.any():
        return False
    fills_the_box = max(_cropped(grey).shape) in (BOX - 1, BOX)
    return fills_the_box and all(abs(centre - CENTRE) < 0.55 for centre in _centre_of_mass(grey))


def ink(grey: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Return how much of the digit is in each pixel, 0 to 1; the border tells what the background is."""
    border = np.concatenate([grey[0], grey[-1], grey[:, 0], grey[:, -1]])
    background = float(np.median(border))
    middle = (int(grey.min()) + int(grey.max())) / 2
    digit = (background - grey if background > middle else grey - background).astype(np.float32)
    digit /= digit.max()
    return np.where(digit < FAINT, np.float32(0), digit)


def centred(digit: NDArray[np.float32]) -> NDArray[np.uint8]:
    """Crop, scale to the box, and place by the centre of mass."""
    from PIL import Image
    digit = _cropped(digit)
    H, W = (max(1, round(n * BOX / max(digit.shape))) for n in digit.shape)
    digit = np.asarray(Image.fromarray(digit).resize((W, H), Image.Resampling.BILINEAR))
    top, left = (min(max(round(CENTRE - c), 0), SIZE - n)
                 for c, n in zip(_centre_of_mass(digit), (H, W), strict=True))
    image = np.zeros((SIZE, SIZE), np.uint8)
    image[top:top + H, left:left + W] = np.rint(digit * (255 / digit.max()))
    return image


def _cropped(image: NDArray[Any]) -> NDArray[Any]:
    """Return the smallest rectangle that holds all pixels but zeros."""
    rows, columns = np.nonzero(image)
    return image[rows.min():rows.max() + 1, columns.min():columns.max() + 1]


def _centre_of_mass(image: NDArray[Any]) -> tuple[float, float]:
    mass = image.sum(dtype=float)
    return (float(image.sum(axis=1, dtype=float) @ np.arange(image.shape[0]) / mass),
            float(image.sum(axis=0, dtype=float) @ np.arange(image.shape[1]) / mass))
