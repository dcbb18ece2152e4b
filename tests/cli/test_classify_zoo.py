"""fastconv predict --model with the real networks."""
import json

import numpy as np
import pytest

from fastconv.cli import main
from fastconv.images import centre_crop, read_image, resize
from fastconv.preprocessing import MeanStd

Image = pytest.importorskip("PIL.Image")
ZOO = pytest.importorskip("fastconv.models.zoo").ZOO


def test_every_model_is_for_photos_of_some_size():
    from argparse import Namespace

    from fastconv.cli.classify import network_input
    for model in ZOO:
        channels, size = network_input(Namespace(model=model, size=None, weights="w"), {"x": np.zeros((1, 1, 1, 1))})
        assert (channels, size) == ((1, 28) if model == "deepconvnet" else
                                    (3, 32) if model in ("resnet20", "resnet32", "resnet56") else (3, 224))


@pytest.mark.torch
@pytest.mark.parametrize("is_zip", [True, False])
def test_a_state_dict_of_pytorch(capsys, tmp_path, is_zip):
    torch = pytest.importorskip("torch")
    network = ZOO["resnet20"](num_classes=7, seed=0)
    state = {name: torch.tensor(np.array(array)) for name, array in network.state().items()}
    state["bn1.num_batches_tracked"] = torch.tensor(3)
    torch.save({"state_dict": state}, tmp_path / "w.pth", _use_new_zipfile_serialization=is_zip)
    colours = np.random.default_rng(0).integers(0, 256, (45, 61, 3), np.uint8)
    Image.fromarray(colours).save(tmp_path / "photo.png")
    assert main(["predict", "--json", "--top", "7", "--model", "resnet20", "--weights", "w.pth", "photo.png"]) == 0
    classes = json.loads(capsys.readouterr().out)["images"][0]["classes"]
    image = centre_crop(resize(read_image(tmp_path / "photo.png"), 37), 32)
    y = np.exp(network.predict(MeanStd()(image[None]))[0].astype(np.float64))
    np.testing.assert_allclose([c["probability"] for c in classes], np.sort(y / y.sum())[::-1], rtol=1e-4)
    assert [c["class"] for c in classes] == np.argsort(-y).tolist()
