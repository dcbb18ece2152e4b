"""Photos from files, resized and cropped as torchvision does."""
import io
import struct
import sys
import zlib

import numpy as np
import pytest

from fastconv.images import centre_crop, read_image, resize

Image = pytest.importorskip("PIL.Image")
RNG = np.random.default_rng(0)
COLOURS = RNG.integers(0, 256, (3, 7, 5), np.uint8)  # (C, H, W)


def picture(array):
    return Image.fromarray(np.ascontiguousarray(array.transpose(1, 2, 0)))


@pytest.fixture
def read(tmp_path):
    """Save an image of Pillow's to a file and read it."""
    def save_and_read(image, suffix=".png", **options):
        path = tmp_path / f"photo{suffix}"
        image.save(path, **options)
        return read_image(path)

    return save_and_read


def test_colours(read):
    for suffix in (".png", ".bmp", ".tiff", ".ppm"):
        image = read(picture(COLOURS), suffix)
        assert image.dtype == np.uint8 and image.flags.c_contiguous and image.flags.writeable
        np.testing.assert_array_equal(image, COLOURS)


def test_jpeg(read):
    smooth = np.stack([np.add.outer(np.arange(40), np.arange(64)) * k for k in (1, 2, 0)]).astype(np.uint8)
    assert np.abs(read(picture(smooth), ".jpg", quality=95, subsampling=0).astype(int) - smooth).mean() < 3


@pytest.mark.parametrize("make, expected", [
    (lambda: Image.fromarray(COLOURS[0]), [COLOURS[0]] * 3),
    (lambda: Image.fromarray(COLOURS[0] > 99), [np.where(COLOURS[0] > 99, 255, 0)] * 3),
    (lambda: Image.fromarray(COLOURS[0].astype(np.uint16) * 256 + 77), [COLOURS[0]] * 3),
    (lambda: picture(COLOURS).convert("P", palette=Image.Palette.ADAPTIVE, colors=256), COLOURS),
])
def test_other_modes(read, make, expected):
    np.testing.assert_array_equal(read(make()), expected)


def test_what_is_transparent_becomes_white(read):
    alpha = np.array([[255, 0], [0, 255], [128, 0]], np.uint8)
    image = read(picture(np.stack([np.full((3, 2), value, np.uint8) for value in (200, 10, 0)] + [alpha][:1])))
    np.testing.assert_array_equal(image[:, 0, 0], (200, 10, 0))
    np.testing.assert_array_equal(image[:, 0, 1], (255, 255, 255))
    np.testing.assert_allclose(image[:, 2, 0], 255 + (np.array((200, 10, 0)) - 255) * 128 / 255, atol=1)
    grey = read(picture(np.stack([COLOURS[0, :3, :2], alpha])))
    np.testing.assert_array_equal(grey[:, alpha == 255], [COLOURS[0, :3, :2][alpha == 255]] * 3)
    assert (grey[:, alpha == 0] == 255).all()
    palette = picture(COLOURS).convert("P", palette=Image.Palette.ADAPTIVE, colors=256)
    image = read(palette, transparency=palette.getpixel((0, 0)))
    assert (image[:, 0, 0] == 255).all()
    np.testing.assert_array_equal(image[:, 1:], COLOURS[:, 1:])


def test_cmyk(read):
    inks = np.zeros((4, 20, 30), np.uint8)
    inks[1:3], inks[3, :, 15:] = 255, 255  # red, and on the right black
    image = read(Image.merge("CMYK", [Image.fromarray(ink) for ink in inks]), ".jpg", quality=95)
    assert image.shape == (3, 20, 30)
    np.testing.assert_allclose(image[:, 10, 5], (255, 0, 0), atol=8)
    np.testing.assert_allclose(image[:, 10, 25], (0, 0, 0), atol=8)


@pytest.mark.parametrize("orientation, turned", [
    (1, lambda x: x), (2, lambda x: x[:, :, ::-1]), (3, lambda x: x[:, ::-1, ::-1]), (4, lambda x: x[:, ::-1]),
    (5, lambda x: x.transpose(0, 2, 1)), (6, lambda x: x.transpose(0, 2, 1)[:, :, ::-1]),
    (7, lambda x: x.transpose(0, 2, 1)[:, ::-1, ::-1]), (8, lambda x: x.transpose(0, 2, 1)[:, ::-1]),
])
def test_photos_are_turned_upright(read, orientation, turned):
    exif = Image.Exif()
    exif[0x0112] = orientation
    np.testing.assert_array_equal(read(picture(COLOURS), exif=exif), turned(COLOURS))


