"""Photos and a network's weights to class names: ``fastconv predict --model``."""
from __future__ import annotations

import argparse
import inspect
import json
import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from .common import CommandError, as_json, opened, say, use_threads

if TYPE_CHECKING:
    from ..engine import Network

IMAGENET_CLASSES, IMAGENET_SIZE = 1000, 224
BORDER = 256 / 224  # the shorter side of a photo to the crop, in torchvision's evaluation
BATCH = 8
TOP = 5
IMAGENET_NAMES = Path(__file__).parents[1] / "datasets" / "imagenet_classes" / "names.txt"


def model_name(text: str) -> str:
    """Parse ``--model``."""
    from ..models import ZOO
    if text not in ZOO:
        raise argparse.ArgumentTypeError(f"{text!r} is none of {', '.join(ZOO)}")
    return text


def run(args: argparse.Namespace) -> int:
    """Classify, print, and return the exit code."""
    from .. import params
    from ..functions import softmax
    use_threads(args)
    arrays = opened(params.load, args.weights)
    classes = number_of_classes(args.weights, arrays)
    names = _names(args, classes)
    images = [_photo(path, *network_input(args, arrays)) for path in args.images]
    network = _network(args, arrays)
    network.freeze()
    arrays.clear()  # which may be hundreds of megabytes; the network has its own
    prepare = _preprocessing(args, network, classes)
    scores = [network.predict(prepare(np.stack(images[i:i + BATCH]))) for i in range(0, len(images), BATCH)]
    found = []
    for path, p in zip(args.images, softmax(np.concatenate(scores)), strict=True):
        best = np.argsort(-p, kind="stable")[:args.top or TOP]
        found.append({"image": path, "classes": [
            {"class": int(c), "name": names[c] if names else None, "probability": float(p[c])} for c in best]})
    for row in found:
        say(args, row["image"])
        for c in row["classes"]:
            say(args, f"  {c['probability']:7.2%}  {c['name'] or 'class {}'.format(c['class'])}")
    if not names:
        say(args, "The classes have no names: --class-names FILE, one name per line.")
    if args.json:
        print(as_json({"model": args.model, "weights": args.weights, "images": found}))
    return 0


def number_of_classes(path: str, arrays: Mapping[str, NDArray[Any]]) -> int:
    """Return how many classes weights are for: the outputs of the last fully connected layer."""
    matrices = [name for name, array in arrays.items() if array.ndim == 2]
    if not matrices:
        raise CommandError(f"{path}: there are no weights of a fully connected layer, so these are not the parameters "
                           "of a network that classifies")
    last = max(matrices, key=_natural)  # "fc" comes after GoogLeNet's "aux1.fc2", "classifier.6" after "classifier.3"
    return arrays[last].shape[0 if last.endswith(".weight") else 1]  # the book's W1, W2 have the outputs second


def network_input(args: argparse.Namespace, arrays: Mapping[str, NDArray[Any]]) -> tuple[int, int]:
    """Return channels and size of the images: ``--size``, or what the network is made for."""
    filters = [name for name, array in arrays.items() if array.ndim == 4]
    if not filters:
        raise CommandError(f"{args.weights}: there are no filters of a convolution, so these are not the parameters of "
                           f"{args.model}")
    by_default = _default(args.model, "input_dim", (3, IMAGENET_SIZE, IMAGENET_SIZE))
    first = [name for name in ("conv1.weight", "conv1.conv.weight", "features.0.weight", "W1") if name in filters]
    channels = arrays[first[0]].shape[1] if first else by_default[0]
    if channels not in (1, 3):
        raise CommandError(f"{args.weights} is for images of {channels} channels; photos have 3, or 1 if they are grey")
    return channels, args.size or by_default[1]


def _network(args: argparse.Namespace, arrays: dict[str, NDArray[Any]]) -> Network:
    from ..models import ZOO
    channels, size = network_input(args, arrays)
    options: dict[str, Any] = {"input_dim": (channels, size, size),
                               "num_classes": number_of_classes(args.weights, arrays)}
    if _default(args.model, "auxiliary", False):
        options["auxiliary"] = any(name.startswith("aux") for name in arrays)
    try:
        network = ZOO[args.model](**options)
        network.load_state(arrays, args.weights)
    except ValueError as error:
        raise CommandError(_shortened(str(error), args.model)) from error
    return network


def _default(model: str, parameter: str, otherwise: Any) -> Any:
    """Return what a parameter of a network is without being given."""
    from ..models import ZOO
    known = inspect.signature(ZOO[model]).parameters
    default = known[parameter].default if parameter in known else inspect.Parameter.empty
    return otherwise if default is inspect.Parameter.empty else default


def _shortened(error: str, model: str, most: int = 12) -> str:
    """Cut the list of what does not fit, which another network's weights make long."""
    faults = error.split("; ")
    if len(faults) > most:
        faults = [*faults[:most], f"and {len(faults) - most} more. Are these the weights of {model}?"]
    return "; ".join(faults)


def _names(args: argparse.Namespace, classes: int) -> list[str] | None:
    """Return the classes' names: those of ``--class-names``, of the file of weights, or of 1,000 classes ImageNet's."""
    from .. import params
    names: Any
    if args.class_names:
        names = _lines(opened(lambda path: Path(path).read_text(encoding="utf-8"), args.class_names))
    else:
        try:
            names = json.loads(opened(params.metadata, args.weights).get("class_names", "null"))
        except ValueError:
            names = None
        if not (isinstance(names, list) and all(isinstance(name, str) for name in names)):
            return _lines(IMAGENET_NAMES.read_text(encoding="utf-8")) if classes == IMAGENET_CLASSES else None
    if len(names) != classes:
        raise CommandError(f"{args.class_names or args.weights} has {len(names)} names, but {args.weights} is for "
                           f"{classes} classes")
    return names


def _lines(text: str) -> list[str]:
    return [line.strip() for line in text.strip().splitlines()]


def _preprocessing(args: argparse.Namespace, network: Network, classes: int) -> Callable[[NDArray[Any]], NDArray[Any]]:
    """Return what the images go through: ``--preprocessing``, the file's own, or that of where the file is from."""
    from ..preprocessing import HALF, MeanStd
    own = getattr(network, "preprocessing", None)
    from_torch = Path(args.weights).suffix in (".pth", ".pt") or classes == IMAGENET_CLASSES
    wanted = args.preprocessing
    if wanted == "auto" and own is None:
        wanted = "none" if not from_torch else "half" if args.model == "googlenet" else "imagenet"
    if wanted == "none":
        return lambda images: images
    own = {"imagenet": MeanStd(), "half": MeanStd(HALF, HALF)}.get(wanted, own)
    return lambda images: _prepared(own, images)


def _prepared(preprocessing: Any, images: NDArray[Any]) -> NDArray[Any]:
    try:
        return preprocessing(images)
    except ValueError as error:
        raise CommandError(f"{error}; --preprocessing none leaves the images as they are") from error


def _photo(path: str, channels: int, size: int) -> NDArray[np.uint8]:
    """Return the middle of a photo, (channels, size, size)."""
    from ..images import centre_crop, open_image, read_image, resize
    read = read_image if channels == 3 else lambda p: np.asarray(open_image(p).convert("L"))[None]
    try:
        return centre_crop(resize(opened(read, path), round(size * BORDER)), size)
    except ValueError as error:
        raise CommandError(f"{path}: {error}") from error


def _natural(name: str) -> list[Any]:
    """Order names as people do: layer 10 comes after layer 9."""
    return [(int(part), "") if part.isdecimal() else (-1, part) for part in re.split(r"(\d+)", name)]
