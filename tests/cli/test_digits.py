"""Image files of any kind to images like MNIST's."""
import numpy as np
import pytest

from fastconv import load_mnist
from fastconv.cli.common import CommandError
from fastconv.cli.digits import looks_like_mnist, read_digit

Image = pytest.importorskip("PIL.Image")
DIGITS = load_mnist(normalize=False, source="excerpt")[1][0][:50].reshape(-1, 28, 28)


@pytest.fixture
def read(tmp_path):
    """Save an image to a file and read it as a digit."""
    def save_and_read(image, suffix=".png", **options):
        path = tmp_path / f"digit{suffix}"
        (Image.fromarray(image) if isinstance(image, np.ndarray) else image).save(path, **options)
        return read_digit(str(path))

    return save_and_read


def on_sheet(digit, scale, size=(300, 420), at=(20, 110)):
    """A digit enlarged on a black sheet."""
    sheet = np.zeros(size, np.uint8)
    enlarged = np.kron(digit, np.ones((scale, scale), np.uint8))
    sheet[at[0]:at[0] + 28 * scale, at[1]:at[1] + 28 * scale] = enlarged
    return sheet


def assert_shows(image, number):
    """Assert that an image is close to DIGITS[number], and to no other digit as much."""
    distances = np.abs(DIGITS.astype(int) - image).mean(axis=(1, 2))
    assert distances.argmin() == number and distances[number] < 25  # two different digits: 30 to 60


def test_mnist_images_pass_through(read):
    for digit in DIGITS:
        assert looks_like_mnist(digit)
        np.testing.assert_array_equal(read(digit), digit)


@pytest.mark.parametrize("change", [
    lambda digit: 255 - digit,
    lambda digit: np.roll(digit, 3, axis=1),
    lambda digit: np.pad(digit, ((2, 9), (0, 1))),
    lambda digit: np.zeros_like(digit),
])
def test_what_does_not_look_like_mnist(change):
    assert not any(looks_like_mnist(change(digit)) for digit in DIGITS)


@pytest.mark.parametrize("change", [
    lambda sheet: sheet,
    lambda sheet: 255 - sheet,  # dark on light
    lambda sheet: 200 - sheet // 2,  # pencil on grey paper
    lambda sheet: np.stack([sheet, sheet // 2, sheet // 4], axis=2),  # orange on black
    lambda sheet: sheet.astype(np.uint16) * 257,  # 16 bits per pixel
])
def test_large_images_come_out_as_in_mnist(read, change):
    for number, digit in enumerate(DIGITS):
        for at in ((20, 110), (5, 5), (15, 135)):
            assert_shows(read(change(on_sheet(digit, 10, at=at))), number)


def test_jpeg_noise_does_not_move_the_digit(read):
    noise = np.random.default_rng(0).integers(-12, 12, (300, 420))
    for number, digit in enumerate(DIGITS[:20]):
        sheet = np.clip(230 - on_sheet(digit, 10) * 0.7 + noise, 0, 255).astype(np.uint8)
        assert_shows(read(sheet, ".jpg", quality=60), number)


def test_transparent_background_counts_as_white(read):
    digit = on_sheet(DIGITS[3], 10)
    layers = np.stack([np.zeros_like(digit)] * 3 + [digit], axis=2)  # black ink, as opaque as there is ink
    assert_shows(read(layers), 3)


def test_photos_are_turned_upright(read):
    image = Image.fromarray(255 - on_sheet(DIGITS[3], 10))
    exif = Image.Exif()
    exif[0x0112] = 6  # orientation: turn by 90 degrees clockwise to see it upright
    assert_shows(read(image.transpose(Image.Transpose.ROTATE_90), ".jpg", exif=exif), 3)


def test_proportions_are_kept(read):
    bar = np.zeros((200, 300), np.uint8)
    bar[20:180, 100:116] = 255
    rows, columns = np.nonzero(read(bar))
    assert np.ptp(rows) + 1 == 20 and np.ptp(columns) + 1 == 2
    assert abs(rows.mean() - 14) <= 0.5 and abs(columns.mean() - 14) <= 0.5


def test_a_dot_fills_the_box(read):
    dot = np.zeros((9, 9), np.uint8)
    dot[4, 4] = 200
    result = read(dot)
    assert (result == 255).sum() == 400 == (result > 0).sum()


@pytest.mark.parametrize("image", [np.zeros((28, 28)), np.full((50, 40), 255), 90 + 5 * np.eye(3)])
def test_nothing_in_the_image(read, image):
    with pytest.raises(CommandError, match="digit.png shows no digit"):
        read(image.astype(np.uint8))
