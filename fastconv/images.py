"""Photos for networks: image files to arrays, resized and cropped as torchvision's transforms do (with Pillow)."""
from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from .files import harmless, open_regular
from .shapes import check_addressable, pair, whole

if TYPE_CHECKING:
    from PIL.Image import Image as PILImage

FORMATS = ("PNG", "JPEG", "WEBP", "BMP", "GIF", "TIFF", "PPM")  # Pillow's others may start programs (EPS)


def read_image(path: str | os.PathLike[str]) -> NDArray[np.uint8]:
    """Read an image file as colours.

    Grey, palette, CMYK and 16-bit images become 8-bit RGB, what is transparent becomes white, and a photo is turned
    upright as its EXIF data say.

    Parameters
    ----------
    path : path
        A PNG or JPEG file, or another of `FORMATS`. Of several images in it the first.

    Returns
    -------
    array (3, H, W) of uint8

    Raises
    ------
    OSError
        The file cannot be read.
    ValueError
        It is no image, is damaged, or is so large that it may be a decompression bomb.
    ImportError
        Pillow is not installed.
    """
    return np.ascontiguousarray(np.asarray(open_image(path).convert("RGB")).transpose(2, 0, 1))


def open_image(path: str | os.PathLike[str]) -> PILImage:
    """Return an image of Pillow's, upright, without transparency, in mode L or RGB; it raises as `read_image` does."""
    image, ops = _pillow()
    with open_regular(path) as file:
        try:
            with image.open(file, formats=FORMATS) as opened:
                return _plain(ops.exif_transpose(opened))
        except image.UnidentifiedImageError:
            raise ValueError(f"cannot read {path}: it is no image, or none of {', '.join(FORMATS)}") from None
        except Exception as error:  # Pillow's readers have each their own
            raise ValueError(f"cannot read {path}: {harmless(str(error), 300) or type(error).__name__}") from error


def resize(image: NDArray[np.uint8], shorter: int) -> NDArray[np.uint8]:
    """Scale an image so that its shorter side has `shorter` pixels, as ``torchvision.transforms.Resize(shorter)``.

    Bilinear, over as many pixels as become one (antialias); the longer side is rounded down.

    Parameters
    ----------
    image : array (C, H, W) of uint8, C of 1 or 3
    shorter : int

    Returns
    -------
    array (C, H', W') of uint8

    Raises
    ------
    ValueError
        The image has another shape, or would become larger than Pillow takes for harmless.
    TypeError
        It has another dtype.
    ImportError
        Pillow is not installed.
    """
    _check("resize", image)
    shorter = whole(shorter, "resize: shorter", 1)
    C, H, W = image.shape
    if min(H, W) == shorter:
        return image
    module, _ = _pillow()
    size = [shorter if n == min(H, W) else int(shorter * max(H, W) / min(H, W)) for n in (W, H)]
    if size[0] * size[1] > 2 * module.MAX_IMAGE_PIXELS:
        raise ValueError(f"resize: an image of {H}x{W} would become one of {size[1]}x{size[0]}, which is too large")
    pixels = np.ascontiguousarray(image.transpose(1, 2, 0))
    scaled = module.fromarray(pixels if C == 3 else pixels[:, :, 0]).resize(size, module.Resampling.BILINEAR)
    return np.ascontiguousarray(np.asarray(scaled).reshape(size[1], size[0], C).transpose(2, 0, 1))


def centre_crop(image: NDArray[Any], size: int | tuple[int, int]) -> NDArray[Any]:
    """Cut the middle out of an image, as ``torchvision.transforms.CenterCrop(size)``.

    Parameters
    ----------
    image : array (..., H, W)
        A side that is shorter than the crop gets zeros on both sides, one more behind if their number is odd.
    size : int or (h, w)

    Returns
    -------
    array (..., h, w)
        Of the same dtype; a view where nothing is added.
    """
    h, w = pair(size, "centre_crop: size", 1)
    if not isinstance(image, np.ndarray):
        raise TypeError(f"centre_crop: image is a {type(image).__name__}, expected an array (..., H, W)")
    if image.ndim < 2 or not image.size:
        raise ValueError(f"centre_crop: image has shape {image.shape}, expected (..., H, W)")
    check_addressable("centre_crop", "the result", (*image.shape[:-2], h, w))
    short = [max(0, n - have) for n, have in zip((h, w), image.shape[-2:], strict=True)]
    if any(short):
        around = [(0, 0)] * (image.ndim - 2) + [(n // 2, n - n // 2) for n in short]
        image = np.pad(image, around)
    top, left = (round((have - n) / 2) for n, have in zip((h, w), image.shape[-2:], strict=True))  # 0.5 to even
    return image[..., top:top + h, left:left + w]


def _plain(image: PILImage) -> PILImage:
    """Return an image in mode L or RGB, on white where it is transparent."""
    module, _ = _pillow()
    if image.mode.startswith("I"):  # 16 bits; convert would clip
        return module.fromarray(np.clip(np.asarray(image) >> 8, 0, 255).astype(np.uint8))
    if image.mode == "F":
        raise ValueError("its pixels are floating numbers, of which nobody knows what is white")
    if image.has_transparency_data:
        image = image.convert("RGBA")
        image = module.alpha_composite(module.new("RGBA", image.size, "white"), image)
    return image.convert("L" if image.mode in ("1", "L") else "RGB")


def _check(where: str, image: NDArray[Any]) -> None:
    if not isinstance(image, np.ndarray):
        raise TypeError(f"{where}: image is a {type(image).__name__}, expected an array of uint8")
    if image.dtype != np.uint8:
        raise TypeError(f"{where}: image has dtype {image.dtype}, expected uint8")
    if image.ndim != 3 or image.shape[0] not in (1, 3) or not image.size:
        raise ValueError(f"{where}: image has shape {image.shape}, expected (3, H, W) or (1, H, W)")


def _pillow() -> Any:
    try:
        from PIL import Image, ImageOps
    except ImportError as error:
        raise ImportError("reading images needs Pillow: pip install pillow") from error
    return Image, ImageOps