def png(array=COLOURS):
    file = io.BytesIO()
    picture(array).save(file, "PNG")
    return file.getvalue()


def of_size(width, height):
    """A PNG file that says it is of another size."""
    data, header = png(), b"IHDR" + struct.pack(">2L", width, height) + b"\x08\x02\0\0\0"
    return data[:12] + header + struct.pack(">L", zlib.crc32(header)) + data[33:]


@pytest.mark.parametrize("data, reason", [
    (b"", "it is no image, or none of PNG, JPEG"),
    (b"These are no pixels.", "it is no image, or none of PNG, JPEG"),
    (b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n(touch x) run\n%%EOF", "it is no image, or none of PNG, JPEG"),
    (png()[:60], "photo.png: "),
    (png()[:-30], "photo.png: "),
    (png().replace(b"IDAT", b"IDAX"), "photo.png: "),
    (of_size(60_000, 60_000), "decompression bomb"),
    (of_size(10_000, 10), "photo.png: "),
])
def test_files_that_are_no_images(tmp_path, data, reason):
    (tmp_path / "photo.png").write_bytes(data)
    with pytest.raises(ValueError, match=reason) as error:
        read_image(tmp_path / "photo.png")
    assert "photo.png" in str(error.value)


def test_files_of_floating_numbers(read):
    with pytest.raises(ValueError, match="photo.tiff: .*floating"):
        read(Image.fromarray(np.ones((2, 3), np.float32)), ".tiff")


@pytest.mark.filterwarnings("ignore")  # Pillow's, of what is damaged
def test_random_damage_is_a_value_error_or_an_image(tmp_path):
    rng = np.random.default_rng(1)
    whole = {".png": png(np.kron(COLOURS, np.ones((1, 9, 9), np.uint8)))}
    for suffix, name in ((".jpg", "JPEG"), (".gif", "GIF"), (".tiff", "TIFF"), (".webp", "WEBP"), (".bmp", "BMP")):
        file = io.BytesIO()
        picture(COLOURS).save(file, name)
        whole[suffix] = file.getvalue()
    for suffix, data in whole.items():
        for _ in range(60):
            damaged = bytearray(data)
            for position in rng.integers(0, len(data), 3):
                damaged[position] = rng.integers(0, 256)
            (tmp_path / f"x{suffix}").write_bytes(damaged)
            try:
                image = read_image(tmp_path / f"x{suffix}")
            except ValueError:
                continue
            assert image.ndim == 3 and len(image) == 3 and image.dtype == np.uint8


def test_what_an_error_quotes_cannot_steer_a_terminal(tmp_path, monkeypatch):
    (tmp_path / "p.png").write_bytes(b"")

    def quoting(*_, **__):
        raise ValueError("token \x1b]0;owned\x07" + "x" * 1000)  # as Pillow 10 does for PPM

    monkeypatch.setattr("PIL.Image.open", quoting)
    with pytest.raises(ValueError, match=r"p.png: token \?]0;owned\?x") as error:
        read_image(tmp_path / "p.png")
    assert str(error.value).isprintable() and len(str(error.value)) < 600


def test_files_that_cannot_be_opened(tmp_path):
    with pytest.raises(FileNotFoundError, match="nowhere.png"):
        read_image(tmp_path / "nowhere.png")
    with pytest.raises(OSError):
        read_image(tmp_path)


def test_without_pillow(tmp_path, monkeypatch):
    (tmp_path / "photo.png").write_bytes(png())
    monkeypatch.setitem(sys.modules, "PIL", None)
    with pytest.raises(ImportError, match="pip install pillow"):
        read_image(tmp_path / "photo.png")


def triangle(line, n):
    """A line of pixels scaled to n: each new pixel is a mean of old ones, weighted by a triangle over it."""
    scale = len(line) / n
    reach = max(scale, 1)
    out = []
    for i in range(n):
        centre = (i + 0.5) * scale
        weights = [max(0.0, 1 - abs(k + 0.5 - centre) / reach) for k in range(len(line))]
        out.append(sum(w * value for w, value in zip(weights, line, strict=True)) / sum(weights))
    return out


@pytest.mark.parametrize("shape, shorter, expected", [
    ((3, 60, 37), 11, (3, 17, 11)),  # 17.8 is rounded down
    ((3, 37, 60), 11, (3, 11, 17)),
    ((1, 20, 20), 7, (1, 7, 7)),
    ((3, 5, 9), 13, (3, 13, 23)),  # larger
    ((1, 1, 4), 3, (1, 3, 12)),
])
def test_resize(shape, shorter, expected):
    image = RNG.integers(0, 256, shape, np.uint8)
    result = resize(image, shorter)
    assert result.shape == expected and result.dtype == np.uint8
    exact = np.array([[triangle(row, expected[2]) for row in channel] for channel in image.tolist()])
    exact = np.array([np.transpose([triangle(column, expected[1]) for column in channel.T]) for channel in exact])
    assert np.abs(result - exact).max() <= 1.01  # Pillow rounds twice
    assert np.abs(result - exact).mean() < 0.5


@pytest.mark.torch
@pytest.mark.parametrize("shape, shorter", [((3, 200, 300), 64), ((3, 301, 77), 50), ((3, 20, 31), 45)])
def test_resize_as_pytorch(shape, shorter):
    torch = pytest.importorskip("torch")
    image = RNG.integers(0, 256, shape, np.uint8)
    result = resize(image, shorter)
    theirs = torch.nn.functional.interpolate(torch.tensor(image[None]).float(), result.shape[1:], mode="bilinear",
                                             antialias=True, align_corners=False)[0].numpy()
    assert np.abs(result - theirs).max() <= 1.01


def test_resize_takes_any_memory_and_leaves_what_fits():
    image = RNG.integers(0, 256, (40, 30, 3), np.uint8)
    image.setflags(write=False)
    np.testing.assert_array_equal(resize(image.transpose(2, 0, 1)[:, ::-2], 9),
                                  resize(np.ascontiguousarray(image.transpose(2, 0, 1)[:, ::-2]), 9))
    assert resize(COLOURS, 5) is COLOURS


@pytest.mark.parametrize("image, error, reason", [
    (COLOURS / 255, TypeError, "float64, expected uint8"),
    (COLOURS[0], ValueError, r"\(7, 5\), expected \(3, H, W\)"),
    (COLOURS.transpose(1, 2, 0), ValueError, r"\(7, 5, 3\), expected \(3, H, W\)"),
    (COLOURS[:, :0], ValueError, r"\(3, 0, 5\)"),
    (np.zeros((3, 1, 100_000), np.uint8), ValueError, "would become one of 256x25600000, which is too large"),
])
def test_what_cannot_be_resized(image, error, reason):
    with pytest.raises(error, match=reason):
        resize(image, 256)


@pytest.mark.parametrize("H, W, size, top, left", [
    (256, 256, 224, 16, 16), (256, 341, 224, 16, 58), (9, 12, 4, 2, 4),
    (7, 5, 4, 2, 0),  # 1.5 to 2, 0.5 to 0: half to even, as Python and torchvision
    (5, 9, (4, 3), 0, 3), (5, 6, (5, 6), 0, 0),
])
def test_centre_crop(H, W, size, top, left):
    image = np.arange(2 * H * W).reshape(2, H, W)
    h, w = size if isinstance(size, tuple) else (size, size)
    np.testing.assert_array_equal(centre_crop(image, size), image[:, top:top + h, left:left + w])


def test_centre_crop_of_a_smaller_image():
    image = np.arange(1, 2 * 3 * 10 + 1).reshape(2, 3, 10)
    result = centre_crop(image, 6)
    assert result.shape == (2, 6, 6)
    np.testing.assert_array_equal(result[:, 1:4], image[:, :, 2:8])
    assert not result[:, :1].any() and not result[:, 4:].any()  # one row before, two behind


@pytest.mark.parametrize("image, size, error", [(COLOURS, 0, ValueError), (COLOURS, 2.5, TypeError),
                                                (COLOURS[0, 0], 2, ValueError), (COLOURS[:, :0], 2, ValueError)])
def test_what_cannot_be_cropped(image, size, error):
    with pytest.raises(error, match="centre_crop"):
        centre_crop(image, size)
