"""``fastconv predict``: read the digits in image files, or classify photos."""
from __future__ import annotations

import argparse
from typing import Any

import numpy as np

from . import classify
from .common import add_params, add_threads, as_json, load_network, new_command, say, use_threads, whole_number

EXAMPLES = """\
  fastconv predict digit.png
  fastconv predict --params fastconv-run/params.pkl photos/*.jpg
  fastconv predict --json digit.png | python -m json.tool

One digit per image: dark on light or light on dark, of any size, with some background around it. It is
cropped, scaled and centred as MNIST's digits were; images that look like MNIST's are taken as they are.

  fastconv predict --model resnet50 --weights resnet50-0676ba61.pth photo.jpg
  fastconv predict --model vgg16 --weights vgg16-397923af.pth --top 3 photos/*.jpg

With --model, photos are classified: resized and cropped to the middle as in training, by weights from
torchvision (https://download.pytorch.org/models/...) or your own."""


def add_to(commands: Any) -> None:
    """Add the subcommand to argparse's `commands`."""
    parser = new_command(commands, "predict", run, examples=EXAMPLES,
                         description="Say which digits PNG or JPEG images show, or what photos show.")
    parser.add_argument("images", nargs="+", metavar="IMAGE", help="image file with one digit, or a photo")
    add_params(parser)
    photos = parser.add_argument_group("to classify photos")
    photos.add_argument("--model", type=classify.model_name, metavar="NAME",
                        help="the network: alexnet, vgg16, googlenet, resnet50, ...")
    photos.add_argument("--weights", metavar="FILE",
                        help="its parameters: .pth or .pt of PyTorch, .safetensors, .npz or .pkl")
    photos.add_argument("--class-names", metavar="FILE", help="text file with one name per line")
    photos.add_argument("--top", type=whole_number(1), metavar="K", help="best classes to show (default: 5)")
    photos.add_argument("--size", type=whole_number(1), metavar="N",
                        help="height and width of the network's input (default: the model's, 224 for most)")
    photos.add_argument("--preprocessing", choices=("auto", "imagenet", "half", "none"), default="auto",
                        help="imagenet: ImageNet's mean and deviation; half: pixels from -1 to 1; none: from 0 to 1; "
                             "auto: what the file of weights has, else for 1000 classes and for PyTorch's files what "
                             "torchvision's weights expect, half for googlenet and imagenet for others (default: auto)")
    add_threads(parser)
    parser.set_defaults(fail=parser.error)


def run(args: argparse.Namespace) -> int:
    """Predict, print, and return the exit code."""
    if args.model or args.weights:
        if not (args.model and args.weights):
            args.fail(f"--{'weights' if args.weights else 'model'} needs --{'model' if args.weights else 'weights'}")
        return classify.run(args)
    for option, given in (("--top", args.top), ("--class-names", args.class_names), ("--size", args.size),
                          ("--preprocessing", args.preprocessing != "auto" and args.preprocessing)):
        if given:
            args.fail(f"{option} is for photos: it needs --model and --weights")
    from ..functions import softmax
    from .digits import read_digit
    use_threads(args)
    network = load_network(args)
    pixels = np.stack([read_digit(path) for path in args.images])
    y = softmax(network.predict(pixels[:, None] / np.float32(255)))

    say(args, "digit  " + "  ".join(f" p({digit})" for digit in range(10)) + "  image")
    for path, p in zip(args.images, y, strict=True):
        say(args, f"{p.argmax():>5}  " + "  ".join(f"{value:.3f}" for value in p) + f"  {path}")
    if args.json:
        print(as_json({"images": [{"image": path, "digit": int(p.argmax()), "probabilities": p.tolist()}
                                  for path, p in zip(args.images, y, strict=True)]}))
    return 0
