"""fastconv predict --model: photos and weights to names of classes."""
import argparse
import json
import sys

import numpy as np
import pytest

import fastconv.models
from fastconv import Affine, Convolution, Network, Pooling, Relu, params
from fastconv.cli import classify, main
from fastconv.images import centre_crop, read_image, resize
from fastconv.preprocessing import ChannelMean, MeanStd

Image = pytest.importorskip("PIL.Image")
RNG = np.random.default_rng(0)
MEAN, STD = np.array([[0.485, 0.456, 0.406], [0.229, 0.224, 0.225]]).reshape(2, 3, 1, 1)


class Tiny(Network):
    """A network under torchvision's kind of names, in the protocol of those in the zoo."""

    def __init__(self, input_dim=(3, 32, 32), num_classes=1000):
        super().__init__()
        self.preprocessing, self.shapes = None, {
            "conv1.weight": (4, input_dim[0], 3, 3), "conv1.bias": (4,),
            "fc.weight": (num_classes, 4 * (input_dim[1] // 4) ** 2), "fc.bias": (num_classes,)}
        self.conv = Convolution(np.zeros(self.shapes["conv1.weight"]), np.zeros(4), pad=1)
        self.fc = Affine(np.zeros(self.shapes["fc.weight"][::-1]), np.zeros(num_classes))
        for layer in (self.conv, Relu(), Pooling(4, 4, stride=4), self.fc):
            self.add(layer)

    def load_state(self, arrays, where):
        arrays = dict(arrays)
        own = {name.removeprefix("preprocessing."): arrays.pop(name) for name in list(arrays)
               if name.startswith("preprocessing.")}
        faults = [f"{name} is missing" for name in self.shapes if name not in arrays]
        faults += [f"{name} is unknown" for name in arrays if name not in self.shapes]
        faults += [f"{name} has shape {arrays[name].shape}, expected {shape}" for name, shape in self.shapes.items()
                   if name in arrays and arrays[name].shape != shape]
        if faults:
            raise ValueError(f"{where}: the parameters do not fit this network: {'; '.join(faults)}")
        self.conv.W, self.conv.b = arrays["conv1.weight"], arrays["conv1.bias"]
        self.fc.W, self.fc.b = arrays["fc.weight"].T, arrays["fc.bias"]
        if own:
            self.preprocessing = (MeanStd if "std" in own else ChannelMean).from_state(own)


@pytest.fixture(autouse=True)
def zoo(monkeypatch):
    monkeypatch.setattr(fastconv.models, "ZOO", {"tiny": Tiny, "other": Tiny}, raising=False)


def weights(classes=7, channels=3, size=32):
    shapes = Tiny((channels, size, size), classes).shapes
    return {name: RNG.standard_normal(shape).astype(np.float32) / 5 for name, shape in shapes.items()}


@pytest.fixture
def photos(tmp_path):
    for name, shape in (("a.png", (50, 70, 3)), ("b.jpg", (90, 41, 3)), ("c.png", (33, 33))):
        Image.fromarray(RNG.integers(0, 256, shape, np.uint8)).save(tmp_path / name)
    return ["a.png", "b.jpg", "c.png"]


def probabilities(arrays, photos, prepare, size=32, channels=3):
    """The same, said once more: resize by 256/224, crop, prepare, multiply, softmax."""
    images = []
    for path in photos:
        image = read_image(path) if channels == 3 else np.asarray(Image.open(path).convert("L"))[None]
        images.append(centre_crop(resize(image, round(size * 256 / 224)), size))
    network = Tiny((channels, size, size), len(arrays["fc.bias"]))
    network.load_state(arrays, "")
    y = network.predict(prepare(np.stack(images) / 255).astype(np.float32)).astype(np.float64)
    y = np.exp(y - y.max(axis=1, keepdims=True))
    return y / y.sum(axis=1, keepdims=True)


def imagenet(x):
    return (x - MEAN) / STD


def half(x):
    return 2 * x - 1


def as_is(x):
    return x


def predicted(capsys, *arguments):
    assert main(["predict", "--model", "tiny", "--json", *map(str, arguments)]) == 0
    text = capsys.readouterr()
    return json.loads(text.out)["images"], text.err


def assert_predicted(found, expected, photos, top):
    assert [row["image"] for row in found] == photos
    for row, p in zip(found, expected, strict=True):
        assert [c["class"] for c in row["classes"]] == np.argsort(-p)[:top].tolist()
        np.testing.assert_allclose([c["probability"] for c in row["classes"]], np.sort(p)[::-1][:top], rtol=1e-3)


@pytest.mark.parametrize("suffix", [".npz", ".safetensors", ".pkl"])
@pytest.mark.parametrize("classes, options, prepare, top", [
    (7, (), as_is, 5), (7, ("--top", 2), as_is, 2), (4, (), as_is, 4), (1000, (), imagenet, 5),
    (1000, ("--preprocessing", "none"), as_is, 5), (7, ("--preprocessing", "half"), half, 5),
    (7, ("--preprocessing", "imagenet"), imagenet, 5),
])
def test_classes_and_probabilities(capsys, photos, suffix, classes, options, prepare, top):
    arrays = weights(classes)
    params.save(f"w{suffix}", arrays)
    found, _ = predicted(capsys, "--weights", f"w{suffix}", *options, *photos)
    assert_predicted(found, probabilities(arrays, photos, prepare), photos, top)


@pytest.mark.torch
@pytest.mark.parametrize("is_zip", [True, False])
def test_weights_of_pytorch(capsys, photos, is_zip):
    torch = pytest.importorskip("torch")
    arrays = weights()
    state = {name: torch.nn.Parameter(torch.tensor(array)) for name, array in arrays.items()}
    torch.save({"state_dict": state, "epoch": 90}, "w.pth", _use_new_zipfile_serialization=is_zip)
    found, _ = predicted(capsys, "--weights", "w.pth", *photos)
    assert_predicted(found, probabilities(arrays, photos, imagenet), photos, 5)


@pytest.mark.parametrize("classes, prepare", [(1000, half), (7, as_is)])
def test_googlenet_of_torchvision_takes_pixels_from_minus_1_to_1(capsys, photos, monkeypatch, classes, prepare):
    monkeypatch.setitem(fastconv.models.ZOO, "googlenet", Tiny)
    arrays = weights(classes)
    params.save("w.npz", arrays)
    found, _ = predicted(capsys, "--model", "googlenet", "--weights", "w.npz", *photos)
    assert_predicted(found, probabilities(arrays, photos, prepare), photos, 5)


def test_more_photos_than_fit_in_a_batch(capsys, photos, monkeypatch):
    monkeypatch.setattr(classify, "BATCH", 2)
    arrays = weights()
    params.save("w.npz", arrays)
    found, _ = predicted(capsys, "--weights", "w.npz", *photos, *photos)
    assert_predicted(found, probabilities(arrays, photos * 2, as_is), photos * 2, 5)


@pytest.mark.parametrize("own, prepare", [
    (MeanStd((0.1, 0.2, 0.3), (2, 3, 4)), lambda x: (x - np.reshape((0.1, 0.2, 0.3), (3, 1, 1))) / np.reshape(
        (2, 3, 4), (3, 1, 1))),
    (ChannelMean((0.4, 0.5, 0.6)), lambda x: x - np.reshape((0.4, 0.5, 0.6), (3, 1, 1))),
])
def test_the_file_knows_the_preprocessing(capsys, photos, own, prepare):
    arrays = weights(1000)
    params.save("w.npz", arrays | {f"preprocessing.{name}": array for name, array in own.state().items()})
    found, _ = predicted(capsys, "--weights", "w.npz", *photos)
    assert_predicted(found, probabilities(arrays, photos, prepare), photos, 5)


def test_another_size_and_grey_photos(capsys, photos):
    arrays = weights(size=20, channels=1)
    params.save("w.npz", arrays)
    found, _ = predicted(capsys, "--weights", "w.npz", "--size", 20, *photos)
    assert_predicted(found, probabilities(arrays, photos, as_is, 20, 1), photos, 5)


def test_names_from_a_file(capsys, tmp_path, photos):
    params.save("w.npz", weights(3))
    (tmp_path / "names.txt").write_text("cat\n tench, Tinca tinca \r\n고양이\n\n", encoding="utf-8")
    found, text = predicted(capsys, "--weights", "w.npz", "--class-names", "names.txt", "a.png")
    assert {c["class"]: c["name"] for c in found[0]["classes"]} == {0: "cat", 1: "tench, Tinca tinca", 2: "고양이"}
    assert "have no names" not in text


def test_names_in_the_weights(capsys, photos):
    from safetensors.numpy import save_file
    save_file(weights(3), "w.safetensors", {"class_names": '["cat", "dog", "tench"]'})
    found, _ = predicted(capsys, "--weights", "w.safetensors", "a.png")
    assert {c["class"]: c["name"] for c in found[0]["classes"]} == {0: "cat", 1: "dog", 2: "tench"}
    for other in ('["cat", 1, "tench"]', "cat", "{"):
        save_file(weights(3), "w.safetensors", {"class_names": other})
        found, _ = predicted(capsys, "--weights", "w.safetensors", "a.png")
        assert {c["name"] for c in found[0]["classes"]} == {None}


def test_for_people(capsys, photos):
    params.save("w.npz", weights(7))
    assert main(["predict", "--model", "tiny", "--weights", "w.npz", "--top", "3", "a.png", "b.jpg"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "a.png" and lines[4] == "b.jpg" and "--class-names FILE, one name per" in "".join(lines[8:])
    for line in lines[1:4]:
        share, word, number = line.split()
        assert 0 <= float(share.rstrip("%")) <= 100 and word == "class" and 0 <= int(number) < 7


def test_a_thousand_classes_have_imagenets_names(capsys, photos):
    params.save("w.npz", weights(1000))
    found, _ = predicted(capsys, "--weights", "w.npz", "a.png")
    known = {0: "tench", 207: "golden retriever", 281: "tabby", 404: "airliner", 954: "banana", 999: "toilet tissue"}
    names = classify.IMAGENET_NAMES.read_text(encoding="utf-8").splitlines()
    assert len(names) == 1000 and all(names[number] == name for number, name in known.items())
    assert all(c["name"] == names[c["class"]] for c in found[0]["classes"])


@pytest.mark.parametrize("arrays, classes", [
    ({"fc.weight": (5, 9), "aux1.fc2.weight": (6, 9)}, 5),
    ({f"classifier.{n}.weight": (n, n + 1) for n in (6, 3, 12, 0)}, 12),
    ({"W1": (16, 1, 3, 3), "W7": (1024, 50), "W10": (50, 11), "b8": (10,)}, 11),
])
def test_number_of_classes(arrays, classes):
    assert classify.number_of_classes("w", {name: np.zeros(shape) for name, shape in arrays.items()}) == classes


def test_channels_and_size(zoo, monkeypatch):
    args = argparse.Namespace(model="tiny", size=None, weights="w.npz")
    assert classify.network_input(args, weights()) == (3, 32)
    assert classify.network_input(args, {"features.0.weight": np.zeros((4, 1, 3, 3))}) == (1, 32)
    args.size = 64
    assert classify.network_input(args, {"other.weight": np.zeros((4, 9, 3, 3))}) == (3, 64)
    monkeypatch.setitem(fastconv.models.ZOO, "tiny", lambda **options: None)
    args.size = None
    assert classify.network_input(args, weights()) == (3, 224)


@pytest.mark.parametrize("names, auxiliary", [(["aux1.conv.weight"], True), ([], False)])
def test_auxiliary_classifiers_only_where_the_file_has_them(capsys, photos, monkeypatch, names, auxiliary):
    made = []

    class WithAuxiliary(Tiny):
        def __init__(self, input_dim=(3, 32, 32), num_classes=1000, auxiliary=True):
            super().__init__(input_dim, num_classes)
            made.append(auxiliary)
            self.shapes |= dict.fromkeys(["aux1.conv.weight"] if auxiliary else [], (1, 1, 1, 1))

    monkeypatch.setitem(fastconv.models.ZOO, "tiny", WithAuxiliary)
    params.save("w.npz", weights() | {name: np.zeros((1, 1, 1, 1)) for name in names})
    predicted(capsys, "--weights", "w.npz", "a.png")
    assert made == [auxiliary]


def failing(capsys, *arguments):
    assert main(["predict", "--model", "tiny", *arguments]) == 1
    text = capsys.readouterr()
    assert not text.out and text.err.startswith("fastconv predict: error: ")
    return text.err


def test_what_is_missing_or_does_not_fit(capsys, tmp_path, photos):
    params.save("w.npz", weights())
    others = {f"layer{n}.weight": np.zeros((3, 3, 1, 1)) for n in range(40)}
    params.save("other.npz", others | {"fc.weight": np.ones((2, 3))})
    params.save("filters.npz", {"conv1.weight": np.zeros((3, 3, 1, 1))})
    params.save("matrix.npz", {"fc.weight": np.zeros((3, 3))})
    params.save("five.npz", weights(channels=5))
    (tmp_path / "names.txt").write_text("cat\ndog\n")
    (tmp_path / "text.png").write_text("no image")
    Image.new("RGB", (1, 60_000)).save("thin.png")
    assert "cannot read no.npz: No such file" in failing(capsys, "--weights", "no.npz", "a.png")
    assert "suffix '.txt'" in failing(capsys, "--weights", "names.txt", "a.png")
    error = failing(capsys, "--weights", "other.npz", "a.png")
    assert "conv1.weight is missing" in error and "more. Are these the weights of tiny?" in error and len(error) < 900
    assert "filters.npz: there are no weights of a fully" in failing(capsys, "--weights", "filters.npz", "a.png")
    assert "matrix.npz: there are no filters" in failing(capsys, "--weights", "matrix.npz", "a.png")
    assert "five.npz is for images of 5 channels" in failing(capsys, "--weights", "five.npz", "a.png")
    assert "names.txt has 2 names, but w.npz is for 7 classes" in failing(
        capsys, "--weights", "w.npz", "--class-names", "names.txt", "a.png")
    assert "cannot read none.txt: No such file" in failing(
        capsys, "--weights", "w.npz", "--class-names", "none.txt", "a.png")
    assert "cannot read no.png: No such file" in failing(capsys, "--weights", "w.npz", "no.png")
    assert "cannot read text.png: it is no image" in failing(capsys, "--weights", "w.npz", "a.png", "text.png")
    params.save("large.npz", weights(size=512))
    assert "thin.png: resize: " in failing(capsys, "--weights", "large.npz", "--size", "8192", "thin.png")
    params.save("grey.npz", weights(channels=1))
    assert "1 channels, expected 3; --preprocessing none" in failing(
        capsys, "--weights", "grey.npz", "--preprocessing", "imagenet", "a.png")


@pytest.mark.parametrize("module, reason", [("PIL", "pip install pillow"), ("safetensors", "pip install safetensors")])
def test_without_a_package(capsys, photos, monkeypatch, module, reason):
    params.save("w.safetensors", weights())
    monkeypatch.setitem(sys.modules, module, None)
    assert reason in failing(capsys, "--weights", "w.safetensors", "a.png")


@pytest.mark.parametrize("arguments, reason", [
    (["--model", "vgg99", "--weights", "w.npz", "a.png"], "'vgg99' is none of tiny, other"),
    (["--model", "tiny", "a.png"], "--model needs --weights"),
    (["--weights", "w.npz", "a.png"], "--weights needs --model"),
    (["--model", "tiny", "--weights", "w.npz"], "IMAGE"),
    (["--model", "tiny", "--weights", "w.npz", "--top", "0", "a.png"], "'0' is not a whole number from 1 on"),
])
def test_a_wrong_command_line_is_2(capsys, arguments, reason):
    with pytest.raises(SystemExit) as stop:
        main(["predict", *arguments])
    assert stop.value.code == 2 and reason in capsys.readouterr().err
