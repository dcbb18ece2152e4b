"""Mean and deviation of images, found, applied, saved and read."""
import numpy as np
import pytest

from fastconv import params
from fastconv.preprocessing import IMAGENET_MEAN, IMAGENET_STD, ChannelMean, MeanStd

RNG = np.random.default_rng(0)


def bytes_of(shape):
    return RNG.integers(0, 256, shape, np.uint8)


def naive(x, mean, std):
    out = np.empty(x.shape)
    for n, c in np.ndindex(x.shape[:2]):
        scaled = x[n, c].astype(np.float64) / (255 if x.dtype == np.uint8 else 1)
        out[n, c] = (scaled - mean[c]) / std[c]
    return out


@pytest.mark.parametrize("images", [
    bytes_of((2, 3, 5, 4)), bytes_of((1, 3, 1, 1)), bytes_of((0, 3, 5, 4)),
    bytes_of((2, 5, 4, 3)).transpose(0, 3, 1, 2),
    bytes_of((4, 6, 5, 8))[::-2, 1::2, :, ::3], RNG.random((2, 3, 5, 4)), RNG.random((2, 3, 5, 4)).astype(np.float32),
    RNG.random((2, 3, 5, 4)).astype(np.float16), RNG.random((2, 3, 5, 4)).astype(">f4"),
    np.full((1, 3, 2, 2), np.nan, np.float32), 1e6 + RNG.random((2, 3, 5, 4)),
])
@pytest.mark.parametrize("kind", ["ImageNet", "own", "mean"])
def test_by_the_formula(images, kind):
    images.setflags(write=False)
    mean, std = {"ImageNet": (IMAGENET_MEAN, IMAGENET_STD), "own": ((0.1, 0, -2), (1, 0.5, 3)),
                 "mean": ((0.4, 0.5, 0.6), (1, 1, 1))}[kind]
    preprocessing = {"ImageNet": MeanStd(), "own": MeanStd(mean, std), "mean": ChannelMean(mean)}[kind]
    result = preprocessing(images)
    assert result.dtype == np.float32 and result.shape == images.shape and not np.shares_memory(result, images)
    np.testing.assert_allclose(result, naive(images, mean, std), rtol=1e-6, atol=1e-6)


@pytest.mark.torch
def test_as_torchvision_does():
    torch = pytest.importorskip("torch")
    images = bytes_of((2, 3, 9, 7))
    mean, std = (torch.tensor(values).reshape(3, 1, 1) for values in ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225)))
    theirs = (torch.tensor(images).float() / 255 - mean) / std
    np.testing.assert_allclose(MeanStd()(images), theirs.numpy(), rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("images", [bytes_of((17, 3, 5, 4)), RNG.random((17, 3, 5, 4), np.float32),
                                    1000 + RNG.random((3, 17, 5, 4), np.float32).transpose(1, 0, 2, 3)])
def test_the_mean_of_the_training_images(images):
    fitted = ChannelMean()
    assert fitted.fit(images) is fitted
    scaled = images.astype(np.float64) / (255 if images.dtype == np.uint8 else 1)
    np.testing.assert_allclose(fitted.mean, scaled.mean(axis=(0, 2, 3)), rtol=1e-12)
    np.testing.assert_allclose(fitted(images).mean(axis=(0, 2, 3), dtype=np.float64), 0, atol=1e-6 * scaled.max())


def test_bytes_and_floats_are_the_same_images():
    images = bytes_of((5, 3, 4, 6))
    scaled = images.astype(np.float32) / 255
    np.testing.assert_allclose(ChannelMean().fit(images).mean, ChannelMean().fit(scaled).mean, rtol=1e-6)
    for preprocessing in (MeanStd(), ChannelMean().fit(images)):
        np.testing.assert_allclose(preprocessing(images), preprocessing(scaled), atol=1e-6)


@pytest.mark.parametrize("preprocessing", [MeanStd(), MeanStd([0.3], [0.1]), ChannelMean().fit(bytes_of((3, 3, 2, 2)))])
@pytest.mark.parametrize("suffix", [".pkl", ".npz", ".safetensors"])
def test_saved_and_read(tmp_path, preprocessing, suffix):
    params.save(tmp_path / f"p{suffix}", preprocessing.state())
    again = type(preprocessing).from_state(params.load(tmp_path / f"p{suffix}"))
    images = bytes_of((2, len(preprocessing.mean), 3, 4))
    np.testing.assert_array_equal(again(images), preprocessing(images))
    assert repr(again) == repr(preprocessing)


@pytest.mark.parametrize("call, error, reason", [
    (lambda: MeanStd()(bytes_of((2, 1, 5, 4))), ValueError, r"MeanStd: .*\(2, 1, 5, 4\), 1 channels, expected 3"),
    (lambda: MeanStd()(bytes_of((3, 5, 4))), ValueError, r"\(3, 5, 4\), expected \(N, C, H, W\); one image is"),
    (lambda: MeanStd()(np.ones((2, 3, 5, 4), int)), TypeError, "int64, expected uint8"),
    (lambda: MeanStd()(np.ones((2, 3, 5, 4), complex)), TypeError, "complex128"),
    (lambda: MeanStd()(np.full((2, 3, 5, 4), "1")), TypeError, "<U1"),
    (lambda: MeanStd([0.5], [1, 1]), ValueError, "mean has 1 numbers and std 2"),
    (lambda: MeanStd([0.5, 1], [1, 0]), ValueError, r"std is \[1.0, 0.0\], expected numbers above 0"),
    (lambda: MeanStd(0.5, 1), ValueError, "one finite number for each channel"),
    (lambda: MeanStd([np.nan], [1]), ValueError, "one finite number"),
    (lambda: ChannelMean([]), ValueError, "one finite number"),
    (lambda: ChannelMean()(bytes_of((1, 3, 2, 2))), ValueError, r"call fit\(x_train\) first"),
    (lambda: ChannelMean().state(), ValueError, r"call fit\(x_train\) first"),
    (lambda: ChannelMean().fit(bytes_of((0, 3, 2, 2))), ValueError, r"\(0, 3, 2, 2\), there is nothing"),
    (lambda: ChannelMean().fit(np.full((1, 3, 2, 2), np.inf)), ValueError, "mean of x_train is .inf inf inf"),
    (lambda: ChannelMean([0.1, 0.2])(bytes_of((1, 3, 2, 2))), ValueError, "3 channels, expected 2"),
    (lambda: MeanStd.from_state({"mean": np.ones(3)}), ValueError, "the arrays are mean, expected mean and std"),
    (lambda: ChannelMean.from_state({}), ValueError, "the arrays are none, expected mean"),
    (lambda: ChannelMean.from_state({"mean": np.ones((2, 3))}), ValueError, "one finite number"),
])
def test_what_does_not_fit(call, error, reason):
    with pytest.raises(error, match=reason):
        call()


def test_differences_that_float32_holds_of_numbers_that_it_does_not():
    images = RNG.random((2, 1, 5, 4))
    np.testing.assert_allclose(ChannelMean([1e6])(1e6 + images), images, atol=1e-6)


def test_a_fit_that_fails_changes_nothing():
    fitted = ChannelMean([0.5])
    with pytest.raises(ValueError):
        fitted.fit(np.full((1, 1, 2, 2), np.nan))
    np.testing.assert_array_equal(fitted.mean, [0.5])
